//! A step as it is written: loose, so that it reads well, and checked until nothing contradictory is left.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Act, Cut, Exec, Expect, Fault, Moment, Run, Sql, Step, Strike, ToolSignal, WaitFor};
use crate::scenario::units::{Span, words};
use crate::trouble::Trouble;

/// A step as it is written: one action and the words around it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::scenario) struct StepText {
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
    said: Option<String>,
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
    said: Option<String>,
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
    said: Option<String>,
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
    said: Option<String>,
    begun: Option<String>,
    before: Option<String>,
    acted: Option<String>,
    after: Option<String>,
    at: Option<String>,
}

impl StepText {
    pub(in crate::scenario) fn check(self) -> Result<Step, Trouble> {
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
                Some(Moment::Point(_) | Moment::Said(_)) => {
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
            let moment =
                moment([&text.during, &text.said, &text.begun, &text.before, &text.acted, &text.after, &text.at])?;
            (moment, Strike::KillTool { guard: text.guard })
        } else if let Some(text) = &self.freeze {
            let moment =
                moment([&text.during, &text.said, &text.begun, &text.before, &text.acted, &text.after, &text.at])?;
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
        moment([&self.during, &self.said, &self.begun, &self.before, &self.acted, &self.after, &self.at])
    }
}

fn moment(said: [&Option<String>; 7]) -> Result<Option<Moment>, Trouble> {
    let mut found = said.iter().zip(["during", "said", "begun:", "before:", "acted:", "after:", ""]).filter_map(
        |(step, prefix)| {
            let step = step.as_ref()?;
            Some(match prefix {
                "during" => Moment::During(step.clone()),
                "said" => Moment::Said(step.clone()),
                prefix => Moment::Point(format!("{prefix}{step}")),
            })
        },
    );
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(Trouble::usage("one moment, please: `during`, `said`, `begun`, `before`, `acted`, `after` or `at`")),
    }
}

impl FaultText {
    fn check(&self) -> Result<(Option<Moment>, Fault), Trouble> {
        let when = moment([&self.during, &self.said, &self.begun, &self.before, &self.acted, &self.after, &self.at])?;
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
