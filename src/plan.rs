//! The plan: every name and limit of a run, decided before anything is touched. Pure: survey in, plan or refusals out.
//!
//! Names of all a run makes derive from the plan, never from chance, so that a resumed run finds what it made.

use serde::{Deserialize, Serialize};

use crate::config::{Limits, OnFailure, Window};
use crate::engine::Survey;
use crate::runtime::{Attachment, Labels, Port};

/// Journaled whole before the first act. Holds no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Sortable, unique: the journal's file name.
    pub run: String,
    /// The database's name for us: V1's container name, unless the user gave another.
    pub name: String,
    pub engine: String,
    pub method: String,
    pub seed: String,
    pub v1: SidePlan,
    pub v2: SidePlan,
    /// (volume, destination in V2): V2's own data.
    pub v2_volumes: Vec<(String, String)>,
    /// The internal network over which V2 follows V1 and the tool talks to both.
    pub private_network: String,
    /// How clients reach V1, and will reach V2.
    pub ways: Vec<WayPlan>,
    pub limits: Limits,
    pub allow: Vec<String>,
    /// Wait at `ready` while this file exists.
    pub hold: Option<std::path::PathBuf>,
    /// When a cutover may begin; `None`: at any time.
    pub window: Option<Window>,
    pub on_failure: OnFailure,
    pub verify: bool,
    /// What V1 was like before we touched it: networks, restart policy, name.
    pub v1_networks: Vec<Attachment>,
    pub v1_restart_policy: String,
    /// The engine's own record of what it will change on V1, with the old values.
    pub before: serde_json::Value,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidePlan {
    /// The container's name while both exist.
    pub container: String,
    /// V1's container id: the name may move to V2. Empty for V2 until it is made.
    pub id: String,
    /// The name it bears in the end.
    pub final_name: String,
    pub image: String,
    pub image_id: String,
    pub version: String,
    pub data: String,
    pub port: u16,
}

/// One way of clients, as found or configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WayPlan {
    /// Clients on this network find the server by V1's aliases or name.
    NetworkAlias { on: Attachment },
    /// Clients come through ports of the engine's host. Owns all of V1's networks: a port moves only when V1 leaves
    /// every one of them.
    PublishedPort { ports: Vec<Port>, networks: Vec<Attachment> },
}

impl Plan {
    /// Short and unique to the run: part of the names of roles and slots.
    pub fn tag(&self) -> &str {
        let start = self.run.char_indices().rev().nth(7).map_or(0, |(at, _)| at);
        &self.run[start..]
    }

    /// What everything we make for this run is labelled with.
    pub fn labels(&self, side: &str) -> Labels {
        [
            (crate::runtime::LABEL_RUN, self.run.as_str()),
            (crate::runtime::LABEL_NAME, self.name.as_str()),
            (crate::runtime::LABEL_SIDE, side),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }
}

/// The prechecks that refuse, if any.
pub fn refusals(survey: &Survey) -> Vec<&crate::engine::Check> {
    survey.checks.iter().filter(|check| check.verdict == crate::engine::Verdict::Refused).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn side(container: &str, id: &str, final_name: &str) -> SidePlan {
        SidePlan {
            container: container.into(),
            id: id.into(),
            final_name: final_name.into(),
            image: "shop:1".into(),
            image_id: "sha256:1".into(),
            version: "1".into(),
            data: "/data".into(),
            port: 5432,
        }
    }

    /// A plan for tests that need any.
    pub(crate) fn any_plan() -> Plan {
        Plan {
            run: "01930b2e-7a51-7cc0-9f00-00007f3a1c2b".into(),
            name: "shop-db".into(),
            engine: "any".into(),
            method: "any".into(),
            seed: "copy".into(),
            v1: side("shop-db", "aa11", "shop-db-v1"),
            v2: side("shop-db-v2", "", "shop-db"),
            v2_volumes: vec![("shop-db-v2".into(), "/data".into())],
            private_network: "switchover-shop-db".into(),
            ways: Vec::new(),
            limits: Limits::default(),
            allow: Vec::new(),
            hold: None,
            on_failure: OnFailure::Keep,
            verify: true,
            v1_networks: Vec::new(),
            v1_restart_policy: "no".into(),
            before: serde_json::Value::Null,
            bytes: 0,
        }
    }

    #[test]
    fn the_tag_is_the_end_of_the_run() {
        assert_eq!(any_plan().tag(), "7f3a1c2b");
    }
}
