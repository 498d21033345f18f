//! Clients may write on V2, and its events run.

use super::before::Before;
use crate::engine::Place;
use crate::engine::mysql_family::events::{self, Event};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// That clients do get in is proven by the write through their own address that follows.
pub(super) async fn ensure_open(session: &Session, place: &Place, enabled: &[Event]) -> Result<(), Trouble> {
    session.run("SET GLOBAL read_only = 0").await?;
    events::ensure_enabled(session, place, enabled).await;
    events::ensure_scheduled(session, &Before::of(&place.plan)?.serving.event_scheduler).await
}
