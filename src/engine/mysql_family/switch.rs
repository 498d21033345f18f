//! The dead-man's switch: a client of V1's server in a container of its own, beside V1, that gives V1 back to its clients,
//! whoever is dead.
//!
//! It shares V1's network, so that it reaches V1 by loopback whatever networks V1 is taken off. It acts when the time is up, and
//! at once when the tool is gone, which it sees by the end of its own input. Before it lifts the fence it ends the tool's sessions
//! and waits until they are gone: no statement of theirs can come after it. The tool ends the switch by ending its session.

use std::cell::RefCell;
use std::time::Duration;

use super::locks::{self, Known};
use super::{accounts, client_file, connect, names};
use crate::engine::Place;
use crate::runtime::{Helper, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// The arguments: statements that give V1 back. Its one order is `arm SECONDS LOCK SESSION:LOCK…`, where `_` stands for a space
/// in a lock's name.
const SCRIPT: &str = r#"
trap '' PIPE
client=$(command -v mariadb || command -v mysql) || { echo "no client program in the image"; exit 1; }
coproc SERVER { exec "$client" --defaults-file=/switchover.cnf --skip-reconnect --force --unbuffered -N -B 2>&1; }
ask() { printf '%s\n' "$1" >&"${SERVER[1]}"; }
ask "SELECT CONNECTION_ID();"
read -r -t 10 id <&"${SERVER[0]}" || id=
case $id in
  ''|*[!0-9]*) echo "no $id"; exit 1 ;;
esac
echo "ready $id"
read -r order seconds lock sessions || exit 0
[ "$order" = arm ] || exit 0
lock=${lock//_/ }
ask "SELECT GET_LOCK('$lock', 0), GET_LOCK('${lock% *}', 0);"
read -r -t 5 got <&"${SERVER[0]}"
[ "$got" = $'1\t1' ] || { echo "no lock: $got"; exit 1; }
echo armed
read -r -t "$seconds" order
ask "DO RELEASE_LOCK('$lock');"
for session in $sessions; do
  ask "KILL CONNECTION ${session%:*};"
  ask "DO GET_LOCK('switchover session ${session#*:}', 60);"
done
ask "DO GET_LOCK('switchover window', 60);"
for statement; do ask "$statement;"; done
ask "SELECT 'given back';"
while read -r -t 60 said <&"${SERVER[0]}"; do
  [ "$said" != 'given back' ] || break
done
"#;

/// Made before the window, connected, not armed.
pub(in crate::engine) struct Switch {
    helper: RefCell<Box<dyn Helper>>,
    /// Its session's number on V1.
    pub(in crate::engine) id: u64,
}

fn helper_name(place: &Place) -> String {
    format!("switchover-{}-switch", place.plan.tag())
}

pub(in crate::engine) async fn ensure_none(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&helper_name(place), &place.plan.run).await
}

/// `give_back`: statements, of which none lifts a fence that is to last.
pub(in crate::engine) async fn open(place: &Place, give_back: Vec<String>) -> Result<Switch, Trouble> {
    let plan = &place.plan;
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let options = client_file::text(&names::admin(plan), &password, "127.0.0.1", connect::port(place));
    let mut entrypoint = ["bash", "-c", SCRIPT, "switch"].map(str::to_owned).to_vec();
    entrypoint.extend(give_back);
    let spec = HelperSpec {
        name: helper_name(place),
        image: plan.v2.image_id.clone(),
        entrypoint,
        user: Some("0:0".into()),
        network: Some(format!("container:{}", connect::container(place).await?)),
        files: vec![client_file::file(options)],
        labels: plan.labels("V1"),
        ..HelperSpec::default()
    };
    let mut helper = place.runtime.helper(&spec).await?;
    let limit = Limit { name: "limits.statement", value: Duration::from_secs(30) };
    let said = wait::within(limit, "the dead-man's switch to connect", helper.line()).await?;
    let id = said.as_deref().and_then(|line| line.strip_prefix("ready ")).and_then(|id| id.parse().ok());
    if let Some(id) = id {
        return Ok(Switch { helper: RefCell::new(helper), id });
    }
    helper.end().await?;
    Err(Trouble::failed("the dead-man's switch does not get into V1")
        .because(Trouble::failed(said.unwrap_or_else(|| "it ended".into()))))
}

impl Switch {
    /// From now on it gives V1 back after `cap`, or when we are gone.
    #[expect(clippy::await_holding_refcell_ref, reason = "one order at a time; nobody else borrows it")]
    pub(in crate::engine) async fn arm(&self, cap: Duration, lock: &str, sessions: &[Known]) -> Result<(), Trouble> {
        let order = locks::order(cap, lock, sessions);
        let mut helper = self.helper.borrow_mut();
        let asked = async {
            helper.send(&order).await?;
            helper.line().await
        };
        let limit = Limit { name: "limits.statement", value: Duration::from_secs(5) };
        match wait::within(limit, "the dead-man's switch to be armed", asked).await?.as_deref() {
            Some("armed") => Ok(()),
            other => Err(Trouble::failed("the dead-man's switch is not armed")
                .because(Trouble::failed(other.unwrap_or("it ended").to_owned()))),
        }
    }
}
