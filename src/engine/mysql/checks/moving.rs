//! What may change between the plan and the window.

use super::{alike, noted, passed, refused};
use crate::engine::Check;
use crate::engine::mysql::before::Gtid;
use crate::engine::mysql::said::Own;
use crate::engine::mysql_family::said::Said;
use crate::plan::Plan;

pub(super) fn checks(v1: &Said, own: &Own, plan: Option<&Plan>) -> Vec<Check> {
    vec![
        alike::writable(v1),
        binary_log(v1),
        alike::row_format(v1),
        gtid(v1),
        alike::server_id(v1),
        leader(v1, own),
        alike::others(v1, plan),
        alike::prepared(v1),
        alike::long_transactions(v1),
        alike::table_locks(v1),
        alike::semi_sync(v1),
        alike::secure(v1),
        own_eyes(v1),
        alike::places(v1, plan, false),
        alike::events(v1),
    ]
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

fn leader(v1: &Said, own: &Own) -> Check {
    let id = "is-no-replica";
    if own.group_members > 0 {
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

/// Sessions that come in there are not counted with the others.
pub(super) fn side_door(v1: &Said) -> Check {
    let id = "admin-address";
    if v1.variable("admin_address").is_empty() {
        return passed(id, "clients come by one port");
    }
    refused(id, "V1 has an administrative address, which cannot be shut", "start V1 without admin_address")
}
