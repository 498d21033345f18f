//! V1 can be followed, and put back exactly as it was.

use super::access::{self, Fence};
use super::before::Before;
use super::checks::Method;
use super::names::{self, literal};
use super::session::{Session, Timeouts};
use super::{auto_conf, connect, files, give_back, one_run, position, roles, switch};
use crate::config::quantity::Bytes;
use crate::engine::Place;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const RULES: &str = "pg_hba.conf";
const SETTINGS: &str = "postgresql.auto.conf";
const SLOT_LIMIT: &str = "max_slot_wal_keep_size";
const WAL_LEVEL: &str = "wal_level";

pub(super) async fn ensure_followable(place: &Place) -> Result<String, Trouble> {
    let before = Before::of(&place.plan)?;
    let session = connect::either(place, timeouts(place)).await?;
    one_run::ensure_alone(&session, place).await?;
    roles::ensure(&session, place).await?;
    ensure_rules(&session, place).await?;
    ensure_settings(&session, place).await?;
    if Method::of(&place.plan) == Method::Physical {
        ensure_slot(&session, &names::slot(&place.plan)).await?;
    }
    let limit = match before.slot_limit_ours {
        Some(mib) => format!("keeps at most {} of its log for V2", Bytes(mib << 20)),
        None => "keeps its log for V2 within its own limit".to_owned(),
    };
    Ok(format!("V1 lets the tool and V2 in, and {limit}"))
}

fn timeouts(place: &Place) -> Timeouts {
    Timeouts::short(place.plan.limits.statement.0)
}

/// Our lines stand in front of V1's own rules and are in force: proven by getting in.
async fn ensure_rules(session: &Session, place: &Place) -> Result<(), Trouble> {
    let now = files::text(place, RULES).await?;
    if let Fence::AnotherRuns(line) = access::fence_of(&now, &place.plan) {
        return Err(Trouble::person("V1 is fenced by another run").because(Trouble::failed(line)));
    }
    if access::fence_of(&now, &place.plan) == Fence::None {
        let with = access::with_our_rules(&now, &place.plan);
        if with != now {
            files::write(place, RULES, with.as_bytes()).await?;
        }
    }
    reload(session, place).await?;
    let wait = Wait {
        what: "V1 to let the tool in",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: std::time::Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || match connect::admin(place, "switchover", timeouts(place)).await {
        Ok(_) => Ok(Look::Done(())),
        Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
    })
    .await
}

/// Returns when this session has read the files again: the main process had its turn before.
pub(super) async fn reload(session: &Session, place: &Place) -> Result<(), Trouble> {
    let last = session.text("SELECT pg_conf_load_time()").await?.unwrap_or_default();
    session.run("SELECT pg_reload_conf()").await?;
    let read_again = format!("SELECT pg_conf_load_time() > {}::timestamptz", literal(&last));
    let wait = Wait {
        what: "the server to read its configuration again",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: std::time::Duration::from_millis(1),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || match session.text(&read_again).await?.as_deref() {
        Some("t") => Ok(Look::Done(())),
        _ => Ok(Look::NotYet("not yet read".into())),
    })
    .await
}

/// What the run sets on V1: what V1 keeps for V2 cannot fill its disk; and its log can be read row by row, where that is
/// needed.
fn settings(before: &Before) -> Vec<(&'static str, String)> {
    let limit = before.slot_limit_ours.map(|mib| (SLOT_LIMIT, format!("{mib}MB")));
    let level = before.logical.as_ref().and_then(|logical| logical.restart.as_ref());
    limit.into_iter().chain(level.map(|_| (WAL_LEVEL, "logical".to_owned()))).collect()
}

/// They stand in V1's files, and what takes no restart is in force.
pub(super) async fn ensure_settings(session: &Session, place: &Place) -> Result<(), Trouble> {
    let before = Before::of(&place.plan)?;
    let ours = settings(&before);
    if ours.is_empty() {
        return Ok(());
    }
    let now = files::text(place, SETTINGS).await?;
    let with = auto_conf::with_ours(&now, &place.plan, &ours);
    if with != now {
        files::write(place, SETTINGS, with.as_bytes()).await?;
        reload(session, place).await?;
    }
    let Some(mib) = before.slot_limit_ours else { return Ok(()) };
    let in_force = slot_limit(session).await?;
    if in_force == mib.to_string() {
        return Ok(());
    }
    Err(Trouble::failed(format!("{SLOT_LIMIT} is {in_force} MiB on V1, although it was set to {mib}"))
        .hint("see pg_file_settings on V1"))
}

async fn slot_limit(session: &Session) -> Result<String, Trouble> {
    let sql = format!("SELECT setting FROM pg_settings WHERE name = '{SLOT_LIMIT}'");
    Ok(session.text(&sql).await?.unwrap_or_default())
}

/// A physical slot that keeps the log from now on.
pub(super) async fn ensure_slot(session: &Session, slot: &str) -> Result<(), Trouble> {
    let name = literal(slot);
    session
        .run(&format!(
            "SELECT pg_create_physical_replication_slot({name}, true) \
             WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = {name})"
        ))
        .await?;
    refuse_lost(session, slot).await
}

