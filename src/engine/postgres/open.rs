//! Clients get into V2, by V1's own access rules; and V1's archiving goes on there.
//!
//! The files are made ready while there is time, on V2's disk, and renamed in the window.

use super::session::Session;
use super::window::copy_to;
use super::{access, auto_conf, connect, files, follow, prepare, subscriptions};
use crate::engine::Place;
use crate::trouble::Trouble;

/// Settings first: the rules that are still there say that it is not finished.
const RENAME: &str = "cat >/dev/null; [ -e switchover.open-hba ] || exit 0; \
    [ ! -e switchover.open-conf ] || mv -f switchover.open-conf postgresql.auto.conf && \
    mv -f switchover.open-hba pg_hba.conf && sync .";

/// What V2 will have when it serves: V1's present rules and settings, without what the run set on V1.
pub(super) async fn make_ready(place: &Place) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let settings = files::text(&leader, "postgresql.auto.conf").await?;
    let original = auto_conf::without_ours(&settings, &place.plan);
    let kept =
        [("wal_log_hints", "on".to_owned()), ("max_slot_wal_keep_size", format!("{}MB", follow::keep_mib(place)))];
    make_ready_with(place, &auto_conf::with_ours(&original, &place.plan, &kept)).await
}

/// The same with these settings.
pub(super) async fn make_ready_with(place: &Place, settings: &str) -> Result<(), Trouble> {
    let rules = rules_of_leader(place).await?;
    files::write(place, files::OPEN_SETTINGS, settings.as_bytes()).await?;
    files::write(place, files::OPEN_RULES, access::with_our_rules(&rules, &place.plan).as_bytes()).await
}

pub(super) async fn rules_of_leader(place: &Place) -> Result<String, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let rules = files::text(&leader, "pg_hba.conf").await?;
    match access::fence_of(&rules, &place.plan) {
        access::Fence::None => Ok(rules),
        _ => Err(Trouble::failed("V1's access rules are those of a fence; they cannot be carried to V2")),
    }
}

/// That clients do get in is proven by the write through their own address that follows: a knock here would cost them
/// its time.
pub(super) async fn ensure_open(session: &Session, place: &Place) -> Result<(), Trouble> {
    copy_to(session, RENAME, "").await?;
    let now = session.text("SELECT pg_read_file('pg_hba.conf')").await?.unwrap_or_default();
    if now.starts_with(access::closed(&place.plan).lines().next().unwrap_or_default()) {
        return Err(Trouble::person("V2's own access rules are missing: it stays closed")
            .hint(format!("put V1's pg_hba.conf into {} on V2, reload, `switchover resume`", connect::data(place))));
    }
    prepare::reload(session, place).await?;
    // Clients first: what keeps a subscription off is no reason to keep them out.
    if let Err(trouble) = subscriptions::ensure_enabled(session, place).await {
        place.tell.warning(format!("V1's subscriptions are not enabled on V2: {}", trouble.one_line()));
    }
    Ok(())
}
