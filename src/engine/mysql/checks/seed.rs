//! How V2 gets its first copy, why not otherwise, and what it takes.

use super::{Found, alike, passed, refused};
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::mysql::dialect::Version;
use crate::engine::mysql::seed::Seed;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    let mut checks = vec![log_kept(found), alike::room(found.v1, found.v2, found.limits), seed_as_possible(found)];
    if seed(found) == Seed::Dump {
        checks.push(alike::carried(found.v1));
    }
    checks
}

/// From here on V1's pages are copied, where nobody says otherwise.
const LARGE: u64 = 1 << 30;

pub(in super::super) fn seed(found: &Found<'_>) -> Seed {
    let wanted = match found.seed {
        Some(seed) => seed == Seed::Backup.name(),
        None => found.v1.bytes >= LARGE,
    };
    if wanted && why_no_backup(found).is_none() { Seed::Backup } else { Seed::Dump }
}

/// By what ordinary machines do, in bytes a second, and what a new data directory takes.
pub(in super::super) fn seed_seconds(found: &Found<'_>, seed: Seed) -> u64 {
    let rate: u64 = match seed {
        Seed::Dump => 25 << 20,
        Seed::Backup => 200 << 20,
    };
    12 + found.v1.bytes / rate
}

fn why_no_backup(found: &Found<'_>) -> Option<String> {
    let (old, new) = (Version::read(&found.v1.version)?, Version::read(&found.v2.version)?);
    if old.series() != new.series() || old < Version(8, 0, 37) && old != new {
        return Some(format!("the server's own copy does not go from {} to {}", found.v1.version, found.v2.version));
    }
    match found.v1.not_innodb.is_empty() {
        true => None,
        false => Some("the server's own copy leaves out what is not InnoDB".into()),
    }
}

fn seed_as_possible(found: &Found<'_>) -> Check {
    let id = "seed-by-backup";
    match (seed(found), why_no_backup(found)) {
        (Seed::Backup, _) => passed(id, "V1's pages are copied by the server itself (CLONE) while it serves"),
        (Seed::Dump, Some(why)) if found.seed == Some(Seed::Backup.name()) => {
            refused(id, why, "leave `seed` out, or `--seed dump`")
        }
        (Seed::Dump, Some(why)) => passed(id, format!("not possible ({why}), and not asked for")),
        (Seed::Dump, None) => passed(id, format!("possible; chosen from {} on, or by `--seed backup`", Bytes(LARGE))),
    }
}
fn log_kept(found: &Found<'_>) -> Check {
    let id = "log-kept";
    let v1 = found.v1;
    if v1.variables.contains_key("binlog_expire_logs_auto_purge") {
        return passed(id, "V1 keeps its log for V2: it is not purged by itself during the run");
    }
    let hint = "SET GLOBAL binlog_expire_logs_seconds = 604800, for as long as the run takes";
    match v1.number("binlog_expire_logs_seconds") {
        None => refused(id, "V1 does not say for how long it keeps its log, and V2 may still need it", hint),
        Some(seconds @ 1..86_400) => {
            refused(id, format!("V1 throws its log away after {seconds} s, and V2 may still need it"), hint)
        }
        Some(_) => passed(id, "V1 keeps its log for days"),
    }
}
