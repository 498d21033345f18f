//! What the clients saw: one record per transaction, as JSON lines from the workload to the runner.

use serde::{Deserialize, Serialize};

/// Microseconds since 1970.
pub(super) type Micros = u64;

/// A server that answered, named by its start ([`Engine::side`](super::database::Engine::side)): two servers never share
/// it, a copy does not take it along, and no address is involved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Side(pub(super) i64);

/// What a transaction does to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    Insert,
    Update,
    Delete,
}

/// How a transaction ended, as far as its client can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum End {
    Acknowledged,
    /// No connection, or no transaction could be begun.
    Refused,
    /// It had begun; its commit was never asked for.
    Middle,
    /// Its commit was asked for and not answered, or answered with an error.
    Unknown,
}

/// One transaction of one writer. `n` numbers a writer's attempts; no attempt is repeated under its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Op {
    pub(super) writer: i32,
    pub(super) n: i64,
    pub(super) change: Change,
    /// The row, by the number of the attempt that inserted it.
    pub(super) row: i64,
    pub(super) began: Micros,
    pub(super) ended: Micros,
    pub(super) end: End,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) side: Option<Side>,
    /// From the sequence that all writers share.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) serial: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) why: Option<String>,
}

/// One look of a reader at a row whose insertion was acknowledged before, and which is never deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Read {
    pub(super) reader: i32,
    pub(super) began: Micros,
    pub(super) ended: Micros,
    pub(super) found: Found,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Found {
    Yes,
    /// The server answered, and the row was not there.
    Missing,
    NoAnswer,
}

/// A line from the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Record {
    /// The tables are there, the clients begin.
    Ready,
    Op(Op),
    Read(Read),
    /// A row of the table as it is at the end.
    Row {
        writer: i32,
        n: i64,
        value: i64,
        serial: i64,
    },
    /// A line of the ledger at the end: this transaction was committed so many times.
    Ledger {
        writer: i32,
        n: i64,
        times: i64,
    },
    /// The last record: the final state was read whole.
    End {
        side: Side,
    },
    Trouble {
        what: String,
    },
}

/// Everything the workload said.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) ready: bool,
    pub(super) ops: Vec<Op>,
    pub(super) reads: Vec<Read>,
    pub(super) last: Final,
    pub(super) troubles: Vec<String>,
}

/// The tables after the last transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Final {
    /// Writer, row, value, serial.
    pub(super) rows: Vec<(i32, i64, i64, i64)>,
    /// Writer, number, how often.
    pub(super) ledger: Vec<(i32, i64, i64)>,
    /// The server it was read from, once it is complete.
    pub(super) side: Option<Side>,
}

impl History {
    pub(super) fn add(&mut self, record: Record) {
        match record {
            Record::Ready => self.ready = true,
            Record::Op(op) => self.ops.push(op),
            Record::Read(read) => self.reads.push(read),
            Record::Row { writer, n, value, serial } => self.last.rows.push((writer, n, value, serial)),
            Record::Ledger { writer, n, times } => self.last.ledger.push((writer, n, times)),
            Record::End { side } => self.last.side = Some(side),
            Record::Trouble { what } => self.troubles.push(what),
        }
    }

    pub(super) fn acknowledged(&self) -> impl DoubleEndedIterator<Item = &Op> {
        self.ops.iter().filter(|op| op.end == End::Acknowledged)
    }
}

/// Now, on the wall clock. One process takes all times that are compared.
pub(super) fn now() -> Micros {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
