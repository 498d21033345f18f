//! The way back: below the line V1, shut for good, subscribes to V2. Its rows are compared before that.

use std::time::Duration;

use super::databases;
use super::{follow, large, publish, schema, settings};
use crate::engine::postgres::before::Before;
use crate::engine::postgres::session::Timeouts;
use crate::engine::postgres::snapshot::Views;
use crate::engine::postgres::{access, connect, files, one_run, prepare};
use crate::engine::{Place, Side, Snapshot};
use crate::runtime::{Attachment, State};
use crate::trouble::{Kind, Trouble};

const STOP_WITHIN: Duration = Duration::from_secs(120);

/// V1's data as of the switch: nobody has written to it since, and it follows nobody yet.
pub(super) async fn still(place: &Place) -> Result<Box<dyn Snapshot>, Trouble> {
    ensure_up(place).await?;
    Views::open(place).await?.begin().await?.listed().await
}

async fn ensure_up(place: &Place) -> Result<(), Trouble> {
    let found = connect::found(place).await?;
    let network = place.plan.private_network.clone();
    place.runtime.ensure_joined(&found.id, &Attachment { network, ..Attachment::default() }).await?;
    if found.state != State::Running {
        place.runtime.ensure_started(&found.id).await?;
        follow::until_it_answers(place).await?;
    }
    Ok(())
}

/// V1 follows V2, or `Err` says why it cannot, and it is stopped.
pub(super) async fn ensure_way_back(place: &Place) -> Result<Result<String, String>, Trouble> {
    let v2 = Place { side: Side::V2, ..place.clone() };
    let leader = connect::either(&v2, Timeouts::short(place.plan.limits.statement.0)).await?;
    let Some(found) = place.runtime.container(&place.plan.v1.id).await? else {
        publish::ensure_no_slots(&v2, &leader).await?;
        return Ok(Err("V1's container is gone".into()));
    };
    match follow_v2(place).await {
        Ok(how) => Ok(Ok(how)),
        Err(trouble) => {
            if !found.auto_remove {
                place.runtime.ensure_restart_policy(&found.id, "no").await?;
                place.runtime.ensure_stopped(&found.id, "SIGINT", STOP_WITHIN).await?;
            }
            // Without a follower they would only fill V2's disk.
            publish::ensure_no_slots(&v2, &leader).await?;
            Ok(Err(trouble.one_line()))
        }
    }
}

async fn follow_v2(place: &Place) -> Result<String, Trouble> {
    ensure_up(place).await?;
    let short = Timeouts::short(place.plan.limits.statement.0);
    let v2 = Place { side: Side::V2, ..place.clone() };
    let leader = connect::either(&v2, short).await?;
    // First, as a run that was cut off while it tidied up has no role on V2 any more to ask with.
    if follow::all_stream(&v2, &leader).await? {
        return Ok("V1 follows V2 in every database".into());
    }
    if !publish::has_slots(&v2, &leader).await? {
        return Err(Trouble::failed("V2 has kept no log for V1 since the switch"));
    }
    ensure_room(place, &connect::found(place).await?.id, short).await?;
    let v1 = connect::admin(place, "switchover", short).await?;
    publish::ensure_no_slots(place, &v1).await?;
    if !follow::is_subscribed(place, &v1).await? {
        // What V1 follows from now on: DDL on V2 since clients use it shows as a difference to it.
        schema::take_over(&v2, place).await?;
        large::take_over(&v2, place).await?;
    }
    drop(v1);
    follow::ensure_following(place, &leader, false).await.map(|(_, how)| how)
}

/// V1 serves nobody: where it has too few workers to follow, it is started anew with more.
async fn ensure_room(place: &Place, container: &str, short: Timeouts) -> Result<(), Trouble> {
    settings::ensure_while_it_follows(place).await?;
    let v1 = connect::admin(place, "switchover", short).await?;
    prepare::reload(&v1, place).await?;
    let databases = Before::logical(&place.plan)?.databases.len();
    if settings::has_room(&v1, databases).await? {
        return Ok(());
    }
    drop(v1);
    place.runtime.ensure_restart_policy(container, "no").await?;
    place.runtime.ensure_stopped(container, "SIGINT", STOP_WITHIN).await?;
    place.runtime.ensure_started(container).await?;
    follow::until_it_answers(place).await.map(drop)
}

/// This run met another one at its first act: nothing on V1 is its own.
pub(super) async fn is_anothers(place: &Place) -> Result<bool, Trouble> {
    let rules = files::text(place, "pg_hba.conf").await?;
    if access::is_marked(&rules, &place.plan) {
        return Ok(false);
    }
    let short = Timeouts::short(place.plan.limits.statement.0);
    let Ok(session) = connect::either(place, short).await else { return Ok(false) };
    Ok(matches!(one_run::ensure_alone(&session, place).await, Err(trouble) if trouble.kind == Kind::Busy))
}

/// What this side needed to follow is gone. What it needs to be followed is not its business.
pub(super) async fn ensure_unsubscribed(place: &Place) -> Result<(), Trouble> {
    let all = databases::reachable(place, Timeouts::short(place.plan.limits.statement.0)).await?;
    follow::ensure_unsubscribed(place, &all).await
}

/// V2 keeps nothing for V1 any more.
pub(super) async fn ensure_unpublished(place: &Place) -> Result<(), Trouble> {
    let session = connect::either(place, Timeouts::short(place.plan.limits.statement.0)).await?;
    publish::ensure_unpublished(place, &session).await?;
    prepare::reload(&session, place).await
}
