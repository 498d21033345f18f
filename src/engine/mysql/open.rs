//! Clients may write on V2, and its events run.

use super::before::Before;
use super::connect::Session;
use super::said::{OWN_SCHEMAS, list};
use crate::engine::Place;
use crate::engine::mysql_wire::quote::qualified;
use crate::trouble::Trouble;

/// An event, by schema and name.
pub(super) type Event = (String, String);

/// That clients do get in is proven by the write through their own address that follows.
pub(super) async fn ensure_open(session: &Session, place: &Place, events: &[Event]) -> Result<(), Trouble> {
    session.run("SET GLOBAL super_read_only = 0").await?;
    session.run("SET GLOBAL read_only = 0").await?;
    session.run("RESET PERSIST IF EXISTS super_read_only").await?;
    // Clients first: what keeps an event off is no reason to keep them out.
    for (schema, name) in events {
        if let Err(trouble) = session.run(&format!("ALTER EVENT {} ENABLE", qualified(schema, name))).await {
            place.tell.warning(format!("event {schema}.{name} is not enabled on V2: {}", trouble.one_line()));
        }
    }
    ensure_events_run(session, place).await
}

async fn ensure_events_run(session: &Session, place: &Place) -> Result<(), Trouble> {
    session.run("RESET PERSIST IF EXISTS event_scheduler").await?;
    let wanted = Before::of(&place.plan)?.serving.event_scheduler;
    let now = session.text("SELECT @@GLOBAL.event_scheduler").await?.unwrap_or_default();
    if wanted == "ON" && now == "OFF" {
        session.run("SET GLOBAL event_scheduler = 'ON'").await?;
    }
    Ok(())
}

/// Events that were made or changed on the leader while the other side followed are disabled there, whatever they were. Those
/// that are enabled on the leader.
pub(super) async fn put_aside(leader: &Session, follower: &Session) -> Result<Vec<Event>, Trouble> {
    let events = |status: &str| {
        format!(
            "SELECT JSON_ARRAY(event_schema, event_name) FROM information_schema.events \
             WHERE status IN ({status}) AND event_schema NOT IN ({OWN_SCHEMAS})"
        )
    };
    let aside = list(follower, &events("'SLAVESIDE_DISABLED', 'REPLICA_SIDE_DISABLED'")).await?;
    if aside.is_empty() {
        return Ok(Vec::new());
    }
    let enabled = list(leader, &events("'ENABLED'")).await?;
    aside
        .iter()
        .filter(|event| enabled.contains(event))
        .map(|event| {
            serde_json::from_str(event)
                .map_err(|error| Trouble::bug("an event's name is not understood").because(error))
        })
        .collect()
}
