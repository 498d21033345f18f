//! The door of a server: `max_connections`, with every place behind it taken by sessions that do nothing. Nobody gets in then, not
//! even an account with every right; he is told at once, before he has said who he is. It is in memory only.
//!
//! The sessions are those of clients in a container of their own, beside the server: whatever becomes of the tool, they stay until
//! the container goes. A closed V2 must not be found open where clients look for it, nor a fenced V1 beyond the line.

use std::time::Duration;

use super::connect::{self, Session};
use super::{accounts, client_file, names};
use crate::engine::Place;
use crate::runtime::HelperSpec;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// What a helper may take to open the door and end.
const WITHIN: Duration = Duration::from_secs(5);

/// `$1`: how many; `$2`: how wide the door is when it is ajar; `$3`: when it is shut. By SIGTERM a shut one is set ajar, and the
/// helper ends: whoever wants to get in after a tool that is gone would have to be faster than all clients.
const SCRIPT: &str = r#"
client=$(command -v mariadb || command -v mysql) || { echo "no client program in the image"; exit 1; }
mkfifo /tmp/here
exec 9<>/tmp/here
for ((n = 0; n < $1; n++)); do
  exec {place}> >(exec "$client" --defaults-file=/switchover.cnf --skip-reconnect --unbuffered -N -B >&9 2>&1)
  printf "SET SESSION wait_timeout = 2147483;\nSELECT 'here';\n" >&"$place"
done
for ((n = 0; n < $1; n++)); do
  read -r -t 20 said <&9 || said='not all places were taken'
  [ "$said" = here ] || { echo "$said"; exit 1; }
done
open() {
  printf "SET GLOBAL max_connections = CAST(IF(@@GLOBAL.max_connections = %s, %s, @@GLOBAL.max_connections) AS UNSIGNED);\n" \
    "$1" "$2" >&"$place"
  echo "SELECT 'open';" >&"$place"
  read -r -t 3 said <&9
  exit 0
}
trap 'open "$3" "$2"' TERM
trap '' PIPE
echo ready
tail -f /dev/null &
wait
"#;

/// What a shut door says: the least that the server takes. One more gets in where he has every right.
pub(in crate::engine) const fn least(mariadb: bool) -> u64 {
    if mariadb { 10 } else { 1 }
}

/// Everybody gets in, and it is seen that a window of this run has shut it and that its fence may still be there.
const fn ajar(wide: u64) -> u64 {
    wide + 1
}

/// As many as leave no place, whatever else of ours has ended.
pub(in crate::engine) const fn places(mariadb: bool) -> u64 {
    least(mariadb) + 2
}

fn helper_name(place: &Place) -> String {
    format!("switchover-{}-door-{}", place.plan.tag(), place.side.to_string().to_lowercase())
}

/// The places are taken; the door itself stands open until somebody shuts it.
pub(in crate::engine) async fn ensure_taken(place: &Place, mariadb: bool, wide: u64) -> Result<(), Trouble> {
    let plan = &place.plan;
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let options = client_file::text(&names::admin(plan), &password, "127.0.0.1", connect::port(place));
    let mut entrypoint = ["bash", "-c", SCRIPT, "door"].map(str::to_owned).to_vec();
    entrypoint.extend([places(mariadb), ajar(wide), least(mariadb)].map(|number| number.to_string()));
    let spec = HelperSpec {
        name: helper_name(place),
        image: plan.v2.image_id.clone(),
        entrypoint,
        user: Some("0:0".into()),
        network: Some(format!("container:{}", connect::found(place).await?.id)),
        files: vec![client_file::file(options)],
        labels: plan.labels(&place.side.to_string()),
        ..HelperSpec::default()
    };
    let mut helper = place.runtime.helper(&spec).await?;
    let limit = Limit { name: "limits.statement", value: Duration::from_secs(30) };
    let said = wait::within(limit, "the places behind the door to be taken", helper.line()).await?;
    if said.as_deref() == Some("ready") {
        return Ok(());
    }
    helper.end().await?;
    Err(Trouble::failed(format!("the places behind {}'s door cannot be taken", place.side))
        .because(Trouble::failed(said.unwrap_or_else(|| "the helper ended".into()))))
}

/// The door is ajar, where an earlier process of the run has left it shut; who kept it is gone.
pub(in crate::engine) async fn ensure_ajar(place: &Place) -> Result<(), Trouble> {
    if let Some(found) = place.runtime.container(&helper_name(place)).await? {
        place.runtime.ensure_stopped(&found.id, "SIGTERM", WITHIN).await?;
    }
    ensure_unkept(place).await
}

/// The places are free; the door stands as it stood.
pub(in crate::engine) async fn ensure_unkept(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&helper_name(place), &place.plan.run).await
}

/// As wide as the side that serves has it.
pub(in crate::engine) async fn ensure_open(session: &Session, wide: u64) -> Result<(), Trouble> {
    session.run(&format!("SET GLOBAL max_connections = {wide}")).await
}

pub(in crate::engine) async fn ensure_shut(session: &Session) -> Result<(), Trouble> {
    session.run(&format!("SET GLOBAL max_connections = {}", least(session.is_mariadb()))).await
}

/// A condition: a window of this run has shut it, and it was not opened for good since.
pub(in crate::engine) fn was_shut(mariadb: bool, wide: u64) -> String {
    format!("@@GLOBAL.max_connections IN ({}, {})", least(mariadb), ajar(wide))
}

/// A condition: it is shut.
pub(in crate::engine) fn is_shut(mariadb: bool) -> String {
    format!("@@GLOBAL.max_connections = {}", least(mariadb))
}
