//! Every precheck: an id that never changes, a verdict, what was found, and what to do about it. Pure.

use super::before::{Before, Serving};
use super::machine::Machine;
use super::said::Said;
use crate::config::Limits;
use crate::engine::Check;
use crate::engine::check::{noted, passed, refused, some, unless_allowed};
use crate::plan::Plan;
use crate::trouble::Trouble;

mod image;
mod moving;
mod seed;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use moving::gtid_to_change;
pub(super) use seed::{seed, seed_seconds};

/// All that was found, of both sides.
pub(super) struct Found<'a> {
    pub(super) v1: &'a Said,
    pub(super) v2: &'a Machine,
    pub(super) v1_free: Option<u64>,
    /// Bytes a second, as measured.
    pub(super) write_rate: Option<u64>,
    pub(super) allow: &'a [String],
    pub(super) limits: &'a Limits,
    /// The seed that was asked for.
    pub(super) seed: Option<&'a str>,
}

/// The whole list, for `plan`.
pub(super) fn all(found: &Found<'_>) -> Vec<Check> {
    let mut checks = image::checks(found);
    checks.extend(tables::checks(found));
    checks.extend(seed::checks(found));
    checks.extend(moving::checks(found.v1, None));
    checks
}

/// Those that may have changed since; what this run itself made is not held against V1.
pub(super) fn again(now: &Said, plan: &Plan) -> Vec<Check> {
    moving::checks(now, Some(plan))
}

/// Of the run's own record: what V1 had, for the plan. It is put back by, so that a guess would do harm.
pub(super) fn serving(v1: &Said) -> Result<Serving, Trouble> {
    let number = |name: &str| v1.number(name).ok_or_else(|| Trouble::failed(format!("V1 does not say its {name}")));
    Ok(Serving {
        server_id: u32::try_from(number("server_id")?).map_err(|_| Trouble::bug("a server_id of more than 32 bits"))?,
        max_connections: number("max_connections")?,
        event_scheduler: v1.variable("event_scheduler").to_owned(),
        sync_binlog: number("sync_binlog")?,
        flush_log: number("innodb_flush_log_at_trx_commit")?,
    })
}

/// What the run set on V1 and `abort` must find as it was.
pub(super) fn is_ours(name: &str, before: &Before) -> bool {
    matches!(name, "super_read_only" | "read_only" | "event_scheduler" | "server_id")
        || before.gtid.is_some() && matches!(name, "gtid_mode" | "enforce_gtid_consistency")
}
