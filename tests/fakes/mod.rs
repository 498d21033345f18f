//! An in-memory world for the crash matrix: two servers, clients that never stop, a dead-man's switch, a guard, and
//! faults. It asserts the tenets after every change, so a test only has to choose what goes wrong.
//!
//! * [`world`] — what there is, the instants at which something may go wrong, and the tenets
//! * [`machine`] — one database server: access rules, sessions, lock, log; and the switch that lives on V1
//! * [`clients`] — writers that never stop, and how they find a side
//! * [`server`], [`window`] — the traits of `engine` on top of that; [`around`]: client ways, runtime and guard
//! * [`disk`] — the journal's file: forgets what was not synced
//! * [`process`] — a process of the tool from start to end or death
//! * [`matrix`] — what goes wrong where; [`ends`]: what must be true afterwards

#![allow(unreachable_pub, clippy::unwrap_used, clippy::struct_excessive_bools, reason = "for tests alone")]

pub mod around;
pub mod clients;
pub mod disk;
pub mod ends;
pub mod machine;
pub mod matrix;
pub mod process;
pub mod server;
pub mod window;
pub mod world;

pub use process::{End, Life};
pub use world::{Fault, Faults, Kind, Knobs, State};
