//! V2 runs, closed to clients, and applies V1's changes.

use std::time::Duration;

use super::session::{Session, Timeouts, Turned, turned};
use super::standby::{self, Follows};
use super::{auto_conf, connect, files, names, position, prepare};
use crate::engine::{Lag, Place, Position, Side};
use crate::runtime::{Container, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A follower that is stopped loses nothing, however it ends.
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// Lines of V2's log that are shown when it does not start.
const LOG_LINES: usize = 12;

/// Writes the files where it does not run yet, starts it, and waits until it receives from V1.
pub(super) async fn ensure_following(place: &Place) -> Result<(Session, String), Trouble> {
    let found = connect::found(place).await?;
    if found.state == State::Running {
        take_over(place).await?;
    } else {
        if files::read(place, "PG_VERSION").await?.is_none() {
            return Err(Trouble::failed("V2 holds no copy to follow with").hint("`switchover abort`, then run again"));
        }
        let current = files::text(place, "postgresql.auto.conf").await?;
        standby::close(place).await?;
        let original = auto_conf::without_ours(&current, &place.plan);
        standby::write(place, &original, keep_mib(place), standby::Leader::Other).await?;
        place.runtime.ensure_restart_policy(&found.id, &place.plan.v1_restart_policy).await?;
        place.runtime.ensure_started(&found.id).await?;
    }
    until_following(place).await
}

/// A follower that an earlier run left (the way back) does not know this run yet: it is given our files while it runs.
async fn take_over(place: &Place) -> Result<(), Trouble> {
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    match connect::admin(place, "switchover", timeouts).await {
        Err(trouble) if turned(&trouble) == Some(Turned::Away) => {}
        _ => return Ok(()),
    }
    if files::read(place, "standby.signal").await?.is_none() {
        return Err(Trouble::failed(format!("{} refuses us, and is no follower", place.side)));
    }
    let current = files::text(place, "postgresql.auto.conf").await?;
    standby::close(place).await?;
    standby::write(place, &auto_conf::without_any(&current), keep_mib(place), standby::Leader::Other).await?;
    files::reload(place).await
}

/// What V2 may keep for V1 as the way back.
pub(super) fn keep_mib(place: &Place) -> u64 {
    (place.plan.limits.way_back.0 >> 20).clamp(256, 2_000_000_000)
}

/// Waits for a started follower. One that ends, or ends again and again, says why.
pub(super) async fn until_following(place: &Place) -> Result<(Session, String), Trouble> {
    let other = place.side.other();
    let what = format!("{} to follow {other}", place.side);
    let wait = Wait {
        what: &what,
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    let first = connect::found(place).await?;
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    let mut session = None;
    let lsn = wait::until(wait, &place.tell, async || {
        refuse_ended(place, &first).await?;
        if session.as_ref().is_none_or(|session: &Session| !session.is_alive()) {
            match connect::admin(place, "switchover", timeouts).await {
                Ok(new) => session = Some(new),
                Err(trouble) => return Ok(Look::NotYet(trouble.one_line())),
            }
        }
        let Some(open) = &session else { return Ok(Look::NotYet("no session".into())) };
        match standby::follows(open).await {
            Ok(Follows::Yes(lsn)) => Ok(Look::Done(lsn)),
            Ok(Follows::NotYet(why)) => {
                refuse_if_lost(place).await?;
                Ok(Look::NotYet(why))
            }
            Ok(Follows::No) => Err(Trouble::failed(format!("{} is no follower: it is writable", place.side))),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        }
    })
    .await?;
    let session = session.ok_or_else(|| Trouble::bug("a follower was seen without a session"))?;
    Ok((session, format!("{} follows {other}, closed to clients, at {lsn}", place.side)))
}

/// A server that has ended since, or was started again, will not get better by waiting.
pub(super) async fn refuse_ended(place: &Place, first: &Container) -> Result<(), Trouble> {
    let now = connect::found(place).await?;
    if now.state == State::Running && now.started_at == first.started_at {
        return Ok(());
    }
    let log = place.runtime.log_tail(&now.id, LOG_LINES).await?;
    let what = match now.state {
        State::Exited(code) => format!("{}'s server ended with code {code} instead of following", place.side),
        _ => format!("{}'s server keeps ending instead of following", place.side),
    };
    Err(Trouble::failed(what)
        .because(Trouble::failed(log))
        .hint(format!("docker logs {}", now.name))
        .hint("if its image or settings are at fault: mend them, and run again"))
}

/// The other side is asked only when streaming does not work: that is where the reason is.
async fn refuse_if_lost(place: &Place) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    // A container that is gone does not come back under its id.
    connect::found(&leader).await?;
    match connect::admin(&leader, "switchover", timeouts).await {
        Ok(session) => prepare::refuse_lost(&session, &names::slot(&place.plan)).await,
        // It may be restarting; the wait's own reason is told.
        Err(_) => Ok(()),
    }
}

pub(super) async fn ensure_not_following(place: &Place) -> Result<(), Trouble> {
    match connect::found(place).await {
        Ok(found) => place.runtime.ensure_stopped(&found.id, "SIGINT", STOP_WITHIN).await.map(drop),
        // Nothing to stop: an undo may meet nothing.
        Err(trouble) if place.side == Side::V2 && place.plan.v2.id.is_empty() => {
            match place.runtime.container(&place.plan.v2.container).await? {
                None => Ok(()),
                Some(_) => Err(trouble),
            }
        }
        Err(trouble) => Err(trouble),
    }
}

/// How far V2 is behind V1's position; nothing where it does not say. (`greatest` would make zero of it: unknown is
/// never zero.)
pub(super) async fn behind(session: &Session, position: &Position) -> Result<Option<Lag>, Trouble> {
    let sql = format!(
        "SELECT CASE WHEN pg_is_in_recovery() AND replayed IS NOT NULL \
         THEN greatest(0, pg_wal_lsn_diff('{}', replayed)) END FROM pg_last_wal_replay_lsn() AS replayed",
        position::lsn(position)?
    );
    let bytes = session.text(&sql).await?;
    Ok(bytes.and_then(|bytes| bytes.parse().ok()).map(|bytes| Lag { bytes }))
}

/// Why nothing can be measured, where that is for good.
pub(super) async fn refuse_dead(place: &Place) -> Result<(), Trouble> {
    let now = connect::found(place).await?;
    if matches!(now.state, State::Running | State::Restarting) {
        return refuse_if_lost(place).await;
    }
    let log = place.runtime.log_tail(&now.id, LOG_LINES).await?;
    Err(Trouble::failed(format!("{} no longer runs: container {} is {:?}", place.side, now.name, now.state))
        .because(Trouble::failed(log))
        .hint(format!("docker logs {}", now.name))
        .hint("`switchover resume` starts it again"))
}

/// One round trip: for use inside the window.
pub(super) async fn has_applied(session: &Session, position: &Position) -> Result<bool, Trouble> {
    let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{}'::pg_lsn", position::lsn(position)?);
    Ok(session.text(&sql).await?.as_deref() == Some("t"))
}
