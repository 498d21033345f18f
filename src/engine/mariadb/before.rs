//! What the plan remembers of V1 as it was. No secret.

use serde::{Deserialize, Serialize};

use crate::engine::Side;
use crate::engine::mysql_family::made::Made;
use crate::plan::Plan;
use crate::trouble::Trouble;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) serving: Serving,
    /// V1 writes no binary log, and is restarted once with one.
    pub(super) restart: bool,
    /// Its command line names a `server_id`, which beats every file: V2 has it too when it starts.
    pub(super) fixed_id: bool,
    /// What V1's and V2's own option files say in every state.
    pub(super) options: [Options; 2],
    /// V1 knows none of the collations that a newer version's sessions have by default, and stumbles over them in its log: V2
    /// keeps to V1's for as long as V1 can follow.
    pub(super) keeps_collations: bool,
    /// Where V1's and V2's servers look for option files, each as the last of all, where nothing is mounted.
    pub(super) option_folders: [String; 2],
    /// As the data directory must be made anew.
    pub(super) made: Made,
    /// Owner (user, group) of V1's files, and of V2's.
    pub(super) owners: [(u64, u64); 2],
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
    pub(super) binlog_format: String,
    pub(super) gtid_strict_mode: String,
    pub(super) parallel_threads: u64,
}

/// What a side has by its option file, and by nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Options {
    pub(super) log_bin: Option<String>,
    pub(super) server_id: Option<u32>,
}

impl Before {
    pub(super) fn of(plan: &Plan) -> Result<Before, Trouble> {
        read(&plan.before)
    }

    pub(super) fn option_folder(&self, side: Side) -> &str {
        let [v1, v2] = &self.option_folders;
        match side {
            Side::V1 => v1,
            Side::V2 => v2,
        }
    }

    pub(super) fn options(&self, side: Side) -> &Options {
        let [v1, v2] = &self.options;
        match side {
            Side::V1 => v1,
            Side::V2 => v2,
        }
    }

    pub(super) fn owner(&self, side: Side) -> (u64, u64) {
        let [v1, v2] = self.owners;
        match side {
            Side::V1 => v1,
            Side::V2 => v2,
        }
    }
}

fn read(before: &serde_json::Value) -> Result<Before, Trouble> {
    serde_json::from_value(before.clone())
        .map_err(|error| Trouble::person("the plan does not say what V1 was like before").because(error))
}

/// For the run that undoes this one: the side that serves writes a log already, under the number that it has. The format of
/// the log is what it was at first.
pub(super) fn exchanged(before: &serde_json::Value, serving: Serving) -> Result<serde_json::Value, Trouble> {
    let before = read(before)?;
    let ([v1, v2], [of_v1, of_v2], [owner_v1, owner_v2]) = (before.option_folders, before.options, before.owners);
    let exchanged = Before {
        restart: false,
        option_folders: [v2, v1],
        options: [Options { server_id: Some(serving.server_id), ..of_v2 }, of_v1],
        owners: [owner_v2, owner_v1],
        serving: Serving {
            binlog_format: before.serving.binlog_format,
            gtid_strict_mode: before.serving.gtid_strict_mode,
            ..serving
        },
        fixed_id: before.fixed_id,
        keeps_collations: before.keeps_collations,
        made: before.made,
    };
    serde_json::to_value(exchanged).map_err(|error| Trouble::bug("a record does not become text").because(error))
}
