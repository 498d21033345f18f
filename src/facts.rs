//! What each step leaves in the journal, typed. A variant is never renamed: old journals must be read.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::quantity::Bytes;
use crate::engine::{Position, SessionsEnded};
use crate::wait::human;

/// What the journal says is true now: the last fact of every step that is done and not undone.
#[derive(Clone, Debug, Default)]
pub struct Facts(BTreeMap<String, Fact>);

impl Facts {
    pub fn of(&self, step: &str) -> Option<&Fact> {
        self.0.get(step)
    }
    pub fn note(&mut self, step: &str, fact: Fact) {
        self.0.insert(step.to_owned(), fact);
    }
    pub fn forget(&mut self, step: &str) {
        self.0.remove(step);
    }
}

/// What is true after a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Fact {
    /// A sentence, where nothing later needs the value.
    True {
        sentence: String,
    },
    Seeded {
        position: Position,
        bytes: u64,
        /// What it was likely to take.
        #[serde(default)]
        forecast_ms: Option<u64>,
    },
    CaughtUp {
        behind: u64,
    },
    Ready {
        attempt: u32,
    },
    Held {
        listener: bool,
        stands_by: bool,
        /// Clients wait in a proxy, with no transaction open.
        #[serde(default)]
        paused: bool,
    },
    Fenced {
        ended: SessionsEnded,
    },
    Drained {
        position: Position,
    },
    /// `None`: the fence was in an earlier process, whose clock is not ours.
    Released {
        cutover_ms: Option<u64>,
    },
    Verified {
        tables: u64,
        rows: u64,
        differing: Vec<String>,
        sampled: Vec<String>,
    },
    Settled {
        way_back: bool,
        why: String,
    },
    /// What held the data of a side that is retired: volumes, and directories of the host, which are never removed.
    Retiring {
        volumes: Vec<String>,
        directories: Vec<String>,
    },
}

impl Fact {
    pub fn sentence(sentence: impl Into<String>) -> Fact {
        Fact::True { sentence: sentence.into() }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::True { sentence } => f.write_str(sentence),
            Fact::Seeded { position, bytes, forecast_ms } => {
                write!(f, "V2 holds a copy as of {position}, {}", Bytes(*bytes))?;
                match forecast_ms {
                    Some(ms) => write!(f, "; forecast: {}", human(Duration::from_millis(*ms))),
                    None => Ok(()),
                }
            }
            Fact::CaughtUp { behind } => write!(f, "V2 is {} behind and stays there", Bytes(*behind)),
            Fact::Ready { .. } => f.write_str("V2 follows by itself; the way is clear"),
            Fact::Held { paused: true, stands_by: true, .. } => {
                f.write_str("clients wait in their proxy; V2, closed, stands by on its network")
            }
            Fact::Held { paused: true, .. } => f.write_str("clients wait in their proxy"),
            Fact::Held { listener: true, stands_by: true, .. } => {
                f.write_str("new connections wait; V2, closed, stands by on the clients' network")
            }
            Fact::Held { listener: true, .. } => f.write_str("new connections wait"),
            Fact::Held { stands_by: true, .. } => {
                f.write_str("new connections are turned away; V2, shut, stands by on the clients' network")
            }
            Fact::Held { .. } => f.write_str("dead-man's switch and guard are armed"),
            Fact::Fenced { ended } => {
                write!(f, "V1 takes no write; {} idle sessions ended", ended.idle)?;
                match ended.in_transaction {
                    0 => Ok(()),
                    n => write!(f, ", {n} in the middle of a transaction"),
                }
            }
            Fact::Drained { position } => write!(f, "V2 has V1's last write, {position}"),
            Fact::Released { cutover_ms } => {
                f.write_str("a write through the clients' address succeeded")?;
                cutover_ms.map_or(Ok(()), |ms| write!(f, "; cutover took {ms} ms"))
            }
            Fact::Verified { tables, rows, differing, sampled } => {
                if differing.is_empty() {
                    write!(f, "{tables} tables, {rows} rows: V1 and V2 are equal")?;
                } else {
                    write!(f, "V1 and V2 DIFFER in {}", differing.join(", "))?;
                }
                if sampled.is_empty() { Ok(()) } else { write!(f, "; by sample: {}", sampled.join(", ")) }
            }
            Fact::Retiring { .. } => f.write_str("nobody uses it"),
            Fact::Settled { way_back: true, .. } => f.write_str("V1 follows V2: the way back is open"),
            Fact::Settled { why, .. } => write!(f, "V1 is stopped and kept; no way back by replication: {why}"),
        }
    }
}
