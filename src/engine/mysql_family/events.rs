//! Events of the server's scheduler: they run on the side that serves, and on no other.

use crate::engine::Place;
use crate::engine::mysql_wire::quote::qualified;
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

use super::said::OWN_SCHEMAS;

/// An event, by schema and name.
pub(in crate::engine) type Event = (String, String);

/// Clients come first: what keeps an event off is no reason to keep them out.
pub(in crate::engine) async fn ensure_enabled(session: &Session, place: &Place, events: &[Event]) {
    for (schema, name) in events {
        if let Err(trouble) = session.run(&format!("ALTER EVENT {} ENABLE", qualified(schema, name))).await {
            place.tell.warning(format!("event {schema}.{name} is not enabled on V2: {}", trouble.one_line()));
        }
    }
}

/// The scheduler runs where it ran on V1.
pub(in crate::engine) async fn ensure_scheduled(session: &Session, wanted: &str) -> Result<(), Trouble> {
    let now = session.text("SELECT @@GLOBAL.event_scheduler").await?.unwrap_or_default();
    if wanted == "ON" && now == "OFF" {
        session.run("SET GLOBAL event_scheduler = 'ON'").await?;
    }
    Ok(())
}

/// Events that were made or changed on the leader while the other side followed are disabled there, whatever they were. Those
/// that are enabled on the leader.
pub(in crate::engine) async fn put_aside(leader: &Session, follower: &Session) -> Result<Vec<Event>, Trouble> {
    let events = |session: &Session, status: &str| {
        // A list whatever the names are: a JSON array of two.
        let json = if session.is_mariadb() { "JSON_COMPACT(JSON_ARRAY" } else { "(JSON_ARRAY" };
        format!(
            "SELECT {json}(event_schema, event_name)) FROM information_schema.events \
             WHERE status IN ({status}) AND event_schema NOT IN ({OWN_SCHEMAS})"
        )
    };
    let read = |said: Vec<String>| -> Result<Vec<Event>, Trouble> {
        let read = |event: &String| serde_json::from_str(event);
        let all: Result<Vec<Event>, _> = said.iter().map(read).collect();
        all.map_err(|error| Trouble::bug("an event's name is not understood").because(error))
    };
    let aside = read(follower.list(&events(follower, "'SLAVESIDE_DISABLED', 'REPLICA_SIDE_DISABLED'")).await?)?;
    if aside.is_empty() {
        return Ok(Vec::new());
    }
    let enabled = read(leader.list(&events(leader, "'ENABLED'")).await?)?;
    Ok(aside.into_iter().filter(|event| enabled.contains(event)).collect())
}
