//! How V2 gets its first copy, why not otherwise, and what it takes.

use super::{Found, alike, passed, refused};
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::mysql_family::said::Said;
use crate::engine::mysql_family::seed::{self, Seed};

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    let mut checks = vec![
        log_kept(found.v1),
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
        Seed::Backup => "V1's pages are copied by mariadb-backup of V1's image while V1 serves",
        Seed::Volume => {
            "V1's files are copied; writes are held while those that changed meanwhile are copied once more"
        }
    };
    how.to_owned()
}

fn why_not(found: &Found<'_>, seed: Seed) -> Option<String> {
    match seed {
        Seed::Dump => None,
        Seed::Backup if !found.has_backup => Some("V1's image has no mariadb-backup".into()),
        Seed::Volume if found.limits.seed_rate.is_some() => Some("limits.seed-rate cannot be kept".into()),
        Seed::Backup if holds_commits(found) => {
            let bytes = Bytes(found.v1.others_bytes);
            Some(format!("mariadb-backup holds commits while it copies the {bytes} of tables that are not InnoDB"))
        }
        Seed::Backup | Seed::Volume => seed::why_not_its_files(found.v1, found.shares),
    }
}

/// What an ordinary disk reads and writes a second.
const DISK: u64 = 100 << 20;

/// For longer than the window may hold them.
fn holds_commits(found: &Found<'_>) -> bool {
    found.v1.others_bytes / DISK > found.limits.cutover.0.as_secs()
}

fn log_kept(v1: &Said) -> Check {
    let id = "log-kept";
    // The older one counts days, and the newer one shows in it what it has in seconds.
    let seconds = v1.number("binlog_expire_logs_seconds").or_else(|| Some(v1.number("expire_logs_days")? * 86_400));
    if v1.number("max_binlog_total_size").is_some_and(|most| most > 0) {
        return refused(
            id,
            "V1 throws its log away by its size (max_binlog_total_size), and V2 may still need it",
            "SET GLOBAL max_binlog_total_size = 0, for as long as the run takes",
        );
    }
    match seconds {
        Some(0) => passed(id, "V1 keeps its log"),
        Some(seconds @ 1..86_400) => refused(
            id,
            format!("V1 throws its log away after {seconds} s, and V2 may still need it"),
            "SET GLOBAL expire_logs_days = 7, for as long as the run takes",
        ),
        Some(_) => passed(id, "V1 keeps its log for days"),
        None => refused(id, "V1 does not say for how long it keeps its log", "see SHOW VARIABLES LIKE '%expire_logs%'"),
    }
}
