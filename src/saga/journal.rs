//! The record of a run: one JSON line per event, the only memory that outlives the process.
//!
//! A line counts once its newline is there. A last line without one was cut off while it was written and is dropped;
//! any other damage is refused and nothing is touched. Where the run stands is a fold over the events.

use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::disk::{Denied, Disk, LockedFile};
use crate::trouble::Trouble;

/// Raised when an older version could misread a journal.
pub const FORMAT: u32 = 1;

/// More than all records of a window need together: its steps, their facts, the line and the way back.
const WINDOW_SPACE: u64 = 256 * 1024;

/// What happened. Names are never changed: journals outlive versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<F> {
    /// The first event of every journal.
    Opened { format: u32, switchover: String, plan: serde_json::Value },
    /// A step is about to act.
    Begun { step: String },
    /// A step has acted, and this is true now.
    Done { step: String, fact: F },
    /// A step did not get done. It may have taken effect, whole or in part.
    Failed { step: String, error: String },
    /// From here on the run goes back to the resting point `to`, or to nothing.
    Retreating { to: Option<String>, because: String, then: Then },
    /// Nothing is left of a step.
    Undone { step: String },
    /// The resting point, or nothing, is reached.
    Retreated { to: Option<String> },
    /// The line: from here on the run only goes forward.
    PassedPointOfNoReturn,
    /// The run ended half-way; it can be resumed.
    Stopped { step: String, error: String },
    /// The run ended and cannot be resumed.
    Closed { outcome: Closed },
}

/// What follows a retreat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The run ends, turned back.
    Stop,
    /// The way back was only because the run had been interrupted: it goes forward again.
    GoOn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Closed {
    Switched,
    /// Nothing of the run is left.
    TurnedBack,
}

/// An event with its number, counted from 0, and its time, which is for people only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<F> {
    pub seq: u64,
    pub at: jiff::Timestamp,
    #[serde(flatten)]
    pub event: Event<F>,
}

/// An open journal. Nobody else writes to it while this value lives.
pub struct Journal<F> {
    disk: Box<dyn Disk>,
    /// As people should be told of it.
    name: String,
    records: Vec<Record<F>>,
    /// A write failed: what is on disk is known only after opening it anew.
    broken: bool,
}

impl<F: Serialize + DeserializeOwned> Journal<F> {
    /// Begins a journal under a name nobody has.
    pub fn create(path: &Path, plan: serde_json::Value) -> Result<Self, Trouble> {
        let name = path.display().to_string();
        let first = opened(plan);
        let disk = LockedFile::create(path, &line_of(&first)?).map_err(|e| denied(e, &name))?;
        Ok(Journal { disk: Box::new(disk), name, records: vec![first], broken: false })
    }

    /// Takes the lock, makes what is there last, drops a torn last line, and reads what happened so far.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let name = path.display().to_string();
        let disk = LockedFile::open(path).map_err(|e| denied(e, &name))?;
        Self::on(Box::new(disk), &name)
    }

    /// As [`Journal::open`], on a disk that is had already.
    pub fn on(mut disk: Box<dyn Disk>, name: &str) -> Result<Self, Trouble> {
        let bytes = disk.settled().map_err(|e| unreadable(name).because(e))?;
        let (records, whole) = parse(&bytes, name)?;
        if whole < bytes.len() {
            disk.cut(whole as u64).map_err(|e| unwritable(name).because(e))?;
        }
        Ok(Journal { disk, name: name.to_owned(), records, broken: false })
    }

    /// Begins a journal on an empty disk.
    pub fn begin(mut disk: Box<dyn Disk>, name: &str, plan: serde_json::Value) -> Result<Self, Trouble> {
        let first = opened(plan);
        let line = line_of(&first)?;
        disk.write(&line).and_then(|()| disk.sync()).map_err(|e| unwritable(name).because(e))?;
        Ok(Journal { disk, name: name.to_owned(), records: vec![first], broken: false })
    }

    /// What happened so far, also while another process writes. Never decide from it: it may not be on disk.
    pub fn read(path: &Path) -> Result<Vec<Record<F>>, Trouble> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| unreadable(&name).because(e))?;
        Ok(parse(&bytes, &name)?.0)
    }

    /// Returns once the event is on disk, and all before it.
    pub fn append(&mut self, event: Event<F>) -> Result<&Record<F>, Trouble> {
        self.write(event, true)
    }

    /// Returns once the event survives this process, if not the machine. Only for where a lost record does no harm.
    pub fn append_unsynced(&mut self, event: Event<F>) -> Result<&Record<F>, Trouble> {
        self.write(event, false)
    }

    /// Sets aside the space of a window's records, so that a full disk is met before the window and never at the line.
    pub fn reserve(&mut self) -> Result<(), Trouble> {
        self.disk.reserve(WINDOW_SPACE).map_err(|e| unwritable(&self.name).because(e))
    }

    pub fn records(&self) -> &[Record<F>] {
        &self.records
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plan the run was opened with.
    pub fn plan(&self) -> &serde_json::Value {
        match self.records.first().map(|r| &r.event) {
            Some(Event::Opened { plan, .. }) => plan,
            _ => &serde_json::Value::Null,
        }
    }

    fn write(&mut self, event: Event<F>, synced: bool) -> Result<&Record<F>, Trouble> {
        if self.broken {
            return Err(unwritable(&self.name).because(Trouble::person("an earlier record could not be written")));
        }
        let record = Record { seq: self.records.len() as u64, at: now(), event };
        let line = line_of(&record)?;
        let written = self.disk.write(&line).and_then(|()| if synced { self.disk.sync() } else { Ok(()) });
        self.broken = written.is_err();
        written.map_err(|e| unwritable(&self.name).because(e))?;
        self.records.push(record);
        self.records.last().ok_or_else(|| Trouble::bug("a record vanished"))
    }
}

