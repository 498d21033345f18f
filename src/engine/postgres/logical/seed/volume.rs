//! The seed `volume` of the method `logical`, for large data: V1's files, recovered by V1's own programs to the very
//! position from which the slots send, upgraded in place by V2's programs.
//!
//! First everything is done with a cluster that has V1's schema and no rows: what pg_upgrade refuses shows before the
//! expensive part. Then, in this order: publications, copy, slots, recovery up to the last slot's position and not one
//! record further, upgrade, subscriptions from that position on.

use std::time::Duration;

use futures_util::future::try_join;

use super::cluster::{self, file};
use super::loader::{self, Loader};
use super::{Mark, databases, publish, rebuild, schema, settings, waiting_for_who};
use crate::engine::Place;
use crate::engine::orders::{Orders, is_full};
use crate::engine::postgres::before::Before;
use crate::engine::postgres::machine::major_minor;
use crate::engine::postgres::names;
use crate::engine::postgres::seed::copy;
use crate::engine::postgres::seed::volume::{self, APPLICATION, Ask, Copier};
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::{auto_conf, connect, position, prepare, standby};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const UPGRADER: &str = concat!(
    "data=$1 owner=$2 log=$3 super=$4 host=$5 port=$6 role=$7 jobs=$8 copy=$9; shift 9\n",
    "new=$1 programs=$2 swap=$3 nosync=$4; shift 4\n",
    include_str!("../../seed/helper.sh"),
    include_str!("upgrader.sh")
);

/// Beside each other in V2's first volume, so that files of the one cluster can become the other's.
struct Rooms {
    copy: String,
    new: String,
    programs: String,
}

impl Rooms {
    fn of(place: &Place) -> Result<Rooms, Trouble> {
        let (_, root) = place.plan.v2_volumes.first().ok_or_else(|| Trouble::bug("V2 has no volume"))?;
        let at = |name: &str| format!("{}/switchover-{name}", root.trim_end_matches('/'));
        Ok(Rooms { copy: at("copy"), new: at("new"), programs: at("programs") })
    }
}

/// Everything of ours beside V2's data, for whoever empties it.
pub(super) fn rooms(place: &Place) -> Result<[String; 4], Trouble> {
    Rooms::of(place).map(|rooms| [format!("{}-first", rooms.new), rooms.copy, rooms.new, rooms.programs])
}

pub(super) async fn fill(place: &Place, leader: &Place, admin: &Session) -> Result<Mark, Trouble> {
    let databases = Before::logical(&place.plan)?.databases.len();
    let all = databases + Before::logical(&place.plan)?.templates.len();
    // One that was cut off late has left its cluster where this one shall be.
    copy::ensure_empty(place, &rooms(place)?).await?;
    publish::ensure_published(leader).await?;
    let mut copier = copier(place, admin).await?;
    let mut upgrader = upgrader(place).await?;
    copier.order("programs", "V1's programs, for V2's image").await?;
    let rehearse = format!("rehearse {all}");
    try_join(copier.order(&rehearse, "a rehearsal with V1's schema"), upgrader.order("first", "V2's new cluster"))
        .await
        .map_err(not_by_volume)?;
    upgrader.order("upgrade", "a rehearsal of the upgrade").await.map_err(not_by_volume)?;

    let session = connect::admin(leader, APPLICATION, Timeouts::NONE).await?;
    // What the copy lacks comes out of V1's log.
    prepare::ensure_slot(admin, &names::slot(&place.plan)).await?;
    let copied = copier.copy(&session).await?;
    prepare::refuse_lost(admin, &names::slot(&place.plan)).await?;
    let (lsn, of_v1) = ensure_slots(place, leader, admin).await?;
    recover(place, &mut copier, admin, &lsn).await?;
    copier.order(&format!("clear {all}"), "the recovered copy").await?;
    copier.order("stop", "the end of the recovery").await?;
    copier.end().await?;
    prepare::ensure_no_slot(admin, place, &names::slot(&place.plan)).await?;

    upgrader.order("upgrade", "the upgrade by V2's programs").await?;
    upgrader.order("serve", "the upgraded server").await?;
    let loader = Loader::serving(place, upgrader).await?;
    rebuild::rebuild(place, &loader).await?;
    let settings = settings::for_follower(leader, &loader).await?;
    loader.stop().await?;
    settings::write(place, &settings).await?;
    standby::close(place).await?;
    schema::write_down(place, &of_v1).await?;
    Ok(Mark { run: place.plan.run.clone(), from: Some(lsn.clone()), lsn, bytes: copied.bytes })
}

