//! V2 is fit to serve: settings in force are V1's, or named; and what V1 has in its cache V2 has too.

use super::before::Before;
use crate::engine::Place;
use crate::engine::mysql_family::seed::Seed;
use crate::engine::mysql_family::{settings, warm};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// Settings that differ on purpose while V2 follows, or by nature.
const APART: &[&str] = &[
    "binlog_expire_logs_auto_purge",
    "clone_valid_donor_list",
    "event_scheduler",
    "general_log_file",
    "gtid_executed",
    "gtid_owned",
    "gtid_purged",
    "hostname",
    "innodb_flush_log_at_trx_commit",
    "innodb_buffer_pool_size",
    "innodb_redo_log_capacity",
    "log_bin_basename",
    "log_bin_index",
    "read_only",
    "relay_log",
    "relay_log_basename",
    "relay_log_index",
    "server_id",
    "server_uuid",
    "slow_query_log_file",
    "super_read_only",
    "sync_binlog",
    "innodb_version",
    "license",
];

pub(super) async fn polish(v1: &Session, v2: &Session, place: &Place) -> Result<String, Trouble> {
    let settings = settings::compared(v1, v2, APART, &place.tell).await?;
    let warmed = match Seed::of(&place.plan) {
        Seed::Backup | Seed::Volume => warm::ensure_warm(v1, v2, place, Before::of(&place.plan)?.owners[1]).await,
        Seed::Dump => warm::ensure_read(place).await,
    };
    Ok(format!("V1's accounts and settings are on V2; {settings}; {warmed}"))
}
