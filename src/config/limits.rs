//! Every limit: its name, its default, and what happens when it is reached (the documentation of `limits:`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::quantity::{Bytes, Share, Span};

/// The limits of a run. Reaching one never loses anything: before the window nothing changes for clients, inside it
/// the run turns back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// V2 may be at most this far behind when the window opens.
    pub lag: Bytes,
    /// Time for V2 to catch up after the seed.
    pub catch_up: Span,
    /// Time for everything up to `ready`.
    pub total: Span,
    /// Time for running transactions to finish after the door is shut; then they are ended.
    pub transactions: Span,
    /// Time from the first act of the window to the point of no return; then the run turns back by itself.
    pub cutover: Span,
    /// Time for one statement of ours on a server.
    pub statement: Span,
    /// How much of V1's free disk the log kept for V2 may take; beyond it V2 must be seeded anew.
    pub v1_wal: Share,
    /// How much V2 may keep for V1 while V1 follows as the way back.
    pub way_back: Bytes,
    /// Bytes a second for the seed; none: as fast as it goes.
    pub seed_rate: Option<Bytes>,
    /// Free space that must be left on V2's disk after the seed.
    pub disk_reserve: Share,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            lag: Bytes(16 << 20),
            catch_up: Span(Duration::from_secs(6 * 3600)),
            total: Span(Duration::from_secs(24 * 3600)),
            transactions: Span(Duration::from_millis(500)),
            cutover: Span(Duration::from_secs(10)),
            statement: Span(Duration::from_secs(5)),
            v1_wal: Share(50),
            way_back: Bytes(20 << 30),
            seed_rate: None,
            disk_reserve: Share(10),
        }
    }
}
