//! What the plan remembers of V1 as it was. No secret.

use serde::{Deserialize, Serialize};

use crate::engine::mysql_family::made::Made;
use crate::plan::Plan;
use crate::trouble::Trouble;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) serving: Serving,
    /// `gtid_mode` and `enforce_gtid_consistency`, where the run must change them.
    pub(super) gtid: Option<Gtid>,
    /// `binlog_expire_logs_auto_purge`, where the server knows it: the run keeps V1's log.
    pub(super) auto_purge: Option<String>,
    /// As the data directory must be made anew.
    pub(super) made: Made,
    /// Owner (user, group) of V1's files, and of V2's.
    pub(super) owners: [(u64, u64); 2],
    /// The server's own means of copying is installed.
    pub(super) has_clone: bool,
    /// Names and values of V1's persisted settings, which V2 gets too.
    pub(super) persisted: Vec<(String, String)>,
}

/// What a serving side has set, and a fenced or following one has not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Serving {
    pub(super) server_id: u32,
    pub(super) max_connections: u64,
    pub(super) event_scheduler: String,
    pub(super) sync_binlog: u64,
    pub(super) flush_log: u64,
    /// `innodb_max_dirty_pages_pct`, as the server has it.
    #[serde(default)]
    pub(super) most_dirty: String,
    /// `innodb_max_dirty_pages_pct_lwm`, likewise.
    #[serde(default)]
    pub(super) least_dirty: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gtid {
    pub(super) mode: String,
    pub(super) consistency: String,
}

impl Before {
    pub(super) fn of(plan: &Plan) -> Result<Before, Trouble> {
        read(&plan.before)
    }
}

fn read(before: &serde_json::Value) -> Result<Before, Trouble> {
    serde_json::from_value(before.clone())
        .map_err(|error| Trouble::person("the plan does not say what V1 was like before").because(error))
}

/// For the run that undoes this one: the side that serves has GTIDs on already.
pub(super) fn exchanged(before: &serde_json::Value, serving: Serving) -> Result<serde_json::Value, Trouble> {
    let before = read(before)?;
    let [v1, v2] = before.owners;
    let exchanged = Before { serving, owners: [v2, v1], gtid: None, auto_purge: None, ..before };
    serde_json::to_value(exchanged).map_err(|error| Trouble::bug("a record does not become text").because(error))
}
