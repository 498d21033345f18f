//! Disk: for the copy on V2's side, and for the log V1 keeps meanwhile.

use super::{Found, noted, passed, refused};
use crate::config::quantity::Bytes;
use crate::engine::Check;

/// What a copy does on a slow disk or network, bytes a second: for the forecast of the log kept meanwhile.
const SLOW_COPY: u64 = 50 << 20;

/// A server's own log, whatever its size.
const WAL_AT_REST: u64 = 1 << 30;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![for_the_copy(found), for_the_log(found), bound(found)]
}

/// How long the copy takes at worst, in seconds.
fn copy_seconds(found: &Found<'_>) -> u64 {
    let rate = found.limits.seed_rate.map_or(SLOW_COPY, |rate| rate.0.min(SLOW_COPY)).max(1);
    found.bytes() / rate + 10
}

fn log_of_the_copy(found: &Found<'_>) -> Option<u64> {
    found.write_rate.map(|rate| rate.saturating_mul(copy_seconds(found)))
}

fn for_the_copy(found: &Found<'_>) -> Check {
    let id = "disk-for-copy";
    let log = log_of_the_copy(found).unwrap_or(0).min(found.bytes() / 2);
    let need = found.bytes() + (found.bytes() / 4).min(WAL_AT_REST) + log;
    let Some(free) = found.v2.free else {
        return noted(id, format!("the copy needs {}; how much is free on V2's side is not known", Bytes(need)));
    };
    let usable = free / 100 * u64::from(100_u8.saturating_sub(found.limits.disk_reserve.0));
    let said = format!("the copy needs {}; {} are free on V2's side", Bytes(need), Bytes(free));
    if need <= usable {
        return passed(id, said);
    }
    refused(
        id,
        format!("{said}, {}% of them to be left", found.limits.disk_reserve.0),
        "make room, let V2's volume be elsewhere, or lower limits.disk-reserve",
    )
}

fn for_the_log(found: &Found<'_>) -> Check {
    let id = "disk-for-log";
    let (Some(free), Some(log)) = (found.v1_free, log_of_the_copy(found)) else {
        return noted(id, "how much log V1 keeps during the copy cannot be foretold");
    };
    let share = found.limits.v1_wal.0;
    let usable = free / 100 * u64::from(share);
    let said = format!("V1 will keep about {} of its log during the copy", Bytes(log));
    if log <= usable {
        return passed(id, format!("{said}; at most {} ({share}% of what is free)", Bytes(usable)));
    }
    refused(
        id,
        format!("{said}, more than {} ({share}% of what is free on its disk)", Bytes(usable)),
        "make room on V1's disk, raise limits.v1-wal, or run when V1 writes less",
    )
}

fn bound(found: &Found<'_>) -> Check {
    let id = "max-slot-wal-keep-size";
    let name = "max_slot_wal_keep_size";
    match (found.moving.setting(name), log_of_the_copy(found)) {
        ("-1", _) if found.moving.on_command_line(name) => {
            noted(id, format!("{name} is on V1's command line without a limit: limits.v1-wal cannot be kept"))
        }
        ("-1", _) => {
            passed(id, format!("no limit on V1; limits.v1-wal ({}%) is set for the run", found.limits.v1_wal.0))
        }
        (mib, Some(log)) if mib.parse::<u64>().is_ok_and(|mib| mib << 20 < log) => refused(
            id,
            format!("V1 keeps at most {mib} MiB for a follower, and about {} are needed", Bytes(log)),
            format!("raise {name} on V1 (a reload is enough)"),
        ),
        (mib, _) => noted(id, format!("V1 keeps at most {mib} MiB for a follower; left as it is")),
    }
}
