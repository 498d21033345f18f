//! The seed `dump`: by statements, in parallel, from one moment of V1.

use std::time::Duration;

use super::connect::{self, Session, Timeouts, code_of};
use super::{names, running};
use crate::engine::Place;
use crate::engine::mysql_wire::copy::{self, Speed};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Tables that are read and written at once. More than the cores of most machines, as each waits for disks in turn.
const AT_ONCE: usize = 4;

/// As much as a server takes: a row of V1's must not be too long for V2.
const MOST_OF_A_ROW: u64 = 1 << 30;

/// One moment of V1.
pub(in crate::engine) struct Moment<P> {
    /// They see V1 as it was.
    pub(in crate::engine) readers: Vec<Session>,
    /// Where V1's log was.
    pub(in crate::engine) at: P,
    /// While it has its lock, changes of schema wait: what comes after these were read, V2 gets by V1's log.
    pub(in crate::engine) still: Session,
}

/// What a copy needs of a V2 that is to take it, before `copied`.
pub(in crate::engine) async fn ensure_fit(v2: &Session) -> Result<(), Trouble> {
    v2.run("SET GLOBAL local_infile = ON").await?;
    v2.run(&format!("SET GLOBAL max_allowed_packet = {MOST_OF_A_ROW}")).await
}

/// What was changed for the copy is V1's again, whatever an interrupted copy has left.
pub(in crate::engine) async fn ensure_as_on_v1(v2: &Session, place: &Place) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let v1 = connect::admin(&leader, running::timeouts(place)).await?;
    for name in ["local_infile", "max_allowed_packet"] {
        let value = v1.text(&format!("SELECT @@GLOBAL.{name}")).await?;
        let value = value.ok_or_else(|| Trouble::failed(format!("V1 does not say its {name}")))?;
        v2.run(&format!("SET GLOBAL {name} = {value}")).await?;
    }
    Ok(())
}

/// V2 has all that V1 had at the moment that `moment` makes; `definitions_read` lets changes of schema go on, and sees that
/// what no lock holds up did not change. Says where V1's log was, and how many bytes went over.
pub(in crate::engine) async fn copied<P>(
    place: &Place,
    moment: impl AsyncFnOnce(&Place, usize) -> Result<Moment<P>, Trouble>,
    definitions_read: impl AsyncFnOnce(&Session, &P) -> Result<(), Trouble>,
) -> Result<(P, u64), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let v1 = connect::admin(&leader, Timeouts::NONE).await?;
    let mut writers = Vec::new();
    for _ in 0..AT_ONCE {
        writers.push(connect::admin(place, Timeouts::NONE).await?);
    }
    let quiet = connect::admin(place, Timeouts::NONE).await?;
    let Moment { readers, at, still } = moment(&leader, AT_ONCE).await?;
    let inventory = copy::inventory(&v1, &[]).await?;
    if !inventory.not_carried.is_empty() {
        return Err(Trouble::refused(format!("not carried by seed `dump`: {}", inventory.not_carried.join(", "))));
    }
    copy::tables(&v1, &quiet, &inventory).await?;
    // V2's own already, and no part of the copy.
    let accounts = copy::accounts(&v1, &quiet, &[(&names::admin(&place.plan), names::ANYWHERE)]).await?;
    let objects = copy::objects(&v1, &inventory).await?;
    definitions_read(&still, &at).await?;
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

/// A session whose locks everybody waits for. A tool that is frozen must not keep V1's clients: the server itself ends a
/// session that says nothing.
pub(in crate::engine) async fn holder(leader: &Place) -> Result<Session, Trouble> {
    let short = Timeouts { statement: Duration::from_secs(5), lock: Duration::from_secs(1) };
    let still = connect::admin(leader, short).await?;
    still.run("SET SESSION wait_timeout = 10").await?;
    Ok(still)
}

/// No lock that holds up writes is left: it may take its time.
pub(in crate::engine) async fn let_rest(still: &Session) -> Result<(), Trouble> {
    still.run("SET SESSION wait_timeout = 86400").await
}

pub(in crate::engine) async fn readers(leader: &Place, at_once: usize) -> Result<Vec<Session>, Trouble> {
    let mut readers = Vec::new();
    for _ in 0..at_once {
        let session = connect::admin(leader, Timeouts::NONE).await?;
        copy::fit_reader(&session).await?;
        readers.push(session);
    }
    Ok(readers)
}

/// Writes stand still from here on, for milliseconds; where the locks are not to be had at once they are let go, as everybody
/// would wait behind them.
pub(in crate::engine) async fn until_locked(
    leader: &Place,
    lock: impl AsyncFn() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let patience = leader.plan.limits.catch_up.0.min(Duration::from_secs(600));
    let wait = Wait {
        what: "a moment in which nothing writes on V1",
        limit: Limit { name: "limits.catch-up, at most 10 min", value: patience },
        every: Duration::from_secs(5),
        kind: Kind::Failed,
    };
    wait::until(wait, &leader.tell, async || match lock().await {
        Ok(()) => Ok(Look::Done(())),
        Err(trouble) if matches!(code_of(&trouble), Some(1205 | 1213)) => {
            Ok(Look::NotYet("statements that run for long hold it up".into()))
        }
        Err(trouble) => Err(trouble),
    })
    .await
}
