//! V2 runs, closed to clients, and a subscription in each database applies V1's changes.
//!
//! How far it has got is asked on the leader (`replay_lsn` of our walsenders): `sent_lsn` says nothing, and what V2 itself
//! knows does not move while V1 is idle.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::databases::{self, Open};
use super::{ddl, publish, seed, settings, triggers};
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names::{self, ident, literal};
use crate::engine::postgres::session::{Session, Timeouts, Turned, turned};
use crate::engine::postgres::{auto_conf, connect, files, follow, position, prepare, roles, standby};
use crate::engine::{Lag, Place, Position};
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A follower that was about to serve goes on applying. Its schema is looked at when it is to be ready again.
pub(super) async fn ensure_following_again(place: &Place) -> Result<Vec<Open>, Trouble> {
    let found = connect::found(place).await?;
    if found.state != State::Running {
        start(place, &found.id).await?;
    }
    let all = until_it_answers(place).await?;
    triggers::ensure_off(place, &all).await?;
    for open in &all {
        ensure_enabled(place, open).await?;
    }
    Ok(all)
}

/// Starts it where it does not run, subscribes where that was not done, and waits until every database receives.
/// `carry`: it is given what the leader's schema has got since; else that is left for later, and rows flow as they can.
pub(super) async fn ensure_following(
    place: &Place,
    leader: &Session,
    carry: bool,
) -> Result<(Vec<Open>, String), Trouble> {
    let found = connect::found(place).await?;
    if found.state != State::Running {
        start(place, &found.id).await?;
    }
    let all = until_it_answers(place).await?;
    if let Some(first) = all.first() {
        // What an earlier run left knows another password.
        roles::ensure(&first.session, place).await?;
    }
    triggers::ensure_off(place, &all).await?;
    ensure_passfile(place).await?;
    for open in &all {
        ensure_subscription(place, open).await?;
    }
    // Before they go on: what has stopped one may be a table's new column.
    if carry {
        ddl::ensure_carried(place, &all).await?;
    }
    for open in &all {
        ensure_enabled(place, open).await?;
    }
    until_all_receive(place, leader, &all).await?;
    ddl::until_filled(place, &all, async || refuse_stuck(place, &all, &seen(place, leader).await?).await).await?;
    let sentence =
        format!("{} follows {} in {} databases, closed to clients", place.side, place.side.other(), all.len());
    Ok((all, sentence))
}

async fn start(place: &Place, container: &str) -> Result<(), Trouble> {
    if place.plan.made_v2() && place.side == crate::engine::Side::V2 && !seed::is_seeded(place).await? {
        return Err(
            Trouble::failed("V2 holds no complete copy to follow with").hint("`switchover abort`, then run again")
        );
    }
    standby::close(place).await?;
    settings::ensure_while_it_follows(place).await?;
    place.runtime.ensure_restart_policy(container, &place.plan.v1_restart_policy).await?;
    place.runtime.ensure_started(container).await
}