/// The records of whole lines, and how many bytes those are.
fn parse<F: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<(Vec<Record<F>>, usize), Trouble> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    let mut records: Vec<Record<F>> = Vec::new();
    for (number, line) in bytes[..whole].split_inclusive(|b| *b == b'\n').enumerate() {
        if number == 0 {
            check_format(line, name)?;
        }
        let record: Record<F> =
            serde_json::from_slice(line).map_err(|e| damaged(name, number, "is not a record we know").because(e))?;
        if record.seq != number as u64 {
            return Err(damaged(name, number, &format!("bears number {}", record.seq)));
        }
        if (number == 0) != matches!(record.event, Event::Opened { .. }) {
            return Err(damaged(name, number, "is out of place"));
        }
        records.push(record);
    }
    if records.is_empty() {
        return Err(damaged(name, 0, "is missing"));
    }
    Ok((records, whole))
}

/// A newer format is named before anything else in the line is tried: it may not be ours to read.
fn check_format(line: &[u8], name: &str) -> Result<(), Trouble> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        #[serde(default)]
        switchover: String,
    }
    match serde_json::from_slice::<Head>(line) {
        Ok(head) if head.format > FORMAT => Err(Trouble::person(format!(
            "the journal {name} has format {}, this version knows {FORMAT}; nothing was touched",
            head.format
        ))
        .hint(format!("use switchover {} or newer for this run", head.switchover))),
        _ => Ok(()),
    }
}

fn opened<F>(plan: serde_json::Value) -> Record<F> {
    let event = Event::Opened { format: FORMAT, switchover: env!("CARGO_PKG_VERSION").to_owned(), plan };
    Record { seq: 0, at: now(), event }
}

fn line_of<F: Serialize>(record: &Record<F>) -> Result<Vec<u8>, Trouble> {
    let mut line =
        serde_json::to_vec(record).map_err(|e| Trouble::bug("an event does not become a line").because(e))?;
    line.push(b'\n');
    Ok(line)
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn damaged(name: &str, number: usize, how: &str) -> Trouble {
    Trouble::person(format!("line {} of the journal {name} {how}; nothing was touched", number + 1))
        .hint("the journal is written by switchover alone; if a newer version wrote it, use that one")
}

fn unreadable(name: &str) -> Trouble {
    Trouble::person(format!("cannot read the journal {name}"))
}

fn unwritable(name: &str) -> Trouble {
    Trouble::person(format!("cannot write the journal {name}"))
}

fn denied(why: Denied, name: &str) -> Trouble {
    match why {
        Denied::Locked => Trouble::busy(format!("another switchover process works on the journal {name}")),
        Denied::Io(error) if error.kind() == io::ErrorKind::NotFound => unreadable(name).because(error),
        Denied::Io(error) => unwritable(name).because(error),
    }
}

#[cfg(test)]
mod tests;
