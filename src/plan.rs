//! The plan: every name and limit of a run, decided before anything is touched. Pure: survey in, plan or refusals out.
//!
//! Names of all a run makes derive from the plan, never from chance, so that a resumed run finds what it made.

mod checks;
mod compose;
mod names;
mod proxies;
mod sessions;
mod tags;
mod ways;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::config::OnFailure;
use crate::config::{Config, Limits, Verify, Window};
use crate::engine::{Check, Survey, Verdict};
use crate::runtime::{Attachment, Container, Image, Labels, Network};
use crate::storage::StoragePlan;
use crate::trouble::Trouble;

pub use checks::{before_survey, same_architecture};
pub use compose::{COMPOSE_LABELS, Compose, FileEdit, FileVersion, Splice, Variable};
pub use names::{Names, Taken};
pub use proxies::{
    BouncerConsole, BouncerDatabase, BouncerFile, ConsoleAt, Haproxy, HaproxyApi, HaproxyHold, Hook, HookAct,
    Pgbouncer, Proxy, Route,
};
pub use tags::{Now, Version, pick, suffix};
pub use ways::WayPlan;

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
    /// What the seed is likely to take, in milliseconds; `None`: nothing is copied, or nobody foretold it.
    #[serde(default)]
    pub seed_ms: Option<u64>,
    pub v1: SidePlan,
    pub v2: SidePlan,
    /// (volume, destination in V2): V2's own data.
    pub v2_volumes: Vec<(String, String)>,
    /// Where V1 has its data mounted: V2 does not get these.
    #[serde(default)]
    pub v1_data_mounts: Vec<String>,
    /// The internal network over which V2 follows V1 and the tool talks to both.
    pub private_network: String,
    /// How clients reach V1, and will reach V2.
    pub ways: Vec<WayPlan>,
    /// The service that V1 is, where it was named by its compose file.
    #[serde(default)]
    pub compose: Option<Compose>,
    pub limits: Limits,
    pub allow: Vec<String>,
    /// Wait at `ready` while this file exists.
    pub hold: Option<PathBuf>,
    /// When a cutover may begin; `None`: at any time.
    pub window: Option<Window>,
    pub on_failure: OnFailure,
    pub verify: bool,
    /// Every row, whatever the size.
    #[serde(default)]
    pub verify_whole: bool,
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
    /// What its registry calls it, as in `postgres@sha256:…`; `None`: no registry has it, or nobody knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    pub version: String,
    pub data: String,
    pub port: u16,
}

impl SidePlan {
    /// What finds the container, whatever it is called by now.
    pub fn handle(&self) -> &str {
        if self.id.is_empty() { &self.container } else { &self.id }
    }

    /// The image as it stays whatever its tag means later.
    pub fn pinned(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{digest}, id {}", self.image_id),
            None => format!("id {}, in no registry that is known", self.image_id),
        }
    }
}

impl Plan {
    /// V2's container and volumes are of this run. In a switchback V2 was there before, and so was its data.
    pub fn made_v2(&self) -> bool {
        self.v2.id.is_empty()
    }
    /// Short and unique to the run: part of the names of roles and slots.
    pub fn tag(&self) -> &str {
        names::tag(&self.run)
    }

    /// What one of V2's volumes is labelled with.
    pub fn labels_of_volume(&self, volume: &str) -> Labels {
        let mut labels = self.labels("V2");
        labels.extend(
            self.compose
                .iter()
                .filter_map(|compose| compose.volume_labels.get(volume))
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone())),
        );
        labels
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

/// All that a plan is drawn from.
pub struct Drawing<'a> {
    pub names: &'a Names,
    pub v1: &'a Container,
    pub v1_image: Option<&'a Image>,
    /// The networks V1 is on.
    pub networks: &'a [Network],
    /// How clients reach V1, and the verdicts on it.
    pub ways: &'a [WayPlan],
    pub ways_checks: &'a [Check],
    /// The proxies that the user named, in his order.
    pub proxies: &'a [Proxy],
    /// What becomes of the service that V1 is, where it was named by its compose file.
    pub compose: Option<&'a Compose>,
    pub v2: &'a Image,
    pub taken: &'a [Taken],
    pub survey: &'a Survey,
    pub storage: &'a StoragePlan,
    pub config: &'a Config,
    pub hold: Option<PathBuf>,
}

/// A plan with every precheck, those of the engine first. It may be carried out where none refuses.
pub struct Drawn {
    pub plan: Plan,
    pub checks: Vec<Check>,
}

impl Drawn {
    pub fn refusals(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Refused)
    }
}

