//! The dead-man's switch, and the keeper of V1's door: clients of V1's server in a container of their own, beside V1.
//!
//! It shares V1's network, so that it reaches V1 by loopback whatever networks V1 is taken off. It acts when the time is up, and
//! at once when the tool is gone, which it sees by the end of its own input: it ends the tool's sessions, waits until they are
//! gone, and gives V1 back to its clients, unless the fence is to last. The tool ends the switch by ending its session.
//!
//! The door is `max_connections`, of which the least is ten: so as many places as a shut V1 has are taken by sessions that do
//! nothing. They stay until the container goes, whatever becomes of tool and switch: beyond the line nobody may find V1's door
//! open while it stands where clients look for it.

use std::cell::RefCell;
use std::time::Duration;

use super::before::{Before, Serving};
use crate::engine::Place;
use crate::engine::mysql_family::locks::{self, Known};
use crate::engine::mysql_family::{accounts, client_file, connect, names};
use crate::engine::mysql_wire::quote::literal;
use crate::runtime::{Helper, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// The least that the server takes. One more gets in where he has every right.
pub(super) const SHUT: u64 = 10;

/// With them no place is left, whatever else of ours has ended.
const PLACES: u64 = SHUT + 2;

/// Sessions that V1 must have room for: those places, the window's, the switch's, one that is kept.
pub(super) const OURS: u64 = PLACES + 6;

/// `$1`: places to take; the rest: statements that give V1 back. Its one order is `arm SECONDS LOCK SESSION:LOCK…`, where `_`
/// stands for a space in a lock's name.
const SCRIPT: &str = r#"
trap '' PIPE
client=$(command -v mariadb || command -v mysql) || { echo "no client program in the image"; exit 1; }
places=$1; shift
coproc SERVER { exec "$client" --defaults-file=/switchover.cnf --skip-reconnect --force --unbuffered -N -B 2>&1; }
ask() { printf '%s\n' "$1" >&"${SERVER[1]}"; }
ask "SELECT CONNECTION_ID();"
read -r -t 10 id <&"${SERVER[0]}" || id=
case $id in
  ''|*[!0-9]*) echo "no $id"; exit 1 ;;
esac
mkfifo /tmp/here
exec 9<>/tmp/here
for ((n = 0; n < places; n++)); do
  exec {place}> >(exec "$client" --defaults-file=/switchover.cnf --skip-reconnect --unbuffered -N -B >&9 2>&1)
  printf "SET SESSION wait_timeout = 2147483;\nSELECT 'here';\n" >&"$place"
done
for ((n = 0; n < places; n++)); do
  read -r -t 20 said <&9 || said='a place was not taken'
  [ "$said" = here ] || { echo "no $said"; exit 1; }
done
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
ask "SELECT IF(@lasts, 'kept', 'given back');"
while read -r -t 60 said <&"${SERVER[0]}"; do
  case $said in
    'given back') exit 0 ;;
    kept) break ;;
  esac
done
tail -f /dev/null
"#;

/// Made before the window, connected, not armed.
pub(super) struct Switch {
    helper: RefCell<Box<dyn Helper>>,
    /// Its session's number on V1.
    pub(super) id: u64,
}

fn helper_name(place: &Place) -> String {
    format!("switchover-{}-switch", place.plan.tag())
}

/// Gone, with the places that it kept.
pub(super) async fn ensure_none(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&helper_name(place), &place.plan.run).await
}

/// What gives V1 back. Each is one statement; where the fence is to last, which `read_only` says, it stays.
pub(super) fn give_back(serving: &Serving) -> Vec<String> {
    // As a number: among other texts the variable is one too.
    let mut statements = vec!["SET @lasts = (@@GLOBAL.read_only = 1)".to_owned()];
    if serving.event_scheduler != "DISABLED" {
        let was = literal(&serving.event_scheduler);
        statements.push(format!("SET GLOBAL event_scheduler = IF(@lasts, @@GLOBAL.event_scheduler, {was})"));
    }
    // A whole number, by its type too.
    let most = serving.max_connections;
    statements
        .push(format!("SET GLOBAL max_connections = CAST(IF(@lasts, @@GLOBAL.max_connections, {most}) AS UNSIGNED)"));
    statements
}

pub(super) async fn open(place: &Place) -> Result<Switch, Trouble> {
    let plan = &place.plan;
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let options = client_file::text(&names::admin(plan), &password, "127.0.0.1", connect::port(place));
    let mut entrypoint = ["bash", "-c", SCRIPT, "switch"].map(str::to_owned).to_vec();
    entrypoint.push(PLACES.to_string());
    entrypoint.extend(give_back(&Before::of(plan)?.serving));
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
    pub(super) async fn arm(&self, cap: Duration, lock: &str, sessions: &[Known]) -> Result<(), Trouble> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_that_lasts_is_never_lifted_by_the_switch() {
        let plan = super::super::window_on_a_server::plan();
        let serving = Before::of(&plan).unwrap().serving;
        let statements = give_back(&serving);
        assert_eq!(statements.len(), 3);
        assert!(statements[1..].iter().all(|statement| statement.contains("IF(@lasts, @@GLOBAL.")));
        let disabled = give_back(&Serving { event_scheduler: "DISABLED".into(), ..serving });
        assert!(!disabled.iter().any(|statement| statement.contains("event_scheduler")), "it cannot be set");
    }
}
