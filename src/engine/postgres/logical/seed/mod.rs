//! Seeds of the method `logical`: V2's new cluster on V2's own volumes, with V1's rows as of a known position.
//!
//! `copy`: V1's schema, its rows by the snapshots of the slots that keep what comes afterwards, then indexes and constraints;
//! all of it by a server of V2's image in a helper, which writes nothing to disk for certain until it stops. `volume`: V1's
//! files, upgraded (`volume.rs`). A seed that was begun and not finished starts over, as only a finished one bears our mark.

mod cluster;
mod loader;
mod rebuild;
mod rows;
mod volume;

use std::time::Duration;

pub(super) use cluster::jobs;
use futures_util::future::{Either, select, try_join};
pub(super) use loader::Loader;
pub(super) use rows::PINS;
use serde::{Deserialize, Serialize};

use super::{databases, large, publish, schema, settings, views};
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names::{self, literal};
use crate::engine::postgres::seed::{self, Seed, copy};
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::wire::Wire;
use crate::engine::postgres::{connect, files, position, prepare, sessions, standby};
use crate::engine::{Place, Seeded, Side};
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Its sessions on the leader.
const APPLICATION: &str = "switchover seed";

/// Says that the copy is complete, and what it is of.
#[derive(Serialize, Deserialize)]
struct Mark {
    run: String,
    lsn: String,
    bytes: u64,
    /// The copy has everything up to here, whatever a slot may send of it; `None`: just what its slots do not send.
    #[serde(default)]
    from: Option<String>,
}

/// A slot, and the session that made it: what it saw can be imported for as long as the session lives and does nothing
/// else.
struct Snapshot {
    name: String,
    lsn: String,
    _kept: Wire,
}

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    let found = connect::found(place).await?;
    if found.state == State::Running {
        return Err(Trouble::bug("V2 runs while its data is to be copied"));
    }
    copy::refuse_not_ours(place)?;
    if let Some(mark) = finished(place).await? {
        return Ok(Seeded { position: position::position(&mark.lsn, None), bytes: mark.bytes });
    }
    let leader = Place { side: place.side.other(), ..place.clone() };
    connect::refuse_shared(&connect::found(&leader).await?, &copy::mounts(place))?;
    ensure_no_helper(place).await?;
    let admin = connect::admin(&leader, "switchover", Timeouts::short(place.plan.limits.statement.0)).await?;
    ensure_no_sessions(&admin, place).await?;
    publish::ensure_no_slots(&leader, &admin).await?;
    // First: one that is refreshed or written from here on shows.
    let of_leader = databases::open(&leader, APPLICATION, Timeouts::short(place.plan.limits.statement.0)).await?;
    let (filled, large) = try_join(views::look(&of_leader), large::look(&of_leader)).await?;
    drop(of_leader);
    let mark = match Seed::of(&place.plan) {
        Seed::Copy => fill(place, &leader, &admin, Loader::start(place).await?).await?,
        Seed::Volume => volume::fill(place, &leader, &admin).await?,
    };
    views::write_down(place, &filled).await?;
    large::write_down(place, &large).await?;
    let text = serde_json::to_vec(&mark).map_err(|error| Trouble::bug("a mark does not become text").because(error))?;
    files::write(place, files::SEEDED, &text).await?;
    Ok(Seeded { position: position::position(&mark.lsn, None), bytes: mark.bytes })
}

async fn finished(place: &Place) -> Result<Option<Mark>, Trouble> {
    let Some(text) = files::read(place, files::SEEDED).await? else { return Ok(None) };
    Ok(serde_json::from_slice::<Mark>(&text).ok().filter(|mark| mark.run == place.plan.run))
}

pub(super) async fn is_seeded(place: &Place) -> Result<bool, Trouble> {
    Ok(finished(place).await?.is_some())
}

async fn fill(place: &Place, leader: &Place, admin: &Session, mut loader: Loader) -> Result<Mark, Trouble> {
    // In this order: what is made after the publications, or changed after the look, shows.
    publish::ensure_published(leader).await?;
    let of_leader = databases::open(leader, APPLICATION, Timeouts::NONE).await?;
    publish::refuse_unpublished(place, &of_leader).await?;
    let copied = schema::look(leader, &of_leader).await?;
    loader.globals().await?;
    let snapshots = snapshots(leader, admin).await?;
    for open in &of_leader {
        loader.schema(open.number, &snapshots[open.number].name).await?;
    }
    for template in 0..Before::logical(&place.plan)?.templates.len() {
        loader.template(snapshots.len() + template).await?;
    }
    let limit = Limit { name: "limits.total", value: place.plan.limits.total.0 };
    let copying = rows::copy(place, leader, &loader, &of_leader, &snapshots);
    let bytes = wait::within(limit, "the copy of V1's rows", copying).await?;
    for open in &of_leader {
        loader.large_objects(open.number, &snapshots[open.number].name).await?;
    }
    // A rewrite of a table hides its rows from older snapshots: it shows as a change, and the copy is worth nothing.
    refuse_changed(&copied, &schema::look(leader, &of_leader).await?)?;
    publish::refuse_unpublished(place, &of_leader).await?;
    drop(of_leader);
    for database in 0..snapshots.len() {
        loader.indexes(database).await?;
        loader.statistics(database).await?;
    }
    let settings = settings::for_follower(leader, &loader).await?;
    loader.stop().await?;
    settings::write(place, &settings).await?;
    standby::close(place).await?;
    schema::write_down(place, &copied).await?;
    let lsn = snapshots.iter().map(|it| it.lsn.clone()).next_back().unwrap_or_else(|| "0/0".into());
    Ok(Mark { run: place.plan.run.clone(), lsn, bytes, from: None })
}

