//! What the plan remembers of V1 as it was, and of both sides' files. No secret: the texts of `pg_hba.conf` and
//! `postgresql.auto.conf` may hold passwords, so they are not here. Our lines in them stand between marks and leave
//! them as they were, byte for byte.

use serde::{Deserialize, Serialize};

use super::logical::{Cluster, Identity};

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
    /// What the method `logical` needs to know; `None`: the other method.
    #[serde(default)]
    pub(super) logical: Option<Logical>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Logical {
    pub(super) cluster: Cluster,
    /// In this order, which numbers the slots.
    pub(super) databases: Vec<Carried>,
    /// Copied once and not followed: who is in a template keeps others from making databases.
    #[serde(default)]
    pub(super) templates: Vec<String>,
    /// V2's image has another version of a library that some of V1's text indexes are in the order of.
    #[serde(default)]
    pub(super) other_order: bool,
    /// V1 is restarted once, for `wal_level`.
    #[serde(default)]
    pub(super) restart: Option<Restart>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Restart {
    /// `wal_level` as ALTER SYSTEM has it, if it has.
    pub(super) altered: Option<String>,
}

/// A database that is carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Carried {
    pub(super) name: String,
    /// Tables that V1 marks differently for as long as it is followed, with the old mark.
    pub(super) identities: Vec<Identity>,
}

impl Before {
    pub(super) fn of(plan: &Plan) -> Result<Before, Trouble> {
        read(&plan.before)
    }

    pub(super) fn logical(plan: &Plan) -> Result<Logical, Trouble> {
        read(&plan.before)?.logical.ok_or_else(|| Trouble::bug("the plan is not of the method logical"))
    }
}

fn read(before: &serde_json::Value) -> Result<Before, Trouble> {
    serde_json::from_value(before.clone())
        .map_err(|error| Trouble::person("the plan does not say what V1 was like before").because(error))
}

/// For the run that undoes this one. The side that serves then has `wal_log_hints` and a limit of its own for what it
/// keeps, both of this run: they stay.
pub(super) fn exchanged(before: &serde_json::Value, subscriptions: Vec<u32>) -> Result<serde_json::Value, Trouble> {
    let before = read(before)?;
    let [v1, v2] = before.owners;
    let logical = before.logical.clone().map(|logical| Logical { restart: None, ..logical });
    let exchanged = Before { owners: [v2, v1], slot_limit_ours: None, subscriptions, logical, ..before };
    serde_json::to_value(exchanged).map_err(|error| Trouble::bug("a record does not become text").because(error))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of a V1 as most people have it.
    pub(in super::super) fn any() -> serde_json::Value {
        let before = Before {
            slot_limit: "-1".into(),
            slot_limit_altered: None,
            slot_limit_ours: None,
            archives: false,
            wal_directory: None,
            tablespaces: Vec::new(),
            owners: [(999, 999), (70, 70)],
            can_rewind: true,
            roles: Vec::new(),
            slots: Vec::new(),
            subscriptions: Vec::new(),
            logical: None,
        };
        serde_json::to_value(before).unwrap()
    }

    #[test]
    fn a_run_that_undoes_another_one_changes_nothing_more_and_knows_whose_files_are_whose() {
        let mut there = any();
        there["slot_limit_ours"] = 1024.into();
        let back = exchanged(&there, vec![16400]).unwrap();
        assert_eq!(back["subscriptions"], serde_json::json!([16400]));
        assert_eq!(back["owners"], serde_json::json!([[70, 70], [999, 999]]));
        assert_eq!(back["slot_limit_ours"], serde_json::Value::Null);
    }
}