/// Nothing of V1 was copied yet.
fn not_by_volume(mut trouble: Trouble) -> Trouble {
    if is_full(&trouble.one_line()) {
        return trouble;
    }
    trouble.hints =
        vec!["mend what is named and run again, or run with `--seed copy`, which needs no pg_upgrade".into()];
    trouble
}

async fn copier(place: &Place, admin: &Session) -> Result<Copier, Trouble> {
    let (logical, rooms) = (Before::logical(&place.plan)?, Rooms::of(place)?);
    let v1 = major_minor(&place.plan.v1.version).map(|(major, _)| major);
    let mut files = cluster::files(place)?;
    files.retain(|file| file.path != "/switchover.hba");
    files.push(file("/switchover.hba".into(), "local all all trust\n".into()));
    let conf = configuration(place, admin).await?;
    // Some extensions cannot be made without their library; the copy has them already.
    let preload = auto_conf::quoted(&cluster::preload(place).await?);
    files.push(file("/switchover.rehearsal".into(), format!("{conf}shared_preload_libraries = {preload}\n")));
    files.push(file("/switchover.conf".into(), conf));
    let ask = Ask {
        copy: rooms.copy,
        programs: rooms.programs,
        log: String::new(),
        superuser: logical.cluster.superuser.clone(),
        initdb: cluster::initdb(&logical, v1),
        files,
    };
    Copier::start(place, ask).await
}

/// Of the copy's own server: nothing of V1's runs in it, it takes nobody in, and it stops in front of the slots' position
/// (PostgreSQL 17 documentation, "Recovery Target": inclusive would apply a transaction that the slot sends, too).
async fn configuration(place: &Place, admin: &Session) -> Result<String, Trouble> {
    let connection = volume::connection(place).await?;
    // Recovery keeps what V1 prepares.
    let prepared = admin.text("SHOW max_prepared_transactions").await?;
    let prepared = prepared.ok_or_else(|| Trouble::bug("V1 does not say how much it may prepare"))?;
    let lines = [
        ("listen_addresses", ""),
        ("unix_socket_directories", "/tmp"),
        ("fsync", "off"),
        ("archive_mode", "off"),
        ("autovacuum", "off"),
        ("hot_standby", "off"),
        ("max_logical_replication_workers", "0"),
        ("shared_preload_libraries", ""),
        ("max_locks_per_transaction", "1024"),
        ("max_prepared_transactions", &prepared),
        ("max_wal_size", "4GB"),
        ("shared_buffers", "256MB"),
        ("dynamic_shared_memory_type", "mmap"),
        ("lc_messages", "C"),
        ("ssl", "off"),
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("wal_retrieve_retry_interval", "200ms"),
        ("primary_conninfo", &connection),
        ("primary_slot_name", &names::slot(&place.plan)),
        ("recovery_target_inclusive", "off"),
        ("recovery_target_action", "promote"),
        ("recovery_target_timeline", "latest"),
    ];
    Ok(lines.map(|(name, value)| format!("{name} = {}\n", auto_conf::quoted(value))).concat())
}

