//! V1's own subscriptions. What they write comes by no door: they are disabled on V1 while it is shut and go on on V2 from
//! where V1 left off (what they have applied is in the copy). Who turns back enables them again.
//!
//! By a row of the catalog that all databases share, and not by ALTER SUBSCRIPTION: that works only in the
//! subscription's own database, and the dead-man's switch has one session. The launcher looks at that catalog again
//! whenever the configuration is reloaded.

use super::before::Before;
use super::session::Session;
use crate::engine::Place;
use crate::trouble::Trouble;

/// A statement; nothing where V1 subscribes to nobody.
pub(super) fn disable(before: &Before) -> Option<String> {
    set(before, false)
}

/// The same the other way round: only those that the run found enabled.
pub(super) fn enable(before: &Before) -> Option<String> {
    set(before, true)
}

/// Enabled, and their launcher awake.
pub(super) async fn ensure_enabled(session: &Session, place: &Place) -> Result<(), Trouble> {
    let Some(statement) = enable(&Before::of(&place.plan)?) else { return Ok(()) };
    session.run(&statement).await?;
    session.run("SELECT pg_reload_conf()").await
}

fn set(before: &Before, enabled: bool) -> Option<String> {
    if before.subscriptions.is_empty() {
        return None;
    }
    let oids = before.subscriptions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(format!(
        "UPDATE pg_catalog.pg_subscription SET subenabled = {enabled} WHERE subenabled <> {enabled} AND oid IN ({oids})"
    ))
}
