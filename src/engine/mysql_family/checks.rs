//! Prechecks that are alike: an id that never changes, a verdict, what was found, and what to do about it. Pure.

use super::machine::Machine;
use super::said::Said;
use super::seed::Seed;
use super::{door, names};
use crate::config::Limits;
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::check::{noted, passed, refused, some, unless_allowed};
use crate::plan::Plan;

// — V2's image —

pub(in crate::engine) fn rights(v1: &Said) -> Check {
    let id = "rights";
    if v1.may_all {
        return passed(id, "the account we get in with has all rights");
    }
    refused(
        id,
        "the account we get into V1 with lacks rights",
        "give one with ALL ON *.* WITH GRANT OPTION, as root has",
    )
}

pub(in crate::engine) fn configuration(v2: &Machine) -> Check {
    let id = "configuration";
    if v2.configured {
        return passed(id, "V2's server takes V1's command line and configuration files");
    }
    let why = v2.refuses.first().map_or("it does not say why", String::as_str);
    refused(
        id,
        format!("V2's server refuses V1's command line or configuration files: {}", why.escape_debug()),
        "take out of V1's what V2's version no longer knows, then plan again",
    )
}

pub(in crate::engine) fn tools(v2: &Machine, needed: &[&str]) -> Check {
    let id = "tools";
    let missing: Vec<&str> = needed.iter().copied().filter(|tool| !v2.tools.iter().any(|has| has == tool)).collect();
    match missing.is_empty() {
        true => passed(id, "V2's image has what is needed"),
        false => {
            refused(id, format!("V2's image lacks {}", missing.join(" and ")), "name an image like the official one")
        }
    }
}

// — what V1 holds —

pub(in crate::engine) fn engines(v1: &Said, allow: &[String]) -> Check {
    let id = "not-transactional";
    if v1.not_innodb.is_empty() {
        return passed(id, "every table is InnoDB");
    }
    let found =
        format!("rows that are written into these during the copy may be missing on V2: {}", some(&v1.not_innodb));
    unless_allowed(allow, id, id, found, "ALTER TABLE … ENGINE = InnoDB carries them over")
}

pub(in crate::engine) fn keys(v1: &Said) -> Check {
    let id = "no-primary-key";
    match v1.keyless.is_empty() {
        true => passed(id, "every table has a primary key"),
        false => {
            noted(id, format!("each change of these makes V2 look for the row by all of it: {}", some(&v1.keyless)))
        }
    }
}

pub(in crate::engine) fn encryption(v1: &Said) -> Check {
    let id = "encryption";
    match v1.encrypted {
        0 => passed(id, "no table is encrypted"),
        n => refused(
            id,
            format!("{n} tables are encrypted, and V2 would not have the key"),
            "not supported: decrypt them first",
        ),
    }
}

pub(in crate::engine) fn carried(v1: &Said) -> Check {
    let id = "carried";
    match v1.not_carried.is_empty() {
        true => passed(id, "a copy by statements leaves nothing out"),
        false => refused(
            id,
            format!("a copy by statements would leave out: {}", some(&v1.not_carried)),
            "not supported: drop it, or make it anew on V2 afterwards",
        ),
    }
}

/// Where a server keeps what is no other's: V2 would meet V1 there.
const PLACES: [&str; 5] = [
    "innodb_data_home_dir",
    "innodb_doublewrite_dir",
    "innodb_log_group_home_dir",
    "innodb_undo_directory",
    "log_bin_basename",
];

pub(in crate::engine) fn one_folder(v1: &Said) -> Check {
    let id = "one-data-folder";
    let data = format!("{}/", v1.variable("datadir").trim_end_matches('/'));
    let elsewhere = |name: &&str| {
        let at = v1.variable(name);
        at.starts_with('/') && !format!("{at}/").starts_with(&data)
    };
    let elsewhere: Vec<String> =
        PLACES.into_iter().filter(elsewhere).map(|name| format!("{name} = {}", v1.variable(name))).collect();
    match elsewhere.is_empty() {
        true => passed(id, format!("all that V1 keeps is in {data}")),
        false => refused(
            id,
            format!("V1 keeps data in other folders too: {}", some(&elsewhere)),
            "not supported: V2 would be made with the same settings, and find V1's files there",
        ),
    }
}

/// What V1's data takes on V2's disk, its log during the copy included.
pub(in crate::engine) fn room(v1: &Said, v2: &Machine, limits: &Limits, seed: Seed) -> Check {
    let id = "disk-for-copy";
    // Files also hold what was deleted.
    let copied = match seed {
        Seed::Dump => v1.bytes,
        Seed::Backup | Seed::Volume => v1.files_bytes.unwrap_or(v1.bytes).max(v1.bytes),
    };
    let need = copied + copied / 3 + (1 << 30);
    let Some(free) = v2.free else {
        return noted(id, format!("the copy needs {}; how much is free on V2's side is not known", Bytes(need)));
    };
    let usable = free / 100 * u64::from(100_u8.saturating_sub(limits.disk_reserve.0));
    let said = format!("the copy needs {}; {} are free on V2's side", Bytes(need), Bytes(free));
    if need <= usable {
        return passed(id, said);
    }
    refused(id, said, "make room, let V2's volume be elsewhere, or lower limits.disk-reserve")
}

// — what may change between the plan and the window —