async fn upgrader(place: &Place) -> Result<Orders, Trouble> {
    let (logical, rooms) = (Before::logical(&place.plan)?, Rooms::of(place)?);
    let v2 = major_minor(&place.plan.v2.version).map(|(major, _)| major);
    let mut argv: Vec<String> = ["sh", "-c", UPGRADER, "sh"].map(str::to_owned).to_vec();
    argv.extend(cluster::arguments(place).await?);
    argv.extend([rooms.copy, rooms.new, rooms.programs]);
    argv.push(if v2 >= Some(18) { "--swap".into() } else { String::new() });
    argv.push(if v2 >= Some(15) { "--no-sync".into() } else { String::new() });
    argv.extend(cluster::words(place, &cluster::initdb(&logical, v2)).await?);
    let preload = auto_conf::quoted(&cluster::preload(place).await?);
    let conf = format!("shared_preload_libraries = {preload}\nmax_locks_per_transaction = 1024\nlc_messages = 'C'\n");
    let mut files = cluster::files(place)?;
    files.push(file("/switchover.conf".into(), conf));
    Orders::start(place, &loader::helper(place, argv, files), "a helper of V2's image").await
}

/// From the position of the last one on, V1's rows come by the subscriptions. DDL a moment before would be in the copy or
/// not: then they are made again.
async fn ensure_slots(place: &Place, leader: &Place, admin: &Session) -> Result<(String, schema::Schema), Trouble> {
    const TRIES: u32 = 5;
    // Tables that were made while the files were copied.
    publish::ensure_published(leader).await?;
    let all = databases::open(leader, APPLICATION, Timeouts::NONE).await?;
    let mut then = schema::look(leader, &all).await?;
    for _ in 0..TRIES {
        publish::refuse_unpublished(place, &all).await?;
        waiting_for_who(leader, admin, publish::ensure_slots(place, &all)).await?;
        let now = schema::look(leader, &all).await?;
        if schema::changes(&then, &now).is_empty() {
            return Ok((last(place, admin).await?, now));
        }
        publish::ensure_no_slots(leader, admin).await?;
        publish::ensure_published(leader).await?;
        then = now;
    }
    Err(Trouble::not_ready("V1's schema is changed all the time").hint("run again, best with no DDL meanwhile"))
}

async fn last(place: &Place, admin: &Session) -> Result<String, Trouble> {
    let ours = names::literal(&names::any_slot(&place.plan));
    let sql = format!(
        "SELECT max(confirmed_flush_lsn)::text FROM pg_replication_slots WHERE slot_name ~ {ours} AND slot_type = 'logical'"
    );
    let lsn = admin.text(&sql).await?.ok_or_else(|| Trouble::failed("V1 does not say where the slots begin"))?;
    // It goes into a file and into statements.
    position::lsn(&position::position(&lsn, None)).map(str::to_owned)
}

/// An idle V1 is nudged: the position is that of the *next* record, and recovery would wait for one for ever.
async fn recover(place: &Place, copier: &mut Copier, admin: &Session, lsn: &str) -> Result<(), Trouble> {
    const NUDGE: &str = "SELECT pg_logical_emit_message(true, 'switchover', '')";
    copier.order(&format!("recover {lsn}"), "V1's server on the copy").await?;
    admin.run(NUDGE).await?;
    let what = format!("the copy to have V1's log up to {lsn}");
    let wait = Wait {
        what: &what,
        limit: Limit { name: "limits.total", value: place.plan.limits.total.0 },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    let left = format!(
        "SELECT pg_size_pretty(greatest(0, pg_wal_lsn_diff('{lsn}', coalesce(replay_lsn, '{lsn}')))) || ' left' \
         FROM pg_stat_replication WHERE application_name = {}",
        names::literal(APPLICATION)
    );
    let slot = names::slot(&place.plan);
    wait::until(wait, &place.tell, async || {
        prepare::refuse_lost(admin, &slot).await?;
        Ok(match copier.answer("recovered", &what).await?.as_str() {
            "done" => Look::Done(()),
            said => Look::NotYet(admin.text(&left).await?.unwrap_or_else(|| said.to_owned())),
        })
    })
    .await
}
