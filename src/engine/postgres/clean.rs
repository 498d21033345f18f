//! What was made for the run alone is gone from the side that serves.

use super::session::Timeouts;
use super::{access, auto_conf, connect, files, names, prepare, roles};
use crate::engine::Place;
use crate::trouble::Trouble;

/// `keep_following`: the role, rules, slot and settings that the way back lives on stay.
pub(super) async fn ensure_clean(place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let plan = &place.plan;
    let session = connect::either(place, Timeouts::short(plan.limits.statement.0)).await?;
    let mut gone = vec![names::admin(plan), names::probe(plan)];
    let mut secrets = vec![names::ADMIN_SECRET, names::PROBE_SECRET];
    if keep_following {
        rewrite(place, "pg_hba.conf", |text| access::with_followers_rules(text, plan)).await?;
    } else {
        prepare::ensure_no_slot(&session, place, &names::slot(plan)).await?;
        rewrite(place, "pg_hba.conf", |text| access::without_our_rules(text, plan)).await?;
        rewrite(place, "postgresql.auto.conf", |text| auto_conf::without_ours(text, plan)).await?;
        gone.push(names::replication(plan));
        secrets.push(names::REPLICATION_SECRET);
    }
    prepare::reload(&session, place).await?;
    files::remove(place, &[files::OURS, files::OF_THE_WINDOW].concat()).await?;
    roles::ensure_none(&session, &gone).await?;
    secrets.into_iter().try_for_each(|secret| place.secrets.forget(secret))
}

async fn rewrite(place: &Place, name: &str, change: impl FnOnce(&str) -> String) -> Result<(), Trouble> {
    let text = files::text(place, name).await?;
    let changed = change(&text);
    if changed == text {
        return Ok(());
    }
    files::write(place, name, changed.as_bytes()).await
}
