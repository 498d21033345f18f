//! What was made for the run alone goes: roles, lines in the access rules, files, settings.

use super::checks::Method;
use super::session::Timeouts;
use super::{access, auto_conf, connect, files, names, prepare, roles};
use crate::engine::Place;
use crate::trouble::{Kind, Trouble};

/// Cleans the leader of now. `keep_following`: what the follower lives on stays, its role, its lines, its slot and
/// the slot's limit. A follower gets the roles' end by replication, and has no other copy of anything.
pub(super) async fn ensure_clean(place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let plan = &place.plan;
    // A logical follower keeps our role: it gets no role's end by replication, and a switchback asks it.
    let mut secrets = match (Method::of(plan), keep_following) {
        (Method::Logical, true) => vec![names::PROBE_SECRET],
        _ => vec![names::ADMIN_SECRET, names::PROBE_SECRET],
    };
    let mut gone = vec![names::admin(plan), names::probe(plan)];
    if !keep_following {
        gone.push(names::replication(plan));
        secrets.push(names::REPLICATION_SECRET);
    }
    // Roles first, files last: what is left after a crash in between can be done without a session.
    match connect::either(place, Timeouts::short(plan.limits.statement.0)).await {
        Ok(session) => {
            if !keep_following {
                prepare::ensure_no_slot(&session, place, &names::slot(plan)).await?;
            }
            roles::ensure_none(&session, &gone).await?;
        }
        Err(trouble) if trouble.kind == Kind::Refused => {}
        Err(trouble) => return Err(trouble),
    }
    if keep_following {
        files::rewrite(place, "pg_hba.conf", |text| access::with_followers_rules(text, plan)).await?;
    } else {
        files::rewrite(place, "pg_hba.conf", |text| access::without_our_rules(text, plan)).await?;
        files::rewrite(place, "postgresql.auto.conf", |text| auto_conf::without_ours(text, plan)).await?;
    }
    files::remove(place, &[files::OURS, files::OF_THE_WINDOW].concat()).await?;
    files::reload(place).await?;
    secrets.into_iter().try_for_each(|secret| place.secrets.forget(secret))
}
