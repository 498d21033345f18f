//! V1 can be followed, and put back exactly as it was.

use super::before::Before;
use super::{give_back, restart, seed};
use crate::engine::Place;
use crate::engine::mysql_family::{accounts, connect, names, one_run, running};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// The session is the tool's own: one of the user's account would be ended with all others in the window.
pub(super) async fn ensure_followable(place: &Place) -> Result<(Session, String), Trouble> {
    accounts::ensure(&connect::either(place, running::timeouts(place)).await?, place).await?;
    let session = connect::admin(place, running::timeouts(place)).await?;
    one_run::ensure_alone(&session, place).await?;
    if Before::of(&place.plan)?.serving.binlog_format != "MIXED" {
        return Ok((session, "V1 lets the tool and V2 in".into()));
    }
    // A statement that finds other rows on V2 changes others, and nobody is told; a row that is not there is an error.
    session.run("SET GLOBAL binlog_format = 'ROW'").await?;
    Ok((session, "V1 lets the tool and V2 in, and its new sessions log rows".into()))
}

pub(super) async fn ensure_unfollowable(place: &Place) -> Result<(), Trouble> {
    restart::ensure_runs(place).await?;
    give_back::ensure_given_back(place, &[]).await?;
    let session = connect::either(place, running::timeouts(place)).await?;
    if Before::of(&place.plan)?.serving.binlog_format == "MIXED" {
        session.run("SET GLOBAL binlog_format = 'MIXED'").await?;
    }
    seed::ensure_settings_back(&session, place).await?;
    let plan = &place.plan;
    accounts::ensure_no_schema(&session, place).await?;
    accounts::ensure_none(&session, &[names::probe(plan), names::replication(plan), names::admin(plan)]).await
}
