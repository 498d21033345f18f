//! How V2 gets its first copy, and what that takes.

use super::{Found, alike, passed, refused};
use crate::engine::Check;
use crate::engine::mariadb::seed::DUMP;
use crate::engine::mysql_family::said::Said;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![
        log_kept(found.v1),
        alike::room(found.v1, found.v2, found.limits),
        seed_as_possible(found.seed),
        alike::carried(found.v1),
    ]
}

/// By what ordinary machines do, and what a new data directory takes.
pub(in super::super) fn seed_seconds(found: &Found<'_>) -> u64 {
    10 + found.v1.bytes / (25 << 20)
}

fn seed_as_possible(wanted: Option<&str>) -> Check {
    let id = "seed";
    match wanted {
        None | Some(DUMP) => passed(id, "by statements, from one moment, several tables at a time"),
        Some(other) => refused(
            id,
            format!("seed {} is not one that MariaDB has here", other.escape_debug()),
            "leave `seed` out, or `--seed dump`",
        ),
    }
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
