//! The binary log on V1, which is off in the official image and takes a restart. Done once, before anything else, and only
//! where it is allowed. The engine stops and starts the container by one call, so that a tool that dies leaves no V1 down.

use std::time::{Duration, Instant};

use super::before::Before;
use super::option_file::{self, Role};
use crate::engine::Place;
use crate::engine::mysql_family::{connect, one_run, running};
use crate::engine::mysql_wire::session::Session;
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait, human};

/// A server that has not ended by then is killed by the engine, and recovers.
const STOP_WITHIN: Duration = Duration::from_secs(120);
const START_WITHIN: Duration = Duration::from_secs(600);

/// V1 writes a binary log. Says how long it answered nobody.
pub(super) async fn ensure_restarted(place: &Place) -> Result<String, Trouble> {
    if !Before::of(&place.plan)?.restart {
        return Ok("V1 needs no restart".into());
    }
    let session = connect::either(place, running::timeouts(place)).await?;
    one_run::ensure_alone(&session, place).await?;
    if writes_a_log(&session).await? {
        return Ok("V1 writes a binary log".into());
    }
    option_file::ensure(place, Role::Leads).await?;
    drop(session);
    let since = connect::found(place).await?;
    let began = Instant::now();
    place.runtime.ensure_restarted(&since.id, &since.started_at, STOP_WITHIN).await?;
    let session = until_it_answers(place).await?;
    if !writes_a_log(&session).await? {
        return Err(Trouble::failed("V1 was restarted, and writes no binary log yet")
            .hint(format!(
                "is {} read? docker exec {} mariadbd --print-defaults",
                option_file::path(place)?,
                since.name
            ))
            .hint("its command line may say skip-log-bin, which beats every file"));
    }
    Ok(format!("V1 was restarted once, for its binary log; it answered nobody for {}", human(began.elapsed())))
}

/// Our file is gone, and V1 runs; what is in force stays until its next start.
pub(super) async fn ensure_forgotten(place: &Place) -> Result<(), Trouble> {
    if !Before::of(&place.plan)?.restart || connect::is_gone(place).await? {
        return Ok(());
    }
    ensure_runs(place).await?;
    option_file::ensure_none(place).await
}

/// A restart that went wrong half-way leaves no V1 that is down.
pub(super) async fn ensure_runs(place: &Place) -> Result<(), Trouble> {
    if !Before::of(&place.plan)?.restart || connect::is_gone(place).await? {
        return Ok(());
    }
    let found = connect::found(place).await?;
    if found.state == State::Running {
        return Ok(());
    }
    place.runtime.ensure_started(&found.id).await?;
    until_it_answers(place).await.map(drop)
}

async fn writes_a_log(session: &Session) -> Result<bool, Trouble> {
    Ok(session.text("SELECT @@GLOBAL.log_bin").await?.as_deref() == Some("1"))
}

async fn until_it_answers(place: &Place) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V1 to answer again",
        limit: Limit { name: "the time to start", value: START_WITHIN },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let first = connect::found(place).await?;
    wait::until(wait, &place.tell, async || {
        running::refuse_ended(place, &first).await?;
        match connect::either(place, running::timeouts(place)).await {
            Ok(session) => Ok(Look::Done(session)),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        }
    })
    .await
}
