//! The seed `dump`: by statements, in parallel, from one moment of V1.

use std::time::Duration;

use super::{configured, directory, finished, own_account, writer};
use crate::engine::mysql::connect::{self, Session, Timeouts, code_of};
use crate::engine::mysql::position::{self, At, version};
use crate::engine::mysql::{follow, prepare};
use crate::engine::mysql_wire::copy::{self, Speed};
use crate::engine::mysql_wire::quote::literal;
use crate::engine::{Place, Seeded};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Tables that are read and written at once. More than the cores of most machines, as each waits for disks in turn.
const AT_ONCE: usize = 4;

/// As much as a server takes: a row of V1's must not be too long for V2.
const MOST_OF_A_ROW: u64 = 1 << 30;

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    directory::ensure_made(place).await?;
    let session = follow::ensure_running(place).await?;
    if let Some(position) = finished(&session).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    let session = configured(session, place).await?;
    session.run("SET GLOBAL local_infile = ON").await?;
    session.run(&format!("SET GLOBAL max_allowed_packet = {MOST_OF_A_ROW}")).await?;
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 };
    let (at, bytes) = wait::within(limit, "the copy", copied(place)).await?;
    ensure_as_on_v1(&session, place).await?;
    session.run(version(&session)?.empty_log()).await?;
    session.run(&format!("SET GLOBAL gtid_purged = {}", literal(&at.set))).await?;
    // The last act: only a finished copy is closed.
    follow::ensure_closed(&session).await?;
    Ok(Seeded { position: position::position(&at), bytes })
}

/// What was changed for the copy is V1's again, whatever an interrupted copy has left.
async fn ensure_as_on_v1(v2: &Session, place: &Place) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let v1 = connect::admin(&leader, prepare::timeouts(place)).await?;
    for name in ["local_infile", "max_allowed_packet"] {
        let value = v1.text(&format!("SELECT @@GLOBAL.{name}")).await?;
        let value = value.ok_or_else(|| Trouble::failed(format!("V1 does not say its {name}")))?;
        v2.run(&format!("SET GLOBAL {name} = {value}")).await?;
    }
    Ok(())
}

async fn copied(place: &Place) -> Result<(At, u64), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let v1 = connect::admin(&leader, Timeouts::NONE).await?;
    let mut writers = Vec::new();
    for _ in 0..AT_ONCE {
        writers.push(writer(place).await?);
    }
    let quiet = writer(place).await?;
    let Moment { readers, at, still } = moment(&leader).await?;
    let inventory = copy::inventory(&v1, &[]).await?;
    if !inventory.not_carried.is_empty() {
        return Err(Trouble::refused(format!("not carried by seed `dump`: {}", inventory.not_carried.join(", "))));
    }
    copy::tables(&v1, &quiet, &inventory).await?;
    let (user, host) = own_account(place);
    let accounts = copy::accounts(&v1, &quiet, &[(&user, &host)]).await?;
    let objects = copy::objects(&v1, &inventory).await?;
    still.run("UNLOCK INSTANCE").await?;
    let total = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 };
    let speed = Speed { most: place.plan.limits.seed_rate.map(|rate| rate.0), total };
    let copied = copy::rows(&readers, &writers, &inventory, &place.tell, speed).await?;
    drop(readers);
    let mut left_out = objects.make(&v1, &quiet).await?;
    left_out.extend(accounts.finish(&quiet).await?);
    for table in &inventory.tables {
        quiet.run(&format!("ANALYZE NO_WRITE_TO_BINLOG TABLE {}", table.name.quoted())).await?;
    }
    if !left_out.is_empty() {
        place.tell.warning(format!("not on V2, as it is of no use on V1 either: {}", left_out.join(", ")));
    }
    Ok((at, copied.bytes))
}

/// One moment of V1.
struct Moment {
    /// They see V1 as it was.
    readers: Vec<Session>,
    at: At,
    /// While it has its lock, changes of schema and accounts wait: what comes after these were read, V2 gets by V1's log.
    still: Session,
}

/// Writes stand still while it begins, for milliseconds; where the locks are not to be had at once they are let go, as everybody
/// would wait behind them.
async fn moment(leader: &Place) -> Result<Moment, Trouble> {
    let short = Timeouts { statement: Duration::from_secs(5), lock: Duration::from_secs(1) };
    let still = connect::admin(leader, short).await?;
    // A tool that is frozen here must not keep V1's clients: the server itself ends a session that says nothing.
    still.run("SET SESSION wait_timeout = 10").await?;
    let mut readers = Vec::new();
    for _ in 0..AT_ONCE {
        let session = connect::admin(leader, Timeouts::NONE).await?;
        copy::fit_reader(&session).await?;
        readers.push(session);
    }
    let patience = leader.plan.limits.catch_up.0.min(Duration::from_secs(600));
    let wait = Wait {
        what: "a moment in which nothing writes on V1",
        limit: Limit { name: "limits.catch-up, at most 10 min", value: patience },
        every: Duration::from_secs(5),
        kind: Kind::Failed,
    };
    wait::until(wait, &leader.tell, async || match locked(&still).await {
        Ok(()) => Ok(Look::Done(())),
        Err(trouble) if matches!(code_of(&trouble), Some(1205 | 1213)) => {
            Ok(Look::NotYet("statements that run for long hold it up".into()))
        }
        Err(trouble) => Err(trouble),
    })
    .await?;
    let begun = async {
        for session in &readers {
            session.run(copy::BEGIN).await?;
        }
        position::now(&still).await
    };
    let at = begun.await;
    still.run("UNLOCK TABLES").await?;
    still.run("SET SESSION wait_timeout = 86400").await?;
    Ok(Moment { readers, at: at?, still })
}

/// In this order: the event scheduler holds up the first lock for as long as it waits for the second one.
async fn locked(session: &Session) -> Result<(), Trouble> {
    session.run("FLUSH TABLES WITH READ LOCK").await?;
    let second = session.run("LOCK INSTANCE FOR BACKUP").await;
    if second.is_err() {
        session.run("UNLOCK TABLES").await?;
    }
    second
}
