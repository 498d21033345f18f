//! Every precheck: an id that never changes, a verdict, what was found, and what to do about it. Pure.

use super::before::{Before, Serving};
use super::said::Own;
use crate::config::Limits;
use crate::engine::Check;
use crate::engine::check::{noted, passed, refused, some};
use crate::engine::mysql_family::checks as alike;
use crate::engine::mysql_family::machine::Machine;
use crate::engine::mysql_family::said::Said;
use crate::engine::mysql_family::upgrade;
use crate::plan::Plan;
use crate::trouble::Trouble;

mod image;
mod moving;
mod seed;
#[cfg(test)]
mod tests;

pub(super) use moving::gtid_to_change;
pub(super) use seed::seed;

/// All that was found, of both sides.
pub(super) struct Found<'a> {
    pub(super) v1: &'a Said,
    pub(super) own: &'a Own,
    pub(super) v2: &'a Machine,
    pub(super) v1_free: Option<u64>,
    /// V1's data directory is where a helper can be given it, too.
    pub(super) shares: bool,
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
    checks.extend([
        alike::keys(found.v1),
        alike::encryption(found.v1),
        alike::one_folder(found.v1),
        moving::side_door(found.v1),
    ]);
    checks.extend(upgrade::checks(&found.v1.doubtful, image::leap(found)));
    checks.extend(seed::checks(found));
    checks.extend(moving::checks(found.v1, found.own, None));
    checks
}

/// Those that may have changed since; what this run itself made is not held against V1.
pub(super) fn again(now: &Said, own: &Own, plan: &Plan) -> Vec<Check> {
    moving::checks(now, own, Some(plan))
}

/// Of the run's own record: what V1 had, for the plan. It is put back by, so that a guess would do harm.
pub(super) fn serving(v1: &Said) -> Result<Serving, Trouble> {
    Ok(Serving {
        server_id: u32::try_from(v1.needed("server_id")?)
            .map_err(|_| Trouble::bug("a server_id of more than 32 bits"))?,
        max_connections: v1.needed("max_connections")?,
        event_scheduler: v1.variable("event_scheduler").to_owned(),
        sync_binlog: v1.needed("sync_binlog")?,
        flush_log: v1.needed("innodb_flush_log_at_trx_commit")?,
        most_dirty: v1.variable("innodb_max_dirty_pages_pct").to_owned(),
        least_dirty: v1.variable("innodb_max_dirty_pages_pct_lwm").to_owned(),
    })
}

/// What the run set on V1 and `abort` must find as it was.
pub(super) fn is_ours(name: &str, before: &Before) -> bool {
    matches!(name, "super_read_only" | "read_only" | "event_scheduler" | "server_id")
        || before.gtid.is_some() && matches!(name, "gtid_mode" | "enforce_gtid_consistency")
}
