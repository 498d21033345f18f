//! The steps of a scenario file: as they are written ([`StepText`]) and as they are meant ([`Step`]).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::units::{Below, Span, words};
use crate::trouble::Trouble;

#[derive(Debug)]
pub(super) struct Step {
    pub(super) act: Act,
}

/// What one step does.
#[derive(Debug)]
pub(super) enum Act {
    Switchover(Run),
    /// A fault on its own; with a step of the tool that runs in the background, when that step begins.
    Fault {
        fault: Fault,
        during: Option<String>,
        of: Option<String>,
    },
    Expect(Box<Expect>),
    Exec(Exec),
    Sql(Sql),
    WaitFor(WaitFor),
}

/// One call of the tool.
#[derive(Debug)]
pub(super) struct Run {
    /// Words, not yet filled in.
    pub(super) args: Vec<String>,
    /// Runs beside the next steps, under this name.
    pub(super) background: Option<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) strike: Option<(Moment, Strike)>,
}

/// When something hits the tool's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// When the tool says that it has begun this step, while it goes on: for steps that take long.
    During(String),
    /// A crash point of the tool (`after:fence`, `begun:drain`, `line`): exact, also inside the window. The tool
    /// is frozen there while the fault is done, unless the fault is its own death.
    Point(String),
}

#[derive(Clone, Debug)]
pub(super) enum Strike {
    /// SIGKILL to the tool's process group; `guard`: to its guard as well.
    KillTool {
        guard: bool,
    },
    FreezeTool(Duration),
    Signal(ToolSignal),
    Fault(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ToolSignal {
    Interrupt,
    Terminate,
}

/// Kinds of fault are not interchangeable. A target is `v1`, `v2`, … or a compose service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// SIGTERM (or the image's stop signal), then a long patience.
    Stop(String),
    /// SIGKILL.
    Kill(String),
    Start(String),
    Restart(String),
    /// Nothing runs, nothing answers, nothing is closed.
    Pause(String),
    Unpause(String),
    /// Packets vanish in both directions, on one network or on all.
    Partition(Cut),
    Heal(Cut),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) target: String,
    /// `private` is the tool's own network, any other a compose network; none means all.
    pub(super) network: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Expect {
    /// The background run that is meant; else the last one.
    pub(super) of: Option<String>,
    pub(super) exit: Option<u8>,
    pub(super) outcome: Option<String>,
    /// What the run's own result says is left.
    pub(super) left: Option<String>,
    /// Stands in what the tool printed.
    pub(super) message: Option<String>,
    /// Every writer is served by this side.
    pub(super) clients_on: Option<String>,
    pub(super) writes: Option<Writes>,
    /// The limit for what must become true.
    pub(super) within: Option<Span>,
    pub(super) lost: Option<u64>,
    pub(super) doubled: Option<u64>,
    pub(super) stale: Option<u64>,
    pub(super) write_gap: Option<Below>,
    pub(super) stall: Option<Below>,
    /// V1 is byte for byte what it was before the first call of the tool.
    pub(super) v1_unchanged: bool,
    /// `none`: no container, network or volume made by the tool is left.
    pub(super) objects: Option<Objects>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Writes {
    Accepted,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Objects {
    None,
}

/// A command, on the `host` (by `sh`, in the scenario's directory) or in a container.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exec {
    #[serde(default = "host")]
    pub(super) on: String,
    pub(super) run: String,
}

/// A statement on a server, through its own local access.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sql {
    pub(super) on: String,
    pub(super) run: String,
    /// What it must answer (unaligned, as `psql -At`).
    pub(super) is: Option<String>,
}

/// Waits until the tool in the background says something, or a server does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitFor {
    pub(super) of: Option<String>,
    /// The tool has finished this step.
    pub(super) done: Option<String>,
    /// The tool has begun this step.
    pub(super) begun: Option<String>,
    /// The tool has printed this.
    pub(super) message: Option<String>,
    pub(super) sql: Option<Sql>,
    #[serde(default = "a_minute")]
    pub(super) within: Span,
}

/// A step as it is written: one action and the words around it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StepText {
    switchover: Option<String>,
    background: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    kill: Option<KillText>,
    freeze: Option<FreezeText>,
    signal: Option<SignalText>,
    fault: Option<FaultText>,
    of: Option<String>,
    expect: Option<Expect>,
    exec: Option<Exec>,
    sql: Option<Sql>,
    wait_for: Option<WaitFor>,
}

