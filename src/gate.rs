//! Decisions as values, with their reasons. Pure.

use std::time::Duration;

use crate::config::quantity::Bytes;
use crate::engine::Lag;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    Go(String),
    Wait(String),
    Refuse(String),
}

/// Whether V2 is near enough. A lag that cannot be measured never passes.
pub fn lag(lag: Option<Lag>, limit: Bytes) -> Gate {
    match lag {
        None => Gate::Wait("V2's lag cannot be measured yet".into()),
        Some(lag) if lag.bytes <= limit.0 => Gate::Go(format!("V2 is {} behind", Bytes(lag.bytes))),
        Some(lag) => Gate::Wait(format!("V2 is {} behind, limit {limit}", Bytes(lag.bytes))),
    }
}

/// Whether the owner lets the cutover begin: nothing may begin while the hold file exists.
pub fn held(hold_file_exists: Option<bool>, path: &str) -> Gate {
    match hold_file_exists {
        Some(false) => Gate::Go("no hold file".into()),
        Some(true) => Gate::Wait(format!("held: remove {path} to go on")),
        None => Gate::Wait(format!("cannot tell whether {path} exists")),
    }
}

/// Near enough for this long without a break.
pub const STEADY: Duration = Duration::from_secs(1);
