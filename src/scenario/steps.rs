//! The steps of a scenario file as they are meant; `text` has them as they are written.

mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

pub(super) use self::text::StepText;
use super::units::{Below, Span};
use crate::wait::human;

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
    /// When the tool has said this, while it goes on: for the middle of a long step.
    Said(String),
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
    /// As an operator does it: the engine kills after 10 s.
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

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::During(step) => write!(f, "during {step}"),
            Moment::Said(text) => write!(f, "when it says `{text}`"),
            Moment::Point(point) => write!(f, "at {point}"),
        }
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strike::KillTool { guard: false } => f.write_str("killed"),
            Strike::KillTool { guard: true } => f.write_str("killed with its guard"),
            Strike::FreezeTool(length) => write!(f, "frozen for {}", human(*length)),
            Strike::Signal(ToolSignal::Interrupt) => f.write_str("SIGINT"),
            Strike::Signal(ToolSignal::Terminate) => f.write_str("SIGTERM"),
            Strike::Fault(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, target) = match self {
            Fault::Stop(target) => ("stop", target),
            Fault::Kill(target) => ("kill", target),
            Fault::Start(target) => ("start", target),
            Fault::Restart(target) => ("restart", target),
            Fault::Pause(target) => ("pause", target),
            Fault::Unpause(target) => ("unpause", target),
            Fault::Partition(cut) => ("partition", &cut.target),
            Fault::Heal(cut) => ("heal", &cut.target),
        };
        write!(f, "{verb} {target}")?;
        match self {
            Fault::Partition(Cut { network: Some(network), .. }) | Fault::Heal(Cut { network: Some(network), .. }) => {
                write!(f, " on {network}")
            }
            _ => Ok(()),
        }
    }
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
    /// Transactions that were not acknowledged, however they failed.
    pub(super) failed: Option<u64>,
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
    /// What it must answer, as the engine's own client prints it without heading and frame.
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

fn host() -> String {
    "host".into()
}
fn a_minute() -> Span {
    Span::seconds(60)
}