/// `during: STEP`, or exactly one of the crash points.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MomentText {
    during: Option<String>,
    begun: Option<String>,
    before: Option<String>,
    acted: Option<String>,
    after: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KillText {
    #[serde(default)]
    guard: bool,
    during: Option<String>,
    begun: Option<String>,
    before: Option<String>,
    acted: Option<String>,
    after: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FreezeText {
    r#for: Span,
    during: Option<String>,
    begun: Option<String>,
    before: Option<String>,
    acted: Option<String>,
    after: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum SignalText {
    Sigint(MomentText),
    Sigterm(MomentText),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FaultText {
    stop: Option<String>,
    kill: Option<String>,
    start: Option<String>,
    restart: Option<String>,
    pause: Option<String>,
    unpause: Option<String>,
    partition: Option<String>,
    heal: Option<String>,
    network: Option<String>,
    during: Option<String>,
    begun: Option<String>,
    before: Option<String>,
    acted: Option<String>,
    after: Option<String>,
    at: Option<String>,
}

impl StepText {
    pub(super) fn check(self) -> Result<Step, Trouble> {
        let around = self.background.is_some() || !self.env.is_empty() || self.tool_strikes() > 0;
        if self.switchover.is_none() && around {
            return Err(Trouble::usage(
                "one step does one thing: `background`, `env`, `kill`, `freeze`, `signal` belong to a `switchover`",
            ));
        }
        if let Some(line) = self.switchover.clone() {
            return self.into_run(&line);
        }
        let Self { fault, of, expect, exec, sql, wait_for, .. } = self;
        let mut acts = Vec::new();
        if let Some(text) = fault {
            let (moment, fault) = text.check()?;
            let during = match moment {
                None => None,
                Some(Moment::During(step)) => Some(step),
                Some(Moment::Point(_)) => {
                    return Err(Trouble::usage("a fault at a crash point stands in the step of its `switchover`"));
                }
            };
            acts.push(Act::Fault { fault, during, of: of.clone() });
        }
        acts.extend(expect.map(|expect| Act::Expect(Box::new(expect))));
        acts.extend(exec.map(Act::Exec));
        acts.extend(sql.map(Act::Sql));
        acts.extend(wait_for.map(Act::WaitFor));
        match (acts.pop(), acts.is_empty()) {
            (Some(act), true) if of.is_none() || matches!(act, Act::Fault { .. }) => Ok(Step { act }),
            (Some(_), true) => Err(Trouble::usage("`of` stands inside `expect` and `wait-for`")),
            _ => Err(Trouble::usage(ONE_THING)),
        }
    }

    fn tool_strikes(&self) -> usize {
        usize::from(self.kill.is_some()) + usize::from(self.freeze.is_some()) + usize::from(self.signal.is_some())
    }

    fn into_run(self, line: &str) -> Result<Step, Trouble> {
        if self.expect.is_some() || self.exec.is_some() || self.sql.is_some() || self.wait_for.is_some() {
            return Err(Trouble::usage(ONE_THING));
        }
        if self.tool_strikes() + usize::from(self.fault.is_some()) > 1 {
            return Err(Trouble::usage("one `switchover` is hit once: by `kill`, `freeze`, `signal` or `fault`"));
        }
        let strike = self.strike()?;
        let Self { background, env, .. } = self;
        Ok(Step { act: Act::Switchover(Run { args: words(line)?, background, env, strike }) })
    }

    fn strike(&self) -> Result<Option<(Moment, Strike)>, Trouble> {
        let (moment, strike) = if let Some(text) = &self.kill {
            let moment = moment([&text.during, &text.begun, &text.before, &text.acted, &text.after, &text.at])?;
            (moment, Strike::KillTool { guard: text.guard })
        } else if let Some(text) = &self.freeze {
            let moment = moment([&text.during, &text.begun, &text.before, &text.acted, &text.after, &text.at])?;
            (moment, Strike::FreezeTool(text.r#for.0))
        } else if let Some(SignalText::Sigint(text)) = &self.signal {
            (text.check()?, Strike::Signal(ToolSignal::Interrupt))
        } else if let Some(SignalText::Sigterm(text)) = &self.signal {
            (text.check()?, Strike::Signal(ToolSignal::Terminate))
        } else if let Some(text) = &self.fault {
            let (moment, fault) = text.check()?;
            (moment, Strike::Fault(fault))
        } else {
            return Ok(None);
        };
        let moment =
            moment.ok_or_else(|| Trouble::usage("what hits a `switchover` needs its moment: `during`, `after`, …"))?;
        Ok(Some((moment, strike)))
    }
}

const ONE_THING: &str = "one step does one thing: switchover, fault, expect, exec, sql or wait-for";

impl MomentText {
    fn check(&self) -> Result<Option<Moment>, Trouble> {
        moment([&self.during, &self.begun, &self.before, &self.acted, &self.after, &self.at])
    }
}

fn moment(said: [&Option<String>; 6]) -> Result<Option<Moment>, Trouble> {
    let mut found =
        said.iter().zip(["during", "begun:", "before:", "acted:", "after:", ""]).filter_map(|(step, prefix)| {
            let step = step.as_ref()?;
            Some(if prefix == "during" {
                Moment::During(step.clone())
            } else {
                Moment::Point(format!("{prefix}{step}"))
            })
        });
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(Trouble::usage("one moment, please: `during`, `begun`, `before`, `acted`, `after` or `at`")),
    }
}

impl FaultText {
    fn check(&self) -> Result<(Option<Moment>, Fault), Trouble> {
        let when = moment([&self.during, &self.begun, &self.before, &self.acted, &self.after, &self.at])?;
        let cut = |target: &String| Cut { target: target.clone(), network: self.network.clone() };
        let mut faults: Vec<Fault> = Vec::new();
        faults.extend(self.stop.clone().map(Fault::Stop));
        faults.extend(self.kill.clone().map(Fault::Kill));
        faults.extend(self.start.clone().map(Fault::Start));
        faults.extend(self.restart.clone().map(Fault::Restart));
        faults.extend(self.pause.clone().map(Fault::Pause));
        faults.extend(self.unpause.clone().map(Fault::Unpause));
        faults.extend(self.partition.as_ref().map(cut).map(Fault::Partition));
        faults.extend(self.heal.as_ref().map(cut).map(Fault::Heal));
        match (faults.pop(), faults.is_empty()) {
            (Some(fault), true) => Ok((when, fault)),
            _ => {
                Err(Trouble::usage("one fault, please: stop, kill, start, restart, pause, unpause, partition or heal"))
            }
        }
    }
}

fn host() -> String {
    "host".into()
}
fn a_minute() -> Span {
    Span::seconds(60)
}