pub(in crate::engine) fn writable(v1: &Said) -> Check {
    let id = "writable";
    if ["read_only", "super_read_only", "offline_mode"].iter().any(|name| v1.is_on(name)) {
        return refused(id, "V1 is read-only or offline", "SET GLOBAL read_only = OFF, if V1 is to serve");
    }
    passed(id, "V1 takes writes")
}

pub(in crate::engine) fn row_format(v1: &Said) -> Check {
    let id = "row-format";
    let (format, image) = (v1.variable("binlog_format"), v1.variable("binlog_row_image"));
    // A newer server knows no other format.
    if matches!(format, "ROW" | "") && image.eq_ignore_ascii_case("full") {
        return passed(id, "whole rows are in V1's log");
    }
    refused(
        id,
        format!("V1's log has {format} events with {image} rows"),
        "SET GLOBAL binlog_format = 'ROW', GLOBAL binlog_row_image = 'FULL', and let clients connect anew",
    )
}

pub(in crate::engine) fn server_id(v1: &Said) -> Check {
    let id = "server-id";
    match v1.number("server_id") {
        None => refused(id, "V1 does not say its server_id", "SET GLOBAL server_id = 1"),
        Some(0) => refused(id, "V1's server_id is 0: it cannot be followed", "SET GLOBAL server_id = 1"),
        Some(n) => passed(id, format!("V1 is {n}; V2 gets a number of its own")),
    }
}

pub(in crate::engine) fn others(v1: &Said, plan: Option<&Plan>) -> Check {
    let id = "other-replicas";
    let ours = plan.map(names::replication);
    let others: Vec<&str> = v1
        .replicas
        .iter()
        .map(String::as_str)
        .filter(|replica| !ours.as_ref().is_some_and(|ours| replica.starts_with(&format!("{ours} "))))
        .collect();
    match others.is_empty() {
        true => passed(id, "nobody else follows V1"),
        false => refused(
            id,
            format!("others follow V1, and would not follow V2: {}", some(&others)),
            "stop them; point them at V2 when it serves (by GTID they find their place)",
        ),
    }
}

pub(in crate::engine) fn prepared(v1: &Said) -> Check {
    let id = "prepared-transactions";
    match v1.prepared {
        0 => passed(id, "none"),
        n => refused(
            id,
            format!("{n} prepared transactions (XA) are open: no fence holds their commit back"),
            "XA RECOVER shows them; XA COMMIT or XA ROLLBACK each",
        ),
    }
}

pub(in crate::engine) fn long_transactions(v1: &Said) -> Check {
    let id = "long-transactions";
    match v1.long.iter().max_by_key(|(_, age)| *age) {
        None => passed(id, "none"),
        Some((connection, age)) => noted(
            id,
            format!(
                "{} open for long, the oldest ({age} s) by connection {connection}; the cutover ends them",
                v1.long.len()
            ),
        ),
    }
}

/// Whoever looks for a moment without writes waits behind them, and everybody else behind that.
pub(in crate::engine) fn table_locks(v1: &Said) -> Check {
    let id = "table-locks";
    match v1.blocked.is_empty() {
        true => passed(id, "nobody waits for a table"),
        false => noted(
            id,
            format!(
                "connections wait for a table that LOCK TABLES or a change of its schema holds, which may hold up the copy, too: {}",
                some(&v1.blocked)
            ),
        ),
    }
}

pub(in crate::engine) fn semi_sync(v1: &Said) -> Check {
    let id = "semi-sync";
    let on = ["rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled"].into_iter().find(|name| v1.is_on(name));
    match on {
        None => passed(id, "off"),
        Some(name) => refused(
            id,
            "V1 waits for an acknowledgement of its replicas, and may do so while it is fenced",
            format!("SET GLOBAL {name} = OFF for the run"),
        ),
    }
}

pub(in crate::engine) fn secure(v1: &Said) -> Check {
    let id = "secure-transport";
    match v1.is_on("require_secure_transport") {
        false => passed(id, "not required"),
        true => refused(
            id,
            "V1 takes encrypted connections only, which this tool does not make yet",
            "SET GLOBAL require_secure_transport = OFF for the run",
        ),
    }
}

pub(in crate::engine) fn events(v1: &Said) -> Check {
    let id = "events";
    match (v1.events_enabled, v1.variable("event_scheduler")) {
        (0, _) => passed(id, "none"),
        (n, scheduler) => noted(
            id,
            format!(
                "{n} enabled, the scheduler is {scheduler}: they rest on V2 until it serves, and on V1 from the fence on"
            ),
        ),
    }
}

/// Sessions of a window's own: fencing and ending, the switch, one that is kept, V2's, one to be refused.
const WINDOW: u64 = 6;

/// The run's own sessions are among those that are connected later.
pub(in crate::engine) fn places(v1: &Said, plan: Option<&Plan>, mariadb: bool) -> Check {
    let id = "free-connections";
    if plan.is_some() {
        return passed(id, "counted before the run began");
    }
    let (Some(most), Some(now)) = (v1.number("max_connections"), v1.connected) else {
        return refused(id, "V1 does not say how many connections it takes, and has", "see SHOW STATUS on V1");
    };
    let (ours, free) = (door::places(mariadb) + WINDOW, most.saturating_sub(now));
    if free >= ours {
        return passed(id, format!("{free} of {most} are free, the run needs {ours}"));
    }
    refused(
        id,
        format!("{free} of {most} are free, and the run needs {ours}"),
        format!("SET GLOBAL max_connections = {}", most + ours),
    )
}
