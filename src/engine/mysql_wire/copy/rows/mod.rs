//! The rows: several tables, and parts of large ones, at a time. Each pair of sessions reads one piece and writes it, in
//! loads of some megabytes, each a transaction of its own.

mod encode;
mod pieces;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, TryStreamExt as _};
use mysql_async::prelude::Queryable as _;
use mysql_async::{Error, Value};
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;

use self::pieces::Piece;
use super::super::session::{Session, code_of, values};
use super::fit_writer;
use super::inventory::{Inventory, Name};
use crate::tell::{Teller, Unit};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// What one LOAD takes: long enough that its commit costs little, and no more than three are in memory for each pair.
const LOAD: usize = 8 << 20;

/// What goes to the server at a time: under what every server takes in one packet.
const PACKET: usize = 256 << 10;

/// How often a load that met a deadlock is tried: those of parts of one table may meet in an index.
const TRIES: u32 = 5;

/// What went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Copied {
    pub(in crate::engine) rows: u64,
    /// As texts; about what the server estimates.
    pub(in crate::engine) bytes: u64,
}

/// How fast it may go, and how long.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Speed<'a> {
    /// Bytes a second.
    pub(in crate::engine) most: Option<u64>,
    /// For how long a pause may last that keeps it so slow.
    pub(in crate::engine) total: Limit<'a>,
}

/// Every row of the inventory's tables is on the writers' side when this returns. The readers see one and the same view,
/// which began after [`super::fit_reader`]; the writers' server has `local_infile` on.
pub(in crate::engine) async fn rows(
    readers: &[Session],
    writers: &[Session],
    inventory: &Inventory,
    tell: &Teller,
    speed: Speed<'_>,
) -> Result<Copied, Trouble> {
    let Some(first) = readers.first().filter(|_| readers.len() == writers.len()) else {
        return Err(Trouble::bug("readers and writers do not come in pairs"));
    };
    refuse_short_views(first).await?;
    for writer in writers {
        fit_writer(writer).await?;
    }
    let pieces = pieces::cut(first, &inventory.tables, readers.len()).await?;
    let work = Work {
        total: pieces.iter().map(|piece| piece.weight).sum(),
        left: RefCell::new(pieces.into()),
        tell,
        speed,
        began: Instant::now(),
        told: Cell::new(Instant::now()),
        copied: Cell::default(),
    };
    let pairs: FuturesUnordered<_> = readers.iter().zip(writers).map(|(from, to)| work.pair(from, to)).collect();
    pairs.try_collect::<()>().await?;
    Ok(work.copied.get())
}

/// A view that lasts for one statement only would copy each table as of another moment.
async fn refuse_short_views(reader: &Session) -> Result<(), Trouble> {
    let name = if reader.is_mariadb() { "tx_isolation" } else { "transaction_isolation" };
    match reader.text(&format!("SELECT @@SESSION.{name}")).await?.as_deref() {
        Some("REPEATABLE-READ") => Ok(()),
        _ => Err(Trouble::bug("a reader's view does not last")),
    }
}

/// Rows on their way.
struct Load {
    bytes: Bytes,
    rows: u64,
    /// Values of ENUM columns that are none of the members: the server warns of each, and takes it.
    marks: u64,
}

struct Work<'a> {
    left: RefCell<VecDeque<Piece<'a>>>,
    tell: &'a Teller,
    speed: Speed<'a>,
    began: Instant,
    told: Cell<Instant>,
    copied: Cell<Copied>,
    total: u64,
}

/// No space for a file; no space for a table, as the server puts it.
const FULL: [u16; 2] = [1021, 1114];

fn not_copied(table: &Name, trouble: Trouble) -> Trouble {
    let (why, hint) = match code_of(&trouble) {
        Some(code) if FULL.contains(&code) => (": V2's disk is full", "make room, or let V2's volume be elsewhere"),
        _ => ("", "run again: the copy begins anew"),
    };
    Trouble::failed(format!("table {table} was not copied{why}")).because(trouble).hint(hint)
}

