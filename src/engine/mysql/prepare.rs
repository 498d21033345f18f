//! V1 can be followed, and put back exactly as it was.

use super::before::Before;
use super::connect::{self, Session, Timeouts};
use super::names::{self, RUN_LOCK};
use super::{accounts, give_back, gtid, seed};
use crate::engine::Place;
use crate::engine::mysql_wire::quote::literal;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

pub(super) fn timeouts(place: &Place) -> Timeouts {
    Timeouts::short(place.plan.limits.statement.0)
}

/// The session is the tool's own: one of the user's account would be ended with all others in the window.
pub(super) async fn ensure_followable(place: &Place) -> Result<(Session, String), Trouble> {
    let before = Before::of(&place.plan)?;
    accounts::ensure(&connect::either(place, timeouts(place)).await?, place).await?;
    let session = connect::admin(place, timeouts(place)).await?;
    ensure_alone(&session, place).await?;
    let mut did = vec!["V1 lets the tool and V2 in"];
    if before.gtid.is_some() {
        gtid::ensure_on(&session, &place.tell).await?;
        did.push("its transactions have GTIDs");
    }
    if before.auto_purge.is_some() {
        session.run("SET GLOBAL binlog_expire_logs_auto_purge = OFF").await?;
        did.push("it keeps its log");
    }
    Ok((session, did.join(", ")))
}

/// What was set on V1 for the run alone, as it was.
pub(super) async fn ensure_settings_back(session: &Session, place: &Place) -> Result<(), Trouble> {
    let before = Before::of(&place.plan)?;
    if !before.has_clone {
        seed::clone::ensure_no_plugin(session).await?;
    }
    if let Some(was) = &before.auto_purge {
        let was = if was == "OFF" { "OFF" } else { "ON" };
        session.run(&format!("SET GLOBAL binlog_expire_logs_auto_purge = {was}")).await?;
    }
    if let Some(was) = &before.gtid {
        gtid::ensure_as(session, was, &place.tell).await?;
    }
    Ok(())
}

pub(super) async fn ensure_unfollowable(place: &Place) -> Result<(), Trouble> {
    give_back::ensure_given_back(place, &[]).await?;
    let session = connect::either(place, timeouts(place)).await?;
    let plan = &place.plan;
    accounts::ensure_no_schema(&session, place).await?;
    accounts::ensure_none(&session, &[names::probe(plan), names::replication(plan), names::admin(plan)]).await?;
    ensure_settings_back(&session, place).await
}

/// One switchover of one database at a time, whatever host it is run from: this session has V1's lock. Held by an earlier
/// process of this run, that one's session is ended, as the journal's lock is ours. Held by another run: `Busy`.
pub(super) async fn ensure_alone(session: &Session, place: &Place) -> Result<(), Trouble> {
    let lock = literal(RUN_LOCK);
    let ours = names::admin(&place.plan);
    let wait = Wait {
        what: "the session of an earlier process of this run to end",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: std::time::Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        if session.text(&format!("SELECT GET_LOCK({lock}, 0)")).await?.as_deref() == Some("1") {
            return Ok(Look::Done(()));
        }
        let holder = format!(
            "SELECT processlist_user FROM performance_schema.threads WHERE processlist_id = IS_USED_LOCK({lock})"
        );
        match session.text(&holder).await? {
            Some(user) if user != ours => {
                return Err(Trouble::busy(format!(
                    "another run of this database is in progress: {}",
                    user.escape_debug()
                ))
                .hint("it is run from another host or with another --state-dir; see SHOW PROCESSLIST on V1"));
            }
            Some(_) => {
                let _ended_by_itself = session.run(&format!("KILL CONNECTION IS_USED_LOCK({lock})")).await;
            }
            None => {}
        }
        Ok(Look::NotYet("it is being ended".into()))
    })
    .await
}
