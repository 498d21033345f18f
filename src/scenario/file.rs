//! A scenario file: what it may say, and what is refused before anything is started.
//!
//! The types here are the format; [`Scenario::read`] turns the loose shape that reads well in YAML (one step, one
//! action, a few words around it) into [`Step`], in which nothing contradictory can be said.

use std::path::Path;

use serde::Deserialize;

use super::database::Engine;
use super::steps::{Step, StepText};
use super::units::Span;
use crate::trouble::Trouble;

/// `scenario.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ScenarioText {
    about: String,
    #[serde(default = "second_tier")]
    tier: u8,
    #[serde(default = "ten_minutes")]
    limit: Span,
    #[serde(default = "compose_file")]
    compose: String,
    #[serde(default)]
    compose_is_copied: bool,
    #[serde(default)]
    engine_over_tcp: bool,
    #[serde(default)]
    database: Database,
    workload: Option<Workload>,
    steps: Vec<StepText>,
}

/// A topology, a workload, steps and expectations.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) about: String,
    /// 1: run by `./dev test`; 2: only by `./dev test all`.
    pub(super) tier: u8,
    /// The whole scenario ends within it, whatever happens.
    pub(super) limit: Span,
    pub(super) compose: String,
    /// The project is started from a copy of the compose file and its `.env` in `${WORK}`, for the tool to change.
    pub(super) compose_is_copied: bool,
    /// The engine is also offered over TCP, as `${DOCKER_TCP}`, so that it looks remote to the tool.
    pub(super) engine_over_tcp: bool,
    pub(super) database: Database,
    pub(super) workload: Option<Workload>,
    pub(super) steps: Vec<Step>,
}

/// V1 when the scenario begins, and how its clients get in. What is not said is found in V1's container.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Database {
    pub(super) service: String,
    pub(super) engine: Option<Engine>,
    pub(super) name: Option<String>,
    pub(super) user: Option<String>,
    /// A test's password, for a database that lives for minutes.
    pub(super) password: Option<String>,
    /// Where the server listens inside its container.
    pub(super) port: Option<u16>,
}

impl Default for Database {
    fn default() -> Self {
        Database { service: "db".into(), engine: None, name: None, user: None, password: None, port: None }
    }
}

/// Clients that write and read the whole time, through an address that clients would use.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Workload {
    #[serde(default = "eight")]
    pub(super) writers: u16,
    #[serde(default)]
    pub(super) readers: u16,
    /// `port`: the published port, from the host. Anything else is a name that a client in `network` would use.
    pub(super) through: String,
    /// Where a proxy listens, if not where V1 does.
    pub(super) port: Option<u16>,
    /// The compose network of the clients.
    #[serde(default = "default_network")]
    pub(super) network: String,
    /// Between two transactions of one client.
    #[serde(default = "ten_milliseconds")]
    pub(super) pause: Span,
    /// A client gives up on an answer after this time, as its driver or its user would.
    #[serde(default = "five_seconds")]
    pub(super) give_up: Span,
    /// The image the clients' container is made of (it needs glibc); V1's, if it is not given.
    pub(super) image: Option<String>,
}

impl Scenario {
    /// Reads `DIR/scenario.yaml`.
    pub(super) fn read(dir: &Path) -> Result<Self, Trouble> {
        let path = dir.join("scenario.yaml");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Trouble::usage(format!("cannot read the scenario {}", path.display()))
                .because(error)
                .hint("a scenario is a directory with a scenario.yaml and a compose file")
        })?;
        Self::parse(&text)
            .map_err(|error| Trouble::usage(format!("the scenario {} is wrong", path.display())).because(error))
    }

    fn parse(text: &str) -> Result<Self, Trouble> {
        let read: ScenarioText = serde_saphyr::from_str(text).map_err(|error| Trouble::usage(error.to_string()))?;
        if read.steps.is_empty() {
            return Err(Trouble::usage("a scenario without steps proves nothing"));
        }
        let steps = read
            .steps
            .into_iter()
            .enumerate()
            .map(|(at, step)| step.check().map_err(|e| Trouble::usage(format!("step {}", at + 1)).because(e)))
            .collect::<Result<Vec<_>, _>>()?;
        if read.workload.as_ref().is_some_and(|workload| workload.writers == 0) {
            return Err(Trouble::usage("a workload without writers proves nothing"));
        }
        Ok(Scenario {
            about: read.about,
            tier: read.tier,
            limit: read.limit,
            compose: read.compose,
            compose_is_copied: read.compose_is_copied,
            engine_over_tcp: read.engine_over_tcp,
            database: read.database,
            workload: read.workload,
            steps,
        })
    }
}

fn second_tier() -> u8 {
    2
}
fn eight() -> u16 {
    8
}
fn ten_minutes() -> Span {
    Span::seconds(600)
}
fn five_seconds() -> Span {
    Span::seconds(5)
}
fn ten_milliseconds() -> Span {
    Span(std::time::Duration::from_millis(10))
}
fn compose_file() -> String {
    "compose.yaml".into()
}
fn default_network() -> String {
    "default".into()
}

#[cfg(test)]
mod tests {
    use super::super::steps::{Act, Moment, Strike};
    use super::*;

    #[test]
    fn the_example_of_the_design_is_understood() {
        let scenario = Scenario::parse(
            r#"
about: the tool is killed right after fencing; resume must finish
workload: { writers: 8, through: db }
steps:
  - switchover: run --compose compose.yaml --service db --image ${V2_IMAGE} --yes
    kill: { after: fence }
  - expect: { clients-on: v1, writes: accepted, within: 15s }
  - switchover: resume --yes
  - expect: { exit: 0, clients-on: v2, lost: 0, doubled: 0, stale: 0, write-gap: "< 20s" }
"#,
        )
        .unwrap();
        assert_eq!((scenario.tier, scenario.steps.len()), (2, 4));
        let Act::Switchover(run) = &scenario.steps[0].act else { panic!("not a run") };
        let strike = run.strike.as_ref().unwrap();
        assert_eq!(strike.0, Moment::Point("after:fence".into()));
        assert!(matches!(strike.1, Strike::KillTool { guard: false }));
        let Act::Expect(last) = &scenario.steps[3].act else { panic!("not an expectation") };
        assert_eq!((last.lost, last.exit), (Some(0), Some(0)));
    }

    fn complaint(text: &str) -> String {
        Scenario::parse(text).unwrap_err().one_line()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let unknown = complaint("about: x\nsteps:\n  - expect: { exit: 0, lots: 0 }\n");
        assert!(unknown.contains("lots") && unknown.contains("line 3"), "{unknown}");
        let two = complaint("about: x\nsteps:\n  - switchover: status\n    sql: { on: v1, run: select 1 }\n");
        assert!(two.contains("step 1: one step does one thing"), "{two}");
        let none = complaint("about: x\nsteps:\n  - background: run\n");
        assert!(none.contains("step 1: one step does one thing"), "{none}");
        assert!(complaint("about: x\nsteps: []\n").contains("proves nothing"));
        let moment = complaint("about: x\nsteps:\n  - switchover: run\n    kill: { after: fence, during: drain }\n");
        assert!(moment.contains("one moment"), "{moment}");
        let late = complaint("about: x\nsteps:\n  - switchover: run\n    fault: { pause: v2 }\n");
        assert!(late.contains("needs its moment"), "{late}");
    }
}
