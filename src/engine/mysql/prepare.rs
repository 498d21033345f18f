//! V1 can be followed, and put back exactly as it was.

use super::before::Before;
use super::{give_back, gtid, seed};
use crate::engine::Place;
use crate::engine::mysql_family::seed::Seed;
use crate::engine::mysql_family::{accounts, connect, names, one_run, running};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// The session is the tool's own: one of the user's account would be ended with all others in the window.
pub(super) async fn ensure_followable(place: &Place) -> Result<(Session, String), Trouble> {
    let before = Before::of(&place.plan)?;
    accounts::ensure(&connect::either(place, running::timeouts(place)).await?, place).await?;
    let session = connect::admin(place, running::timeouts(place)).await?;
    one_run::ensure_alone(&session, place).await?;
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
    if Seed::of(&place.plan) == Seed::Volume {
        seed::volume::ensure_settings_back(session, place).await?;
    }
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
    let session = connect::either(place, running::timeouts(place)).await?;
    let plan = &place.plan;
    accounts::ensure_no_schema(&session, place).await?;
    accounts::ensure_none(&session, &[names::probe(plan), names::replication(plan), names::admin(plan)]).await?;
    ensure_settings_back(&session, place).await
}
