//! V2 is fit to serve: settings in force are V1's, or named; and where its pages are V1's, those in V1's cache are in its own.

use super::before::Before;
use crate::engine::mysql_family::seed::Seed;
use crate::engine::mysql_family::{settings, warm};
use crate::engine::mysql_wire::session::Session;
use crate::engine::{Place, Side};
use crate::trouble::Trouble;

/// Settings that differ on purpose while V2 follows, or by nature.
const APART: &[&str] = &[
    "binlog_format",
    "character_sets_dir",
    "collation_connection",
    "collation_database",
    "event_scheduler",
    "general_log_file",
    "gtid_binlog_pos",
    "gtid_binlog_state",
    "gtid_current_pos",
    "gtid_slave_pos",
    "gtid_strict_mode",
    "have_openssl",
    "have_ssl",
    "hostname",
    "ignore_db_dirs",
    "innodb_buffer_pool_size",
    "innodb_flush_log_at_trx_commit",
    "innodb_version",
    "log_bin",
    "log_bin_basename",
    "log_bin_index",
    "log_slave_updates",
    "log_slow_query_file",
    "performance_schema_max_statement_classes",
    "read_only",
    "relay_log_basename",
    "relay_log_index",
    "server_id",
    "server_uid",
    "session_track_system_variables",
    "skip_slave_start",
    "slave_parallel_threads",
    "slave_parallel_workers",
    "slow_query_log_file",
    "sync_binlog",
    "wsrep_node_name",
];

pub(super) async fn polish(v1: &Session, v2: &Session, place: &Place) -> Result<String, Trouble> {
    let settings = settings::compared(v1, v2, APART, &place.tell).await?;
    let warmed = match Seed::of(&place.plan) {
        Seed::Backup | Seed::Volume => warm::ensure_warm(v1, v2, place, Before::of(&place.plan)?.owner(Side::V2)).await,
        Seed::Dump => warm::ensure_read(place).await,
    };
    Ok(format!("V1's accounts are on V2; {settings}; {warmed}"))
}
