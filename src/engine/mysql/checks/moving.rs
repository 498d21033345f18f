//! What may change between the plan and the window.

use super::{noted, passed, refused, some};
use crate::engine::Check;
use crate::engine::mysql::before::Gtid;
use crate::engine::mysql::names;
use crate::engine::mysql::said::Said;
use crate::plan::Plan;

pub(super) fn checks(v1: &Said, plan: Option<&Plan>) -> Vec<Check> {
    vec![
        writable(v1),
        binary_log(v1),
        row_format(v1),
        gtid(v1),
        server_id(v1),
        leader(v1),
        others(v1, plan),
        prepared(v1),
        long_transactions(v1),
        semi_sync(v1),
        secure(v1),
        own_eyes(v1),
        events(v1),
    ]
}

fn writable(v1: &Said) -> Check {
    let id = "writable";
    if v1.is_on("read_only") || v1.is_on("super_read_only") || v1.is_on("offline_mode") {
        return refused(id, "V1 is read-only or offline", "SET GLOBAL read_only = OFF, if V1 is to serve");
    }
    passed(id, "V1 takes writes")
}

fn binary_log(v1: &Said) -> Check {
    let id = "binary-log";
    if v1.is_on("log_bin") {
        return passed(id, "V1 writes a binary log");
    }
    refused(
        id,
        "V1 writes no binary log, and cannot be followed",
        "start V1 without `--skip-log-bin`: the log is on by default",
    )
}

fn row_format(v1: &Said) -> Check {
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

/// What the run has to change, where it has.
pub(in super::super) fn gtid_to_change(v1: &Said) -> Option<Gtid> {
    let (mode, consistency) = (v1.variable("gtid_mode"), v1.variable("enforce_gtid_consistency"));
    (mode != "ON").then(|| Gtid { mode: mode.to_owned(), consistency: consistency.to_owned() })
}

fn gtid(v1: &Said) -> Check {
    let id = "gtid";
    match gtid_to_change(v1) {
        None => passed(id, "GTIDs are on"),
        Some(was) => noted(
            id,
            format!(
                "gtid_mode is {} on V1: the run turns GTIDs on, step by step, and `abort` turns them off again. Meanwhile V1 \
                 refuses transactions that change tables of InnoDB and of other engines together",
                was.mode
            ),
        ),
    }
}

fn server_id(v1: &Said) -> Check {
    let id = "server-id";
    match v1.number("server_id") {
        None => refused(id, "V1 does not say its server_id", "SET GLOBAL server_id = 1"),
        Some(0) => refused(id, "V1's server_id is 0: it cannot be followed", "SET GLOBAL server_id = 1"),
        Some(n) => passed(id, format!("V1 is {n}; V2 gets a number of its own")),
    }
}

fn leader(v1: &Said) -> Check {
    let id = "is-no-replica";
    if v1.group_members > 0 {
        return refused(
            id,
            "V1 is a member of a replication group",
            "a group is upgraded member by member, by its own means",
        );
    }
    match v1.channels {
        0 => passed(id, "V1 follows nobody"),
        _ => refused(id, "V1 is a replica of another server", "move the server it follows, or RESET REPLICA ALL on V1"),
    }
}

fn others(v1: &Said, plan: Option<&Plan>) -> Check {
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

fn prepared(v1: &Said) -> Check {
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

fn long_transactions(v1: &Said) -> Check {
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

fn semi_sync(v1: &Said) -> Check {
    let id = "semi-sync";
    let on = ["rpl_semi_sync_source_enabled", "rpl_semi_sync_master_enabled"].iter().any(|name| v1.is_on(name));
    match on {
        false => passed(id, "off"),
        true => refused(
            id,
            "V1 waits for an acknowledgement of its replicas, and may do so while it is fenced",
            "SET GLOBAL rpl_semi_sync_source_enabled = OFF for the run",
        ),
    }
}

fn secure(v1: &Said) -> Check {
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

fn events(v1: &Said) -> Check {
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

/// Whose sessions there are is read from there.
fn own_eyes(v1: &Said) -> Check {
    let id = "performance-schema";
    match v1.is_on("performance_schema") {
        true => passed(id, "on"),
        false => refused(
            id,
            "performance_schema is off on V1: its sessions could not be told apart",
            "start V1 with it: it is on by default",
        ),
    }
}
