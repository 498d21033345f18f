//! `wal_level` on V1: the one thing that takes a restart (up to 18). Done once, before anything else, and only where it is
//! allowed. The engine stops and starts the container by one call, so that a tool that dies leaves no V1 that is down.

use std::time::{Duration, Instant};

use crate::engine::Place;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::{auto_conf, connect, files, follow, one_run, prepare};
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait, human};

/// A server that has not ended by then is killed by the engine, and recovers.
const START_WITHIN: Duration = Duration::from_secs(600);
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// V1 writes a log that can be read row by row. Says how long it answered nobody.
pub(super) async fn ensure_restarted(place: &Place) -> Result<String, Trouble> {
    if Before::logical(&place.plan)?.restart.is_none() {
        return Ok("V1 needs no restart".into());
    }
    let short = Timeouts::short(place.plan.limits.statement.0);
    let session = connect::either(place, short).await?;
    one_run::ensure_alone(&session, place).await?;
    if is_logical(&session).await? {
        return Ok("V1 writes a log that can be read row by row".into());
    }
    prepare::ensure_settings(&session, place).await?;
    // What is written down now need not be written down while nobody is served.
    let slow = connect::either(place, Timeouts::NONE).await?;
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 };
    wait::within(limit, "a checkpoint on V1", slow.run("CHECKPOINT")).await?;
    drop((slow, session));
    let since = connect::found(place).await?;
    let began = Instant::now();
    place.runtime.ensure_restarted(&since.id, &since.started_at, STOP_WITHIN).await?;
    let session = until_it_answers(place, short).await?;
    if !is_logical(&session).await? {
        return Err(Trouble::failed("V1 was restarted, and its wal_level is not logical yet")
            .hint("see pg_file_settings on V1: another file or its command line sets it"));
    }
    Ok(format!("V1 was restarted once, for wal_level; it answered nobody for {}", human(began.elapsed())))
}

/// Our setting is gone from V1's files, and V1 runs; what is in force stays until its next start.
pub(super) async fn ensure_forgotten(place: &Place) -> Result<(), Trouble> {
    if Before::logical(&place.plan)?.restart.is_none() {
        return Ok(());
    }
    ensure_runs(place).await?;
    files::rewrite(place, "postgresql.auto.conf", |text| auto_conf::without_ours(text, &place.plan)).await?;
    files::reload(place).await
}

/// A restart that went wrong half-way leaves no V1 that is down.
pub(super) async fn ensure_runs(place: &Place) -> Result<(), Trouble> {
    if Before::logical(&place.plan)?.restart.is_none() {
        return Ok(());
    }
    let found = connect::found(place).await?;
    if found.state == State::Running {
        return Ok(());
    }
    place.runtime.ensure_started(&found.id).await?;
    until_it_answers(place, Timeouts::short(place.plan.limits.statement.0)).await.map(drop)
}

async fn is_logical(session: &Session) -> Result<bool, Trouble> {
    Ok(session.text("SHOW wal_level").await?.as_deref() == Some("logical"))
}

async fn until_it_answers(place: &Place, short: Timeouts) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V1 to answer again",
        limit: Limit { name: "the time to start", value: START_WITHIN },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let first = connect::found(place).await?;
    wait::until(wait, &place.tell, async || {
        follow::refuse_ended(place, &first).await?;
        match connect::either(place, short).await {
            Ok(session) => Ok(Look::Done(session)),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        }
    })
    .await
}
