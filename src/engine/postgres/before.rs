//! What the plan remembers of V1 as it was, and of both sides' files. No secret: the texts of `pg_hba.conf` and
//! `postgresql.auto.conf` may hold passwords, so they are not here. Our lines in them stand between marks and leave
//! them as they were, byte for byte.

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::trouble::Trouble;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// `max_slot_wal_keep_size` as in force, and as ALTER SYSTEM has it, if it has.
    pub(super) slot_limit: String,
    pub(super) slot_limit_altered: Option<String>,
    /// What the run sets it to, in MiB; `None`: V1's own limit stays.
    pub(super) slot_limit_ours: Option<u64>,
    pub(super) archives: bool,
    /// Where V1's log is, if not in the data directory.
    pub(super) wal_directory: Option<String>,
    /// Further directories with data, each in a volume of its own on V2.
    pub(super) tablespaces: Vec<String>,
    /// Owner (user, group) of V1's files, and of V2's.
    pub(super) owners: [(u64, u64); 2],
    pub(super) can_rewind: bool,
    pub(super) roles: Vec<String>,
    pub(super) slots: Vec<String>,
    /// V1's enabled subscriptions, as its catalog numbers them.
    #[serde(default)]
    pub(super) subscriptions: Vec<u32>,
}

impl Before {
    pub(super) fn of(plan: &Plan) -> Result<Before, Trouble> {
        serde_json::from_value(plan.before.clone())
            .map_err(|error| Trouble::person("the plan does not say what V1 was like before").because(error))
    }
}
