//! What may change between the plan and the window.

use super::{alike, noted, passed, refused, unless_allowed};
use crate::engine::Check;
use crate::engine::mysql_family::said::Said;
use crate::plan::Plan;

pub(super) fn checks(v1: &Said, plan: Option<&Plan>) -> Vec<Check> {
    vec![
        alike::writable(v1),
        log_format(v1),
        alike::server_id(v1),
        leader(v1),
        alike::others(v1, plan),
        alike::prepared(v1),
        alike::long_transactions(v1),
        alike::table_locks(v1),
        alike::semi_sync(v1),
        alike::secure(v1),
        alike::places(v1, plan, true),
        alike::events(v1),
    ]
}

/// It is off in the official image, and takes a restart.
pub(super) fn binary_log(v1: &Said, allow: &[String]) -> Check {
    let id = "binary-log";
    if v1.is_on("log_bin") {
        return passed(id, "V1 writes a binary log");
    }
    unless_allowed(
        allow,
        "v1-restart",
        id,
        "V1 writes no binary log, and cannot be followed before it was restarted once with one",
        "restart it yourself with --log-bin",
    )
}

/// With MIXED a statement goes over as such unless it could give another result.
fn log_format(v1: &Said) -> Check {
    if v1.variable("binlog_format") == "MIXED" {
        return noted(
            "row-format",
            "MIXED: sessions that begin during the run log rows; older ones log statements where the server holds that for safe",
        );
    }
    alike::row_format(v1)
}

fn leader(v1: &Said) -> Check {
    let id = "is-no-replica";
    if v1.is_on("wsrep_on") {
        return refused(
            id,
            "V1 is a member of a Galera cluster",
            "a cluster is upgraded member by member, by its own means",
        );
    }
    match v1.channels {
        0 => passed(id, "V1 follows nobody"),
        _ => refused(id, "V1 is a replica of another server", "move the server it follows, or RESET SLAVE ALL on V1"),
    }
}

/// Sessions that come in there are not counted with the others.
pub(super) fn side_door(v1: &Said) -> Check {
    let id = "extra-port";
    match v1.number("extra_port") {
        Some(0) | None => passed(id, "clients come by one port"),
        Some(_) => refused(id, "V1 has a second port, which cannot be shut", "start V1 without extra_port"),
    }
}