pub(super) async fn until_it_answers(place: &Place) -> Result<Vec<Open>, Trouble> {
    let what = format!("{} to answer", place.side);
    let wait = Wait {
        what: &what,
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    let first = connect::found(place).await?;
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    wait::until(wait, &place.tell, async || {
        follow::refuse_ended(place, &first).await?;
        match databases::open(place, "switchover", timeouts).await {
            Ok(all) => Ok(Look::Done(all)),
            Err(trouble) if matches!(turned(&trouble), Some(Turned::Away | Turned::NoSuchDatabase)) => Err(trouble),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        }
    })
    .await
}

/// The password the subscriptions log in with: in a file, not in the catalog.
async fn ensure_passfile(place: &Place) -> Result<(), Trouble> {
    use secrecy::ExposeSecret;
    let password = place.secrets.secret(names::REPLICATION_SECRET)?;
    let line = standby::pass_line(&names::replication(&place.plan), password.expose_secret());
    if files::read(place, files::PASSFILE).await?.as_deref() != Some(line.as_bytes()) {
        files::write(place, files::PASSFILE, line.as_bytes()).await?;
    }
    Ok(())
}

async fn connection(place: &Place, database: &Open) -> Result<String, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let (host, port) = (standby::host_of_other(place).await?, connect::port(&leader).to_string());
    let slot = names::slot_of(&place.plan, database.number);
    Ok(auto_conf::conninfo(&[
        ("host", &host),
        ("port", &port),
        ("user", &names::replication(&place.plan)),
        ("dbname", &database.name),
        ("passfile", &standby::passfile(place)),
        ("application_name", &slot),
        ("connect_timeout", "5"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
        ("gssencmode", "disable"),
    ]))
}

/// Made disabled, and owned by who outlives our roles.
async fn ensure_subscription(place: &Place, open: &Open) -> Result<(), Trouble> {
    let slot = names::slot_of(&place.plan, open.number);
    let name = ident(&slot);
    if enabled(open, &slot).await?.is_none() {
        let major = open.session.major().await?;
        let owner = roles::first_superuser(&open.session).await?;
        let (publication, conninfo) = (ident(&names::publication(&place.plan)), connection(place, open).await?);
        let options = options(&slot, major);
        // What the slot would send although the copy has it.
        let begin = match seed::begins_at(place).await? {
            Some(lsn) => format!(
                "SELECT pg_replication_origin_advance('pg_' || oid, {}) FROM pg_subscription WHERE subname = {} \
                 AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()); ",
                literal(&lsn),
                literal(&slot)
            ),
            None => String::new(),
        };
        // In one transaction: what belongs to our role would keep it from being dropped.
        let make = format!(
            "BEGIN; CREATE SUBSCRIPTION {name} CONNECTION {} PUBLICATION {publication} WITH ({options}); \
             {begin}ALTER SUBSCRIPTION {name} OWNER TO {owner}; COMMIT",
            literal(&conninfo)
        );
        if let Err(trouble) = open.session.run(&make).await {
            open.session.run("ROLLBACK").await?;
            return Err(Trouble::failed(format!("{} cannot subscribe to {}", place.side, open.name)).because(trouble));
        }
    }
    Ok(())
}

/// One that an error has disabled tries again.
pub(super) async fn ensure_enabled(place: &Place, open: &Open) -> Result<(), Trouble> {
    let slot = names::slot_of(&place.plan, open.number);
    match enabled(open, &slot).await? {
        Some(false) => open.session.run(&format!("ALTER SUBSCRIPTION {} ENABLE", ident(&slot))).await,
        _ => Ok(()),
    }
}

/// What this version's subscriptions can do.
fn options(slot: &str, major: u32) -> String {
    let mut options = vec![
        "copy_data = false".to_owned(),
        "create_slot = false".to_owned(),
        "enabled = false".to_owned(),
        format!("slot_name = {}", literal(slot)),
    ];
    match major {
        ..14 => {}
        14..16 => options.push("streaming = on".to_owned()),
        _ => options.push("streaming = parallel".to_owned()),
    }
    if major >= 15 {
        options.push("disable_on_error = true".to_owned());
    }
    if major >= 16 {
        // A table's owner may have taken rights from himself.
        options.push("run_as_owner = true".to_owned());
    }
    options.join(", ")
}

/// Any of our subscriptions is there.
pub(super) async fn is_subscribed(place: &Place, session: &Session) -> Result<bool, Trouble> {
    let ours = literal(&names::any_slot(&place.plan));
    let sql = format!("SELECT count(*) > 0 FROM pg_subscription WHERE subname ~ {ours}");
    Ok(session.text(&sql).await?.as_deref() == Some("t"))
}

/// Of our subscription in this database; `None`: there is none.
async fn enabled(open: &Open, slot: &str) -> Result<Option<bool>, Trouble> {
    let sql = format!(
        "SELECT subenabled FROM pg_subscription WHERE subname = {} \
         AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        literal(slot)
    );
    Ok(open.session.text(&sql).await?.map(|enabled| enabled == "t"))
}

/// It applies nothing any more; what is there stays and can be enabled again.
pub(super) async fn ensure_disabled(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    try_join_all(all.iter().map(async |open| {
        let slot = names::slot_of(&place.plan, open.number);
        if enabled(open, &slot).await? == Some(true) {
            open.session.run(&format!("ALTER SUBSCRIPTION {} DISABLE", ident(&slot))).await?;
        }
        Ok(())
    }))
    .await
    .map(drop)
}

/// The subscriptions are gone. Their slots are the leader's business.
pub(super) async fn ensure_unsubscribed(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    for open in all {
        let slot = names::slot_of(&place.plan, open.number);
        if enabled(open, &slot).await?.is_some() {
            let name = ident(&slot);
            open.session.run(&format!("ALTER SUBSCRIPTION {name} DISABLE")).await?;
            open.session.run(&format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")).await?;
            open.session.run(&format!("DROP SUBSCRIPTION {name}")).await?;
        }
    }
    Ok(())
}

/// What the leader says of our walsenders: how many stream, and the least that one of them has applied.
struct Seen {
    streaming: usize,
    applied: Option<String>,
    lost: bool,
}

async fn seen(place: &Place, leader: &Session) -> Result<Seen, Trouble> {
    let databases = Before::logical(&place.plan)?.databases.len();
    let names: Vec<String> = (0..databases).map(|number| literal(&names::slot_of(&place.plan, number))).collect();
    let sql = format!(
        "SELECT count(r.replay_lsn) FILTER (WHERE r.state = 'streaming') || ' ' || bool_or(s.wal_status = 'lost') || ' ' \
         || CASE WHEN count(r.replay_lsn) = {databases} THEN min(r.replay_lsn)::text ELSE '' END \
         FROM pg_replication_slots AS s LEFT JOIN pg_stat_replication AS r ON r.pid = s.active_pid \
         WHERE s.slot_name IN ({})",
        names.join(", ")
    );
    let said = leader.text(&sql).await?.unwrap_or_default();
    match said.split(' ').collect::<Vec<_>>()[..] {
        [streaming, lost, applied] => Ok(Seen {
            streaming: streaming.parse().map_err(|_| Trouble::bug("a number of walsenders that is no number"))?,
            lost: lost == "true",
            applied: Some(applied.to_owned()).filter(|lsn| !lsn.is_empty()),
        }),
        _ => Err(Trouble::failed("the replication slots of the run are gone from V1")
            .hint("`switchover abort`, then run again")),
    }
}

/// Every database's subscription is fed by this leader now.
pub(super) async fn all_stream(place: &Place, leader: &Session) -> Result<bool, Trouble> {
    let databases = Before::logical(&place.plan)?.databases.len();
    Ok(publish::has_slots(place, leader).await? && seen(place, leader).await?.streaming == databases)
}

async fn until_all_receive(place: &Place, leader: &Session, all: &[Open]) -> Result<(), Trouble> {
    let what = format!("{} to follow {}", place.side, place.side.other());
    let wait = Wait {
        what: &what,
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let seen = seen(place, leader).await?;
        if seen.streaming == all.len() {
            return Ok(Look::Done(()));
        }
        refuse_stuck(place, all, &seen).await?;
        Ok(Look::NotYet(format!("{} of {} databases receive", seen.streaming, all.len())))
    })
    .await
}

/// What will not get better by waiting: a slot that is lost, a change that cannot be applied.
async fn refuse_stuck(place: &Place, all: &[Open], seen: &Seen) -> Result<(), Trouble> {
    if seen.lost {
        return Err(Trouble::failed("the log that V2 lacks is no longer kept: it fell behind limits.v1-wal")
            .hint("`switchover abort`, then run again with a larger limits.v1-wal, or when V1 writes less"));
    }
    for open in all {
        if enabled(open, &names::slot_of(&place.plan, open.number)).await? == Some(false) {
            return Err(cannot_apply(place, &open.name).await);
        }
    }
    Ok(())
}

/// What a worker that applies said last, in the server's log: nothing else has its words.
pub(in super::super) async fn why_it_applies_nothing(place: &Place) -> Option<String> {
    let id = connect::container(place).await.ok()?;
    let log = place.runtime.log_tail(&id, 200).await.ok()?;
    said_of_applying(&log)
}

/// The error, and what was applied.
fn said_of_applying(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("ERROR:") || line.contains("CONTEXT:")).collect();
    let of_a_worker = |pair: &&[&str]| pair[0].contains("ERROR:") && pair[1].contains("replication origin");
    let said = lines.windows(2).rev().find(of_a_worker)?;
    let from = |line: &str, word: &str| line.find(word).map_or_else(String::new, |at| line[at..].to_owned());
    Some(format!("{}; {}", from(said[0], "ERROR:"), from(said[1], "CONTEXT:")))
}

