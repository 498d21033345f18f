//! Locks of V1's server, by which tool and dead-man's switch compete and by which each sees whether the other lives: a lock goes
//! with the session that holds it.

use super::names;
use crate::engine::Place;
use crate::engine::mysql_wire::quote::literal;
use crate::engine::mysql_wire::session::{Session, code_of};
use crate::trouble::Trouble;

/// A subquery gave more than one row: what [`guarded`] makes of a switch that is not armed.
const MORE_THAN_ONE: u16 = 1242;

/// A session of the window's, as the switch must know it: its number, and the lock that it holds for as long as it lives.
pub(in crate::engine) struct Known {
    pub(in crate::engine) id: u32,
    pub(in crate::engine) lock: String,
}

/// The lock of such a session. `_` is no part of a tag.
pub(in crate::engine) fn session_lock(place: &Place, n: u32) -> String {
    format!("switchover session {}-{n}", place.plan.tag())
}

/// The lock by which a run's switch is found, whatever the attempt.
pub(in crate::engine) fn switch_lock(place: &Place) -> String {
    let armed = names::armed_lock(&place.plan, 0);
    armed.rsplit_once(' ').map_or_else(|| armed.clone(), |(of_run, _)| of_run.to_owned())
}

pub(in crate::engine) fn window_lock() -> String {
    literal(names::WINDOW_LOCK)
}

/// A condition: this attempt's switch is armed and has not woken.
pub(in crate::engine) fn armed(lock: &str) -> String {
    format!("IS_USED_LOCK({}) IS NOT NULL", literal(lock))
}

/// An expression: `value`, or an error where the switch is not armed.
pub(in crate::engine) fn guarded(lock: &str, value: &str) -> String {
    format!("IF({}, {value}, (SELECT 1 UNION SELECT 2))", armed(lock))
}

/// The sessions of a window, each with its lock.
pub(in crate::engine) async fn ensure_known(place: &Place, sessions: &[&Session]) -> Result<Vec<Known>, Trouble> {
    let mut known = Vec::new();
    for (n, session) in (1..).zip(sessions) {
        let lock = session_lock(place, n);
        if session.text(&format!("SELECT GET_LOCK({}, 5)", literal(&lock))).await?.as_deref() != Some("1") {
            return Err(Trouble::failed("a session of an earlier attempt is still on V1"));
        }
        known.push(Known { id: session.id(), lock });
    }
    Ok(known)
}

/// Sets a variable in one statement that first sees this attempt's switch armed.
pub(in crate::engine) async fn set(
    session: &Session,
    lock: &str,
    how: &str,
    name: &str,
    value: &str,
) -> Result<(), Trouble> {
    let sql = format!("SET {how} {name} = {}", guarded(lock, value));
    match session.run(&sql).await {
        Err(trouble) if code_of(&trouble) == Some(MORE_THAN_ONE) => Err(not_armed()),
        other => other,
    }
}

pub(in crate::engine) async fn still_armed(session: &Session, lock: &str) -> Result<(), Trouble> {
    match session.text(&format!("SELECT {}", armed(lock))).await?.as_deref() {
        Some("1") => Ok(()),
        _ => Err(not_armed()),
    }
}

/// The window's lock, or an error where the switch has it.
pub(in crate::engine) async fn take(session: &Session, lock: &str) -> Result<(), Trouble> {
    let sql = format!("SELECT IF({}, GET_LOCK({}, 0), 0)", armed(lock), window_lock());
    match session.text(&sql).await?.as_deref() {
        Some("1") => Ok(()),
        _ => Err(Trouble::failed("the dead-man's switch has the window's lock: V1 is being given back")),
    }
}

pub(in crate::engine) fn not_armed() -> Trouble {
    Trouble::failed("the dead-man's switch of this attempt is no longer armed: V1 has been given back to its clients")
}

/// As the script of a switch takes it: `arm SECONDS LOCK SESSION:LOCK…`, with `_` for a space.
pub(in crate::engine) fn order(cap: std::time::Duration, lock: &str, sessions: &[Known]) -> String {
    let known: Vec<String> = sessions
        .iter()
        .map(|session| format!("{}:{}", session.id, session.lock.rsplit(' ').next().unwrap_or_default()))
        .collect();
    format!("arm {:.3} {} {}", cap.as_secs_f64(), lock.replace(' ', "_"), known.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::any_plan;

    #[test]
    fn the_lock_of_an_attempt_begins_with_that_of_the_run() {
        let armed = names::armed_lock(&any_plan(), 3);
        assert!(!armed.contains('_'), "the script writes spaces so");
        assert_eq!(armed.rsplit_once(' ').map(|(of_run, _)| of_run), Some("switchover armed 7f3a1c2b"));
        let known = [Known { id: 7, lock: "switchover session 7f3a1c2b-1".into() }];
        let order = order(std::time::Duration::from_secs(10), &armed, &known);
        assert_eq!(order, "arm 10.000 switchover_armed_7f3a1c2b_3 7:7f3a1c2b-1");
    }
}
