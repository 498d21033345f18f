//! Plays the steps of one scenario, in order, while the clients work.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::clients::Clients;
use super::command::{Call, docker};
use super::expect::Wanted;
use super::faults::{crash_point, inflict, strike};
use super::file::Scenario;
use super::history::now;
use super::record::Played;
use super::report::say;
use super::stage::Stage;
use super::steps::{Act, Exec, Run, Sql, WaitFor};
use super::tool::{CRASH_AT, Tool};
use super::v1_state::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// One call of the tool in the foreground. The scenario's own limit is usually nearer.
const CALL: Duration = Duration::from_secs(600);
/// A command of the scenario.
const EXEC: Duration = Duration::from_secs(120);

pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    pub(super) clients: Option<&'a Clients>,
    binary: &'a Path,
    /// Limits of expectations are so many times longer.
    pub(super) patience: u32,
    pub(super) tools: Vec<Tool>,
    pub(super) played: Vec<Played>,
    /// V1 before the first call of the tool.
    pub(super) before: Option<State>,
    pub(super) wanted: Wanted,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage, clients: Option<&'a Clients>, binary: &'a Path, patience: u32) -> Self {
        let (tools, played) = (Vec::new(), Vec::new());
        Play { stage, clients, binary, patience, tools, played, before: None, wanted: Wanted::default() }
    }

    pub(super) async fn steps(&mut self, scenario: &Scenario) -> Result<(), Trouble> {
        for (number, step) in (1..).zip(&scenario.steps) {
            let words = in_words(&step.act);
            say(&format!("  {number:>2}. {words}"));
            let began = now();
            let acted = self.act(&step.act).await;
            self.played.push(Played { step: words.clone(), began, ended: now() });
            acted.map_err(|error| Trouble::new(error.kind, format!("step {number} failed: {words}")).because(error))?;
        }
        self.account(None)?;
        match self.tools.iter().find(|tool| tool.said().end.is_none()) {
            Some(tool) => Err(Trouble::failed(format!("the scenario is over and `{}` still runs", tool.name))),
            None => Ok(()),
        }
    }

    async fn act(&mut self, act: &Act) -> Result<(), Trouble> {
        match act {
            Act::Switchover(run) => self.call(run).await,
            Act::Fault { fault, during, of } => {
                if let Some(step) = during {
                    self.tool(of.as_deref())?.begun(step, CALL, &self.stage.tell).await?;
                }
                inflict(self.stage, fault).await?;
                match during {
                    Some(step) if self.tool(of.as_deref())?.said().has("step-done", step) => {
                        Err(Trouble::failed(format!("the fault came too late: {step} was done by then")))
                    }
                    _ => Ok(()),
                }
            }
            Act::Expect(expect) => self.expect(expect).await,
            Act::Exec(exec) => self.exec(exec).await,
            Act::Sql(sql) => match self.sql(sql).await? {
                Look::Done(()) => Ok(()),
                Look::NotYet(why) => Err(Trouble::failed(why)),
            },
            Act::WaitFor(wait) => self.wait_for(wait).await,
        }
    }

    async fn call(&mut self, run: &Run) -> Result<(), Trouble> {
        self.account(None)?;
        if self.before.is_none() {
            self.before = Some(self.v1_state().await?);
        }
        let mut args = run.args.iter().map(|word| self.stage.vars.fill(word)).collect::<Result<Vec<_>, _>>()?;
        args.extend(["--state-dir".to_owned(), self.stage.work.join("state").display().to_string()]);
        if !args.iter().any(|arg| arg.starts_with("--output")) {
            args.extend(["--output".to_owned(), "json".to_owned()]);
        }
        let mut env = BTreeMap::new();
        for (name, value) in &run.env {
            env.insert(name.clone(), self.stage.vars.fill(value)?);
        }
        if let Some(point) = run.strike.as_ref().and_then(|(moment, strike)| crash_point(moment, strike)) {
            env.insert(CRASH_AT.to_owned(), point);
        }
        let name = run.background.as_ref().or(run.args.first()).map_or("switchover", String::as_str);
        let mut tool = Tool::start(self.stage, self.binary, name, &args, &env)?;
        let struck = match &run.strike {
            Some((moment, blow)) => strike(self.stage, &mut tool, moment, blow).await,
            None => Ok(()),
        };
        if struck.is_ok() && run.background.is_none() {
            tool.end(CALL, &self.stage.tell).await?;
        }
        self.tools.push(tool);
        struck
    }

    /// A call that failed without anybody expecting it to is a failure of the scenario.
    fn account(&mut self, except: Option<&str>) -> Result<(), Trouble> {
        for tool in self.tools.iter_mut().filter(|tool| !tool.accounted && Some(tool.name.as_str()) != except) {
            let said = tool.said();
            if let Some(exit) = said.end {
                tool.accounted = true;
                if exit.code != Some(0) {
                    return Err(Trouble::failed(format!("`{}` ended unexpectedly: {exit}", tool.name))
                        .because(Trouble::failed(said.last_words())));
                }
            }
        }
        Ok(())
    }

    /// The call of that name, else the last one.
    pub(super) fn tool(&self, name: Option<&str>) -> Result<&Tool, Trouble> {
        let found = match name {
            Some(name) => self.tools.iter().rev().find(|tool| tool.name == name),
            None => self.tools.last(),
        };
        found.ok_or_else(|| Trouble::usage("there was no such call of the tool before this step"))
    }

    pub(super) async fn v1_state(&self) -> Result<State, Trouble> {
        State::take(&self.stage.v1, &self.stage.database).await
    }

    async fn exec(&self, exec: &Exec) -> Result<(), Trouble> {
        let command = self.stage.vars.fill(&exec.run)?;
        if exec.on == "host" {
            let call = Call::new(["sh", "-c", &command]).dir(&self.stage.dir).env(&self.stage.vars.0);
            return call.within(EXEC).ok().await.map(drop);
        }
        let container = self.stage.container(&exec.on).await?;
        docker(["exec", &container, "sh", "-c", &command]).within(EXEC).ok().await.map(drop)
    }

    async fn sql(&self, sql: &Sql) -> Result<Look<()>, Trouble> {
        let container = self.stage.container(&sql.on).await?;
        let answer = self.stage.database.ask(&container, &self.stage.vars.fill(&sql.run)?).await?;
        Ok(match &sql.is {
            Some(wanted) if *wanted != answer => Look::NotYet(format!("{} answers `{answer}`, not `{wanted}`", sql.on)),
            _ => Look::Done(()),
        })
    }

    async fn wait_for(&self, wait: &WaitFor) -> Result<(), Trouble> {
        if let Some(sql) = &wait.sql {
            let limit = Limit { name: "within", value: wait.within.0 };
            let until = Wait { what: "the answer", limit, every: Duration::from_millis(50), kind: Kind::Failed };
            wait::until(until, &self.stage.tell, async || match self.sql(sql).await {
                Ok(look) => Ok(look),
                Err(error) => Ok(Look::NotYet(error.one_line())),
            })
            .await?;
        }
        let told = [("step-done", &wait.done), ("step-begun", &wait.begun)];
        for (event, step) in told.into_iter().filter_map(|(event, step)| Some((event, step.as_ref()?))) {
            self.tool(wait.of.as_deref())?.event(event, step, wait.within.0, &self.stage.tell).await?;
        }
        if let Some(message) = &wait.message {
            let tool = self.tool(wait.of.as_deref())?;
            let found = tool.until("a message", wait.within.0, &self.stage.tell, |said| {
                Ok(if said.text.contains(message) { Look::Done(()) } else { Look::NotYet(said.last_words()) })
            });
            found.await?;
        }
        Ok(())
    }

    /// When the first call began and the last one ended.
    pub(super) fn calls(&self) -> Option<(u64, u64)> {
        let first = self.tools.first()?.began;
        let last = self.tools.iter().map(|tool| tool.said().end.map_or_else(now, |exit| exit.at)).max()?;
        Some((first, last))
    }
}

fn in_words(act: &Act) -> String {
    match act {
        Act::Switchover(run) => {
            let beside = run.background.as_ref().map_or(String::new(), |name| format!(" (beside, as {name})"));
            let hit = run.strike.as_ref().map_or(String::new(), |(moment, blow)| format!(", {blow} {moment}"));
            format!("switchover {}{beside}{hit}", run.args.join(" "))
        }
        Act::Fault { fault, during: None, .. } => format!("{fault}"),
        Act::Fault { fault, during: Some(step), .. } => format!("{fault} during {step}"),
        Act::Expect(expect) => format!("expect {}", expect.in_words()),
        Act::Exec(exec) => format!("exec on {}: {}", exec.on, exec.run),
        Act::Sql(sql) => format!("sql on {}: {}", sql.on, sql.run),
        Act::WaitFor(_) => "wait".to_owned(),
    }
}
