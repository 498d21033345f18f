//! V2 becomes writable, still closed; and, where the run turns back, a follower again.

use std::time::Duration;

use super::session::Session;
use super::{connect, files, follow, rewind, seed, standby};
use crate::engine::Place;
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// For use inside the window: nothing but round trips. `pg_promote(true)` would sleep 100 ms between two looks.
pub(super) async fn ensure_promoted(session: &Session, place: &Place) -> Result<String, Trouble> {
    const LOOK: &str =
        "SELECT CASE WHEN pg_is_in_recovery() THEN 'recovery' ELSE current_setting('transaction_read_only') END";
    const PROMOTE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(false) ELSE true END";
    if session.text(PROMOTE).await?.as_deref() != Some("t") {
        return Err(Trouble::failed("V2 could not be told to become writable"));
    }
    let wait = Wait {
        what: "V2 to become writable",
        limit: Limit { name: "limits.cutover", value: place.plan.limits.cutover.0 },
        every: Duration::from_millis(1),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        Ok(match session.text(LOOK).await?.as_deref() {
            Some("off") => Look::Done(()),
            Some("recovery") => Look::NotYet("it is still in recovery".into()),
            _ => Look::NotYet("it still refuses writes".into()),
        })
    })
    .await?;
    Ok("V2 is writable, and closed to clients".into())
}

/// V2 is a follower again. Nothing happens to one that was never promoted.
pub(super) async fn ensure_demoted(place: &Place) -> Result<Session, Trouble> {
    if is_follower(place).await? {
        match follow::ensure_following(place).await {
            Ok((session, _)) => return Ok(session),
            // A promotion that was still under way takes the mark away at its end.
            Err(_) if !is_follower(place).await? => {}
            Err(trouble) => return Err(trouble),
        }
    }
    let container = connect::found(place).await?;
    // While it stands still, nothing may start it as it is.
    place.runtime.ensure_restart_policy(&container.id, "no").await?;
    place.runtime.ensure_stopped(&container.id, "SIGINT", Duration::from_secs(120)).await?;
    match again_by_rewind(place).await {
        Ok(session) => Ok(session),
        Err(trouble) if !place.plan.made_v2() => Err(Trouble::failed(
            "the side that was to serve again was promoted and cannot be rewound: it is stopped, and is no way back any more",
        )
        .because(trouble)),
        Err(trouble) => {
            place.tell.warning(format!(
                "V2 was promoted and cannot be rewound; its data is copied anew ({})",
                trouble.one_line()
            ));
            again_by_copy(place).await
        }
    }
}

/// A follower has its mark on disk, which promotion removes. A copy that was not started yet (a fresh one, or a rewound
/// one before its files were written) has its backup's label.
async fn is_follower(place: &Place) -> Result<bool, Trouble> {
    for mark in ["standby.signal", "backup_label"] {
        if files::read(place, mark).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What it holds has gone its own way: it was promoted, and is stopped now.
pub(super) async fn is_stray(place: &Place) -> Result<bool, Trouble> {
    let stopped = connect::found(place).await?.state != State::Running;
    Ok(stopped && files::read(place, "PG_VERSION").await?.is_some() && !is_follower(place).await?)
}

async fn again_by_rewind(place: &Place) -> Result<Session, Trouble> {
    rewind::ensure_rewound(place, "V2").await?;
    // The rewind has brought V1's own files: without these V2 would start as a second V1.
    standby::close(place).await?;
    rewind::ended(place).await?;
    follow::ensure_following(place).await.map(|(session, _)| session)
}

async fn again_by_copy(place: &Place) -> Result<Session, Trouble> {
    let container = connect::found(place).await?;
    if container.state == State::Running {
        place.runtime.ensure_stopped(&container.id, "SIGINT", Duration::from_secs(120)).await?;
    }
    seed::copy::ensure_unseeded(place).await?;
    seed::copy::ensure_seeded(place).await?;
    rewind::ended(place).await?;
    follow::ensure_following(place).await.map(|(session, _)| session)
}
