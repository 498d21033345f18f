//! How V2 gets its first copy, why not otherwise, and what it takes.

use super::{Found, alike, passed, refused};
use crate::engine::Check;
use crate::engine::mysql::dialect::Version;
use crate::engine::mysql_family::seed::{self, Seed};

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    let mut checks = vec![
        log_kept(found),
        alike::room(found.v1, found.v2, found.limits, seed(found)),
        seed::check(found.v1, found.seed, how, |seed| why_not(found, seed)),
    ];
    if seed(found) == Seed::Dump {
        checks.push(alike::carried(found.v1));
        checks.push(alike::engines(found.v1, found.allow));
    }
    checks
}

pub(in super::super) fn seed(found: &Found<'_>) -> Seed {
    seed::chosen(found.v1, found.seed, |seed| why_not(found, seed))
}

fn how(seed: Seed) -> String {
    let how = match seed {
        Seed::Dump => "by statements, from one moment, several tables at a time",
        Seed::Backup => "V1's pages are copied by the server itself (CLONE) while it serves",
        Seed::Volume => {
            "V1's files are copied; writes are held while those that changed meanwhile are copied once more"
        }
    };
    how.to_owned()
}

fn why_not(found: &Found<'_>, seed: Seed) -> Option<String> {
    match seed {
        Seed::Dump => None,
        Seed::Backup => why_no_clone(found),
        Seed::Volume if found.limits.seed_rate.is_some() => Some("limits.seed-rate cannot be kept".into()),
        Seed::Volume => seed::why_not_its_files(found.v1, found.shares),
    }
}

fn why_no_clone(found: &Found<'_>) -> Option<String> {
    let (old, new) = (Version::read(&found.v1.version)?, Version::read(&found.v2.version)?);
    if old.series() != new.series() || old < Version(8, 0, 37) && old != new {
        return Some(format!("the server's own copy does not go from {} to {}", found.v1.version, found.v2.version));
    }
    match found.v1.not_innodb.is_empty() {
        true => None,
        false => Some("the server's own copy leaves out what is not InnoDB".into()),
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
