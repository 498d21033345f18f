//! Clients may write on V2, and its events run.

use super::before::Before;
use super::option_file::{self, Role};
use crate::engine::Place;
use crate::engine::mysql_family::door;
use crate::engine::mysql_family::events::{self, Event};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// That clients do get in is proven by the write through their own address that follows. They come first: nothing of what
/// comes after is a reason to keep them out.
pub(super) async fn ensure_open(session: &Session, place: &Place, enabled: &[Event]) -> Result<(), Trouble> {
    let serving = Before::of(&place.plan)?.serving;
    session.run("SET GLOBAL read_only = 0").await?;
    door::ensure_open(session, serving.max_connections).await?;
    option_file::ensure(place, Role::Leads).await?;
    events::ensure_enabled(session, place, enabled).await;
    events::ensure_scheduled(session, &serving.event_scheduler).await
}