pub fn draw(from: &Drawing<'_>) -> Result<Drawn, Trouble> {
    let Drawing { names, v1, survey, config, .. } = from;
    let ways = ways::of(from);
    let mut checks = survey.checks.clone();
    checks.extend(checks::of(from));
    checks.extend(from.ways_checks.iter().cloned());
    checks.extend(sessions::checks(from, &ways.list));
    checks.extend(ways.checks);
    checks::accept(&mut checks, &config.allow);
    let plan = Plan {
        run: names.run.clone(),
        name: names.name.clone(),
        engine: survey.engine.clone(),
        method: survey.method.clone(),
        seed: survey.seed.clone(),
        seed_ms: Some(survey.seed_ms),
        v1: SidePlan {
            container: v1.name.clone(),
            id: v1.id.clone(),
            final_name: names.v1_final.clone(),
            image: v1.image.clone(),
            image_id: v1.image_id.clone(),
            digest: from.v1_image.and_then(Image::digest).map(str::to_owned),
            version: survey.v1_version.clone(),
            data: survey.v1_data.clone(),
            port: survey.port,
        },
        v2: SidePlan {
            container: names.v2_container.clone(),
            id: String::new(),
            final_name: v1.name.clone(),
            image: from.v2.reference.clone(),
            image_id: from.v2.id.clone(),
            digest: from.v2.digest().map(str::to_owned),
            version: survey.v2_version.clone(),
            data: survey.v2_data.clone(),
            port: survey.port,
        },
        v2_volumes: from.storage.v2_volumes.clone(),
        v1_data_mounts: from.storage.v1_data_mounts.clone(),
        private_network: names.private_network.clone(),
        ways: ways.list,
        compose: from.compose.cloned(),
        limits: config.limits.over(&Limits::default())?,
        allow: config.allow.clone(),
        hold: from.hold.clone(),
        window: config.window.clone(),
        on_failure: config.on_failure,
        verify: config.verify != Verify::Off,
        verify_whole: config.verify == Verify::Full,
        v1_networks: ways.networks,
        v1_restart_policy: v1.restart_policy.clone(),
        before: survey.before.clone(),
        bytes: survey.bytes,
    };
    Ok(Drawn { plan, checks })
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
            digest: None,
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
            seed_ms: None,
            v1: side("shop-db", "aa11", "shop-db-v1"),
            v2: side("shop-db-v2", "", "shop-db"),
            v1_data_mounts: Vec::new(),
            v2_volumes: vec![("shop-db-v2".into(), "/data".into())],
            private_network: "switchover-shop-db".into(),
            ways: Vec::new(),
            compose: None,
            limits: Limits::default(),
            allow: Vec::new(),
            hold: None,
            window: None,
            on_failure: OnFailure::Keep,
            verify: true,
            verify_whole: false,
            v1_networks: Vec::new(),
            v1_restart_policy: "no".into(),
            before: serde_json::Value::Null,
            bytes: 0,
        }
    }

    pub(crate) fn container() -> Container {
        Container {
            id: "aa11".into(),
            name: "shop-db".into(),
            image: "shop:1".into(),
            image_id: "sha256:1".into(),
            state: crate::runtime::State::Running,
            started_at: String::new(),
            host_pid: None,
            command: Vec::new(),
            entrypoint: Vec::new(),
            user: String::new(),
            stop_signal: String::new(),
            init: false,
            auto_remove: false,
            health_check: None,
            restart_policy: "no".into(),
            network_mode: "app".into(),
            mounts: Vec::new(),
            networks: Vec::new(),
            ports: Vec::new(),
            labels: Labels::new(),
            settings: Labels::new(),
        }
    }

    pub(crate) fn image() -> Image {
        Image {
            reference: "shop:2".into(),
            id: "sha256:2".into(),
            digests: Vec::new(),
            architecture: "amd64".into(),
            user: String::new(),
            command: Vec::new(),
            entrypoint: Vec::new(),
            volumes: Vec::new(),
            environment: Labels::new(),
            labels: Labels::new(),
        }
    }

    pub(crate) fn survey() -> Survey {
        Survey {
            engine: "any".into(),
            v1_version: "1".into(),
            v2_version: "2".into(),
            method: "physical".into(),
            seed: "copy".into(),
            seed_ms: 7000,
            v1_data: "/data".into(),
            v2_data: "/data".into(),
            more_data: Vec::new(),
            bytes: 1 << 30,
            write_rate: None,
            port: 5432,
            sessions: Vec::new(),
            checks: Vec::new(),
            before: serde_json::Value::Null,
            facts: Labels::new(),
        }
    }

    #[test]
    fn a_plan_has_every_name_before_anything_is_touched() {
        let (v1, v2, survey) = (container(), image(), survey());
        let names = Names::new("01930b2e-7a51-7cc0-9f00-00007f3a1c2b", "shop-db", None);
        let config = Config { seed: Some("dump".into()), ..Config::default() };
        let taken = [Taken::V2Container];
        let storage = crate::storage::for_v2(&v1, "/data", &v2, "/data", &[], &names.volume).unwrap();
        let from = Drawing {
            names: &names,
            v1: &v1,
            v1_image: None,
            networks: &[],
            ways: &[],
            ways_checks: &[],
            proxies: &[],
            compose: None,
            v2: &v2,
            taken: &taken,
            survey: &survey,
            storage: &storage,
            config: &config,
            hold: None,
        };
        let drawn = draw(&from).unwrap();
        assert_eq!(drawn.plan.v2.container, "shop-db-v2");
        assert_eq!((drawn.plan.v2.final_name.as_str(), drawn.plan.v1.final_name.as_str()), ("shop-db", "shop-db-v1"));
        assert_eq!(drawn.plan.v2_volumes, [("shop-db-v2-7f3a1c2b".to_owned(), "/data".to_owned())]);
        let refused: Vec<&str> = drawn.refusals().map(|check| check.id.as_str()).collect();
        assert_eq!(refused, ["name-v2", "seed"]);
    }

    #[test]
    fn it_reads_back_from_a_journal_as_it_was() {
        let text = serde_json::to_string(&any_plan()).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), any_plan());
    }

    #[test]
    fn the_tag_is_the_end_of_the_run() {
        assert_eq!(any_plan().tag(), "7f3a1c2b");
    }
}
