//! Clients may write on V2, and its events run.

use super::before::Before;
use super::option_file::{self, Role};
use crate::engine::Place;
use crate::engine::mysql_family::door;
use crate::engine::mysql_family::events::{self, Event};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// That clients do get in is proven by the write through their own address that follows.
pub(super) async fn ensure_open(session: &Session, place: &Place) -> Result<(), Trouble> {
    session.run("SET GLOBAL read_only = 0").await?;
    door::ensure_open(session, Before::of(&place.plan)?.serving.max_connections).await
}

/// Nothing of this is a reason to keep clients out meanwhile. In the end once more, for a V2 that was started anew before this had
/// begun.
pub(super) async fn ensure_lasts(session: &Session, place: &Place, enabled: &[Event]) -> Result<(), Trouble> {
    let serving = Before::of(&place.plan)?.serving;
    option_file::ensure(place, Role::Leads).await?;
    events::ensure_enabled(session, place, enabled).await;
    events::ensure_scheduled(session, &serving.event_scheduler).await?;
    ensure_open(session, place).await
}