/// A slot that fell behind the limit keeps nothing any more: its follower can never catch up.
pub(super) async fn refuse_lost(session: &Session, slot: &str) -> Result<(), Trouble> {
    let status = format!("SELECT wal_status FROM pg_replication_slots WHERE slot_name = {}", literal(slot));
    match session.text(&status).await?.as_deref() {
        Some("lost") => Err(Trouble::failed("the log that V2 lacks is no longer kept: it fell behind limits.v1-wal")
            .hint("`switchover abort`, then run again with a larger limits.v1-wal, or when V1 writes less")),
        Some(_) => Ok(()),
        None => Err(Trouble::failed(format!("replication slot {slot} is gone"))),
    }
}

pub(super) async fn ensure_no_slot(session: &Session, place: &Place, slot: &str) -> Result<(), Trouble> {
    let name = literal(slot);
    let wait = Wait {
        what: "the replication slot to be free",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: std::time::Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let sql = format!(
            "SELECT count(*) || ' ' || count(pg_terminate_backend(active_pid)) \
             FROM pg_replication_slots WHERE slot_name = {name}"
        );
        match session.text(&sql).await?.as_deref() {
            Some("0 0") => Ok(Look::Done(())),
            Some("1 0") => match session.run(&format!("SELECT pg_drop_replication_slot({name})")).await {
                Ok(()) => Ok(Look::Done(())),
                // A follower that still runs comes back.
                Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
            },
            _ => Ok(Look::NotYet("its follower is being ended".into())),
        }
    })
    .await
}

/// Everything of this run is gone from V1. Half of it may be there, or nothing.
///
/// Files last: what is left after a crash in between can be done without a session, and a session of our own role
/// cannot be had any more where V1 lets nobody else in.
pub(super) async fn ensure_unfollowable(place: &Place) -> Result<(), Trouble> {
    let before = Before::of(&place.plan)?;
    let plan = &place.plan;
    match connect::either(place, timeouts(place)).await {
        Ok(session) => {
            match one_run::ensure_alone(&session, place).await {
                // This run met another one at its first act: nothing on V1 is its own.
                Err(trouble)
                    if trouble.kind == Kind::Busy && !access::is_marked(&files::text(place, RULES).await?, plan) =>
                {
                    return Ok(());
                }
                other => other?,
            }
            give_back_if_needed(&session, place).await?;
            ensure_no_slot(&session, place, &names::slot(plan)).await?;
            restore_settings(&session, place, &before).await?;
            let all = [names::admin(plan), names::replication(plan), names::probe(plan)];
            roles::ensure_none(&session, &all).await?;
        }
        Err(trouble) if trouble.kind == Kind::Refused => {}
        Err(trouble) => return Err(trouble),
    }
    files::rewrite(place, RULES, |text| access::without_our_rules(text, plan)).await?;
    files::remove(place, &[files::OURS, files::OF_THE_WINDOW].concat()).await?;
    files::reload(place).await
}

async fn give_back_if_needed(session: &Session, place: &Place) -> Result<(), Trouble> {
    let rules = files::text(place, RULES).await?;
    let switches = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = {} AND application_name = {}",
        literal(&names::admin(&place.plan)),
        literal(switch::APPLICATION),
    );
    let shut = access::fence_of(&rules, &place.plan) != Fence::None;
    if shut || session.text(&switches).await?.as_deref() != Some("0") {
        give_back::ensure_given_back(place, None).await?;
    }
    Ok(())
}

async fn restore_settings(session: &Session, place: &Place, before: &Before) -> Result<(), Trouble> {
    let now = files::text(place, SETTINGS).await?;
    if auto_conf::has_ours(&now, &place.plan) {
        let without = auto_conf::without_ours(&now, &place.plan);
        files::write(place, SETTINGS, without.as_bytes()).await?;
        return reload(session, place).await;
    }
    // Somebody's ALTER SYSTEM wrote the file anew meanwhile: our marks are lost, our lines are not.
    let restart = before.logical.as_ref().and_then(|logical| logical.restart.as_ref());
    for (name, ours) in settings(before) {
        if auto_conf::value(&now, name).as_ref() != Some(&ours) {
            continue;
        }
        let altered = match name {
            SLOT_LIMIT => before.slot_limit_altered.as_ref(),
            _ => restart.and_then(|restart| restart.altered.as_ref()),
        };
        let sql = match altered {
            Some(value) => format!("ALTER SYSTEM SET {name} = {}", literal(value)),
            None => format!("ALTER SYSTEM RESET {name}"),
        };
        session.run(&sql).await?;
        reload(session, place).await?;
    }
    Ok(())
}

/// The last position written so far.
pub(super) async fn written(session: &Session) -> Result<crate::engine::Position, Trouble> {
    match session.text("SELECT pg_current_wal_lsn()").await? {
        Some(lsn) => Ok(position::position(&lsn, None)),
        None => Err(Trouble::failed("V1 does not say how far it has written")),
    }
}