impl Work<'_> {
    async fn pair(&self, from: &Session, to: &Session) -> Result<(), Trouble> {
        loop {
            let Some(piece) = self.left.borrow_mut().pop_front() else { return Ok(()) };
            self.piece(&piece, from, to).await.map_err(|trouble| not_copied(&piece.table.name, trouble))?;
        }
    }

    async fn piece(&self, piece: &Piece<'_>, from: &Session, to: &Session) -> Result<(), Trouble> {
        // Going back to it lets the table's lock go, so that V1's clients may alter the table again; the view stays.
        from.run("SAVEPOINT piece").await?;
        let (sender, receiver) = mpsc::channel(1);
        let (read, written) = tokio::try_join!(read(from, piece, sender), self.write(to, piece, receiver))?;
        from.run("ROLLBACK TO SAVEPOINT piece").await?;
        if read != written {
            return Err(Trouble::failed(format!("{read} rows were read and {written} written")));
        }
        Ok(())
    }

    async fn write(&self, to: &Session, piece: &Piece<'_>, mut loads: mpsc::Receiver<Load>) -> Result<u64, Trouble> {
        let statement = piece.load();
        let mut written = 0;
        while let Some(next) = loads.recv().await {
            let mut tries = 1;
            written += loop {
                match load(to, &statement, &next).await {
                    Err(trouble) if tries < TRIES && matches!(code_of(&trouble), Some(1205 | 1213)) => tries += 1,
                    done => break done?,
                }
            };
            self.went_over(&next).await?;
        }
        Ok(written)
    }

    async fn went_over(&self, load: &Load) -> Result<(), Trouble> {
        let mut copied = self.copied.get();
        copied.rows += load.rows;
        copied.bytes += load.bytes.len() as u64;
        self.copied.set(copied);
        let spent = self.began.elapsed();
        if self.told.get().elapsed() >= Duration::from_millis(500) {
            self.told.set(Instant::now());
            let ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = copied.bytes.saturating_mul(1000) / ms;
            self.tell.progress("copied", copied.bytes, Some(self.total), Some(rate), Unit::Bytes);
        }
        let Some(most) = self.speed.most else { return Ok(()) };
        let due = Duration::from_millis(copied.bytes.saturating_mul(1000) / most.max(1));
        if due <= spent {
            return Ok(());
        }
        let wait = Wait {
            what: "the copy to be as slow as it shall be",
            limit: self.speed.total,
            every: due.saturating_sub(spent).min(Duration::from_secs(1)),
            kind: Kind::Failed,
        };
        wait::until(wait, &Teller::silent(), async || {
            Ok(match self.began.elapsed() >= due {
                true => Look::Done(()),
                false => Look::NotYet("limits.seed-rate".into()),
            })
        })
        .await
    }
}

/// Sends the piece's rows on; says how many there were.
async fn read(from: &Session, piece: &Piece<'_>, loads: mpsc::Sender<Load>) -> Result<u64, Trouble> {
    let enumerated = piece.enumerated();
    let statement = piece.select();
    let mut conn = from.raw().await;
    let mut result = conn.query_iter(statement).await.map_err(|error| refused(from, error))?;
    let (mut all, mut rows, mut marks) = (0, 0, 0);
    let mut out = Vec::with_capacity(PACKET);
    while let Some(row) = result.next().await.map_err(|error| refused(from, error))? {
        let values: Vec<Value> = values(row).collect();
        encode::row(&values, &mut out);
        rows += 1;
        marks += enumerated.iter().filter(|at| matches!(&values[**at], Value::Bytes(number) if number == b"0")).count();
        if out.len() >= LOAD {
            all += rows;
            let bytes = std::mem::replace(&mut out, Vec::with_capacity(LOAD + PACKET)).into();
            let load = Load { bytes, rows: std::mem::take(&mut rows), marks: std::mem::take(&mut marks) as u64 };
            if loads.send(load).await.is_err() {
                // The writer's own error is the one that is told.
                return Ok(all);
            }
        }
    }
    all += rows;
    if rows > 0 {
        let _told_by_the_writer = loads.send(Load { bytes: out.into(), rows, marks: marks as u64 }).await;
    }
    Ok(all)
}

/// One transaction; says how many rows it wrote. What was read is what is written, or it is an error.
async fn load(to: &Session, statement: &str, load: &Load) -> Result<u64, Trouble> {
    let mut conn = to.raw().await;
    let mut rest = load.bytes.clone();
    let mut packets = Vec::with_capacity(rest.len() / PACKET + 1);
    while !rest.is_empty() {
        packets.push(Ok(rest.split_to(rest.len().min(PACKET))));
    }
    conn.set_infile_handler(async move {
        let stream: mysql_async::InfileData = Box::pin(futures_util::stream::iter(packets));
        Ok(stream)
    });
    conn.query_drop(statement).await.map_err(|error| refused(to, error))?;
    let (written, warned) = (conn.affected_rows(), u64::from(conn.get_warnings()));
    drop(conn);
    if warned != load.marks.min(u64::from(u16::MAX)) {
        // Their words hold values.
        let codes = to.rows("SHOW WARNINGS LIMIT 1").await?;
        let code = codes.first().and_then(|row| row.get(1).cloned().flatten()).unwrap_or_default();
        return Err(Trouble::failed(format!("the server warned of {warned} values (the first time with code {code})")));
    }
    if written != load.rows {
        return Err(Trouble::failed(format!("{} rows were sent and {written} written", load.rows)));
    }
    Ok(written)
}

/// Why the server would not read or write rows: its number only where its words may hold a value.
fn refused(session: &Session, error: Error) -> Trouble {
    let told = session.failed(error);
    match code_of(&told) {
        None | Some(1205 | 1213 | 1412 | 1146 | 1148 | 3948 | 4166 | 1114 | 1317 | 3024 | 1053) => told,
        Some(code) => Trouble::failed(format!("the server refused it (error {code})")),
    }
}