async fn cannot_apply(place: &Place, database: &str) -> Trouble {
    let said = why_it_applies_nothing(place).await.unwrap_or_else(|| "its log does not say why".into());
    Trouble::not_ready(format!(
        "{} cannot apply a change of {}'s in database {database}",
        place.side,
        place.side.other()
    ))
    .because(Trouble::failed(said))
    .hint("DDL on V1 since the copy is the usual cause: `switchover abort`, then run again")
}

pub(super) async fn behind(
    place: &Place,
    leader: &Session,
    all: &[Open],
    at: &Position,
) -> Result<Option<Lag>, Trouble> {
    let seen = seen(place, leader).await?;
    let Some(applied) = &seen.applied else {
        refuse_stuck(place, all, &seen).await?;
        return Ok(None);
    };
    let sql = format!("SELECT greatest(0, pg_wal_lsn_diff('{}', {}))", position::lsn(at)?, literal(applied));
    let bytes = leader.text(&sql).await?;
    Ok(bytes.and_then(|bytes| bytes.parse().ok()).map(|bytes| Lag { bytes }))
}

/// One round trip: for use inside the window. What was applied is not on V2's disk for certain yet (`promote` sees to it).
pub(super) async fn has_applied(place: &Place, leader: &Session, at: &Position) -> Result<bool, Trouble> {
    let databases = Before::logical(&place.plan)?.databases.len();
    let sql = format!(
        "SELECT count(*) = {databases} FROM pg_stat_replication \
         WHERE application_name ~ {} AND state = 'streaming' AND replay_lsn >= '{}'::pg_lsn",
        literal(&names::any_slot(&place.plan)),
        position::lsn(at)?
    );
    Ok(leader.text(&sql).await?.as_deref() == Some("t"))
}

/// The leader keeps the log that this follower lacks.
pub(super) async fn refuse_lost(place: &Place, leader: &Session) -> Result<(), Trouble> {
    for number in 0..Before::logical(&place.plan)?.databases.len() {
        prepare::refuse_lost(leader, &names::slot_of(&place.plan, number)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_that_applies_says_why_it_does_not() {
        let log = "2026 [1] ERROR:  relation \"x\" does not exist\n2026 [1] STATEMENT:  SELECT\n\
            2026 [9] ERROR:  logical replication target relation \"public.t\" is missing replicated column: \"x\"\n\
            2026 [9] CONTEXT:  processing remote data for replication origin \"pg_1\" during message type \"INSERT\"\n\
            2026 [9] LOG:  subscription has been disabled because of an error\n2026 [2] ERROR:  duplicate key value\n";
        let said = said_of_applying(log).unwrap();
        assert!(said.starts_with("ERROR:  logical replication target") && said.contains("; CONTEXT:"), "{said}");
        assert_eq!(said_of_applying("2026 [2] ERROR:  duplicate key value\n2026 [3] CONTEXT:  SQL function"), None);
    }
}
