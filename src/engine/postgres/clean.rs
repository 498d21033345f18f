//! What was made for the run alone goes: roles, lines in the access rules, files, settings.

use super::session::{Session, Timeouts};
use super::switch::files;
use super::window::copy_to;
use super::{access, connect, names, way_back};
use crate::engine::Place;
use crate::trouble::Trouble;

/// Cleans the leader of now. `keep_following`: the follower's role, lines and slot stay.
///
/// A follower gets the roles' end by replication, and has no other copy of anything.
pub(super) async fn ensure_clean(place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let session = connect::either(place, Timeouts::short(place.plan.limits.statement.0)).await?;
    clean_rules(&session, place, keep_following).await?;
    if !keep_following {
        way_back::drop_slot(&session, place).await?;
        drop_role(&session, &names::replication(&place.plan)).await?;
    }
    drop_role(&session, &names::probe(&place.plan)).await?;
    drop_admin(&session, place).await?;
    place.secrets.forget(names::PROBE_SECRET)
}

async fn clean_rules(session: &Session, place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let now: String = session.value("SELECT pg_read_file('pg_hba.conf')", &[]).await?;
    let wanted = if keep_following {
        access::with_followers_rules(&now, &place.plan)
    } else {
        access::without_our_rules(&now, &place.plan)
    };
    if now != wanted {
        access::ensure_written(place, &wanted).await?;
        session.run("SELECT pg_reload_conf()").await?;
    }
    copy_to(session, files::DROP_ALL, "").await
}

/// A role cannot drop itself: where only ours gets in, it stays, is named, and can log in no more.
async fn drop_admin(session: &Session, place: &Place) -> Result<(), Trouble> {
    let admin = names::admin(&place.plan);
    let mine = session.text("SELECT current_user").await?;
    if mine.as_deref() != Some(admin.as_str()) {
        return drop_role(session, &admin).await;
    }
    place.tell.warning(format!(
        "the role {admin} could not be dropped, as only it gets in: DROP ROLE {}; it can no longer log in",
        names::ident(&admin)
    ));
    session.run(&format!("ALTER ROLE {} NOLOGIN PASSWORD NULL", names::ident(&admin))).await
}

async fn drop_role(session: &Session, role: &str) -> Result<(), Trouble> {
    // Sessions of that role from an earlier process of ours would outlive it.
    let literal = names::literal(role);
    session
        .run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = {literal} AND pid <> pg_backend_pid(); \
             DROP ROLE IF EXISTS {}",
            names::ident(role)
        ))
        .await
}
