//! A writer and a reader, as decent clients are: they reconnect at once and resolve the name again, wait a few
//! milliseconds after a refusal, and give up on an answer that does not come.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Address, Client, Failed, Recorder};
use crate::scenario::history::{Change, End, Found, Op, Read, Record, now};
use crate::wait::{self, Limit};

/// A refused client tries again after this time.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);
/// Deletions leave at least so many rows of a writer standing.
const ROWS_KEPT: usize = 50;

pub(super) struct Bounds {
    pub(super) address: Rc<Address>,
    pub(super) pause: Duration,
    pub(super) patience: Limit<'static>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Bounds {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// The newest row of a writer that was acknowledged and is never deleted: readers must find it.
#[derive(Default)]
pub(super) struct Known(Cell<Option<i64>>);

pub(super) struct Writer {
    number: i32,
    next: i64,
    /// Rows for updates.
    keepers: Vec<i64>,
    /// Rows for deletions. No row is both: what happened to it can be told from its own number.
    deletable: VecDeque<i64>,
    known: Rc<Known>,
}

impl Writer {
    pub(super) fn new(number: i32, known: Rc<Known>) -> Self {
        Writer { number, next: 0, keepers: Vec::new(), deletable: VecDeque::new(), known }
    }

    pub(super) async fn run(mut self, bounds: &Bounds, recorder: &Recorder) {
        let mut connection = None;
        while !bounds.stopped() {
            let mut op = self.next_op();
            let answer = attempt(&mut connection, bounds, async |client| client.transact(&op).await).await;
            op.ended = now();
            match answer {
                Ok((side, serial)) => {
                    (op.end, op.side, op.serial) = (End::Acknowledged, Some(side), serial);
                    self.remember(&op);
                }
                Err(failed) => (op.end, op.why) = (failed.end, Some(failed.why)),
            }
            let refused = op.end == End::Refused;
            recorder.tell(Record::Op(op));
            wait::pace(if refused { AFTER_REFUSAL } else { bounds.pause }).await;
        }
    }

    /// Seven of ten transactions insert, two update, one deletes. A row whose fate is not known is left alone.
    fn next_op(&mut self) -> Op {
        self.next += 1;
        let n = self.next;
        let (change, row) = match n % 10 {
            3 | 7 => (Change::Update, self.some_keeper(n)),
            9 if self.deletable.len() > ROWS_KEPT => (Change::Delete, self.deletable.pop_front()),
            _ => (Change::Insert, None),
        };
        let (change, row) = row.map_or((Change::Insert, n), |row| (change, row));
        let began = now();
        Op {
            writer: self.number,
            n,
            change,
            row,
            began,
            ended: began,
            end: End::Refused,
            side: None,
            serial: None,
            why: None,
        }
    }

    fn some_keeper(&self, n: i64) -> Option<i64> {
        let count = i64::try_from(self.keepers.len()).ok()?;
        let at = usize::try_from(n.checked_mul(7919)?.checked_rem(count)?).ok()?;
        self.keepers.get(at).copied()
    }

    fn remember(&mut self, op: &Op) {
        if op.change != Change::Insert {
            return;
        }
        if op.n % 5 == 0 {
            self.keepers.push(op.n);
            self.known.0.set(Some(op.n));
        } else {
            self.deletable.push_back(op.n);
        }
    }
}

pub(super) struct Reader {
    number: i32,
    writers: Vec<Rc<Known>>,
}

impl Reader {
    pub(super) fn new(number: i32, writers: Vec<Rc<Known>>) -> Self {
        Reader { number, writers }
    }

    pub(super) async fn run(self, bounds: &Bounds, recorder: &Recorder) {
        let mut connection = None;
        for (writer, known) in (1..).zip(&self.writers).cycle() {
            if bounds.stopped() {
                break;
            }
            let mut pause = bounds.pause;
            if let Some(row) = known.0.get() {
                let began = now();
                let answer = attempt(&mut connection, bounds, async |c| c.find(writer, row).await).await;
                let found = match answer {
                    Ok(true) => Found::Yes,
                    Ok(false) => Found::Missing,
                    Err(_) => Found::NoAnswer,
                };
                if found == Found::NoAnswer {
                    pause = AFTER_REFUSAL;
                }
                recorder.tell(Record::Read(Read { reader: self.number, began, ended: now(), found }));
            }
            wait::pace(pause).await;
        }
    }
}

/// One try: connects if need be, and drops the connection after any failure.
async fn attempt<T>(
    connection: &mut Option<Box<dyn Client>>,
    bounds: &Bounds,
    act: impl AsyncFnOnce(&mut dyn Client) -> Result<T, Failed>,
) -> Result<T, Failed> {
    let mut client = match connection.take() {
        Some(client) if !client.is_closed() => client,
        _ => bounds.address.connect().await.map_err(|error| Failed { end: End::Refused, why: error.one_line() })?,
    };
    client.clear_stage();
    let answer =
        match wait::within(bounds.patience, "a client's transaction", async { Ok(act(client.as_mut()).await) }).await {
            Ok(answer) => answer,
            Err(gave_up) => Err(Failed { end: client.stage(), why: gave_up.what }),
        };
    if answer.is_ok() {
        *connection = Some(client);
    }
    answer
}
