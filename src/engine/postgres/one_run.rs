//! One switchover of one database at a time, whatever state directory or host it is run from: an advisory lock on V1.
//!
//! The session that the tool keeps on V1 has it, so it goes with the tool. Only what acts takes it: `status` looks beside a
//! tool at work. Between two processes of a run (prepared and not cut over yet) V2's container and what was made on V1 tell
//! of the run.

use std::time::Duration;

use super::names::literal;
use super::session::Session;
use crate::engine::Place;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// The same for every run. (`swit`, `run `)
const LOCK: (i32, i32) = (0x7377_6974, 0x7275_6e20);

/// How a holder is known in V1's list of sessions.
fn application(place: &Place) -> String {
    format!("switchover run {}", place.plan.tag())
}

/// This session has the lock. Held by an earlier process of this run: that process is gone, as the journal's lock is
/// ours, and its session is ended. Held by another run: trouble of the kind `Busy`.
pub(super) async fn ensure_alone(session: &Session, place: &Place) -> Result<(), Trouble> {
    let (name, (first, second)) = (literal(&application(place)), LOCK);
    session.run(&format!("SET application_name = {name}")).await?;
    let holders = format!(
        "SELECT a.pid, a.application_name FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid \
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = {first} AND l.objid = {second} \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let wait = Wait {
        what: "the session of an earlier process of this run to end",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(5) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        if session.text(&format!("SELECT pg_try_advisory_lock({first}, {second})")).await?.as_deref() == Some("t") {
            return Ok(Look::Done(()));
        }
        let others = format!(
            "SELECT string_agg(h.application_name, ', ') FROM ({holders}) AS h WHERE h.application_name <> {name}"
        );
        if let Some(other) = session.text(&others).await? {
            return Err(Trouble::busy(format!(
                "another run of this database is in progress: {}",
                other.escape_debug()
            ))
            .hint("it is run from another host or with another --state-dir; see pg_stat_activity on V1"));
        }
        session.text(&format!("SELECT count(pg_terminate_backend(h.pid)) FROM ({holders}) AS h")).await?;
        Ok(Look::NotYet("it is being ended".into()))
    })
    .await
}