fn refuse_changed(then: &schema::Schema, now: &schema::Schema) -> Result<(), Trouble> {
    let changes = schema::changes(then, now);
    if changes.is_empty() {
        return Ok(());
    }
    Err(Trouble::failed(format!("V1's schema was changed while it was copied: {}", schema::told(&changes)))
        .hint("run again; best with no DDL meanwhile"))
}

/// A slot in each database, whose snapshots are what is copied. It waits for the transactions that are running now.
async fn snapshots(leader: &Place, admin: &Session) -> Result<Vec<Snapshot>, Trouble> {
    let mut all = Vec::new();
    for (number, database) in Before::logical(&leader.plan)?.databases.iter().enumerate() {
        let stream = connect::stream(leader).await?;
        let mut wire = connect::wire(leader, stream, &database.name, APPLICATION, true).await?;
        wire.ask(KEPT).await?;
        let slot = names::slot_of(&leader.plan, number);
        let create = format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput EXPORT_SNAPSHOT");
        let made = waiting_for_who(leader, admin, wire.ask(&create)).await?;
        match made.first().map(Vec::as_slice) {
            Some([_, Some(lsn), Some(name), _]) => {
                all.push(Snapshot { name: name.clone(), lsn: lsn.clone(), _kept: wire });
            }
            _ => return Err(unsaid()),
        }
    }
    Ok(all)
}

/// The snapshot lives in a transaction of the session's, which V1's own limits would end.
pub(super) const KEPT: &str = "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN \
    ('idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout', 'statement_timeout', \
    'lock_timeout', 'client_connection_check_interval')";

fn unsaid() -> Trouble {
    Trouble::bug("V1 did not say what the new slot's snapshot is called")
}

const OLDEST: &str = "SELECT coalesce('the oldest began ' || max(extract(epoch FROM now() - xact_start)::bigint) || ' s ago', \
    'none is seen') FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()";

/// A slot is made, and meanwhile it is told whose transaction that waits for.
async fn waiting_for_who<T>(
    leader: &Place,
    admin: &Session,
    making: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let (making, telling) = (std::pin::pin!(making), std::pin::pin!(tell_who_is_waited_for(leader, admin)));
    match select(making, telling).await {
        Either::Left((made, _)) => made,
        Either::Right((told, _)) => Err(told.err().unwrap_or_else(unsaid)),
    }
}

/// Ends only by its limit: the slot is what ends it.
async fn tell_who_is_waited_for(leader: &Place, admin: &Session) -> Result<(), Trouble> {
    let wait = Wait {
        what: "V1's running transactions to end, so that the copy has a beginning",
        limit: Limit { name: "limits.catch-up", value: leader.plan.limits.catch_up.0 },
        every: Duration::from_millis(500),
        kind: Kind::NotReady,
    };
    wait::until(wait, &leader.tell, async || Ok(Look::<()>::NotYet(admin.text(OLDEST).await?.unwrap_or_default())))
        .await
}

/// From where on a follower that was seeded in this run lacks V1's changes, where its slots do not say so by themselves.
pub(super) async fn begins_at(place: &Place) -> Result<Option<String>, Trouble> {
    if place.side == Side::V1 || !place.plan.made_v2() {
        return Ok(None);
    }
    Ok(finished(place).await?.and_then(|mark| mark.from))
}

async fn ensure_no_helper(place: &Place) -> Result<(), Trouble> {
    seed::volume::ensure_none(place).await?;
    loader::ensure_none(place).await
}

/// Those of an earlier process may still be at it.
async fn ensure_no_sessions(admin: &Session, place: &Place) -> Result<(), Trouble> {
    seed::volume::ensure_no_sessions(admin, place).await?;
    let of_a_copy = format!(
        "FROM pg_stat_activity AS a WHERE a.usename = {} AND a.application_name = {}",
        literal(&names::admin(&place.plan)),
        literal(APPLICATION)
    );
    sessions::ensure_ended(admin, &of_a_copy, "an earlier copy's sessions to end", &place.tell).await
}

/// V2's directories are empty again, no copy runs, and V1 keeps nothing for it.
pub(super) async fn ensure_unseeded(place: &Place) -> Result<(), Trouble> {
    copy::refuse_not_ours(place)?;
    ensure_no_helper(place).await?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let short = Timeouts::short(place.plan.limits.statement.0);
    if let Some(leader) = crate::engine::postgres::successor::of_v1(&leader).await?
        && let Ok(admin) = connect::either(&leader, short).await
    {
        ensure_no_sessions(&admin, place).await?;
        publish::ensure_no_slots(&leader, &admin).await?;
        prepare::ensure_no_slot(&admin, &leader, &names::slot(&place.plan)).await?;
    }
    copy::ensure_empty(place, &volume::rooms(place)?).await
}
