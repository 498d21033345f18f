//! What must be true: now (where the clients are, how the tool ended) or in the end (the verdict).

use std::collections::BTreeSet;
use std::time::Duration;

use super::history::now;
use super::play::Play;
use super::report::say;
use super::stage::Container;
use super::steps::{Expect, Objects, Writes};
use super::units::{Below, Span};
use super::verdict::Verdict;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait, human};

/// The limit of an expectation that names none.
const WITHIN: Span = Span::seconds(60);
/// No acknowledgement for so long: writes are refused.
const SILENCE: Duration = Duration::from_secs(1);

/// What the verdict must say. Nothing lost, nothing doubled, nothing stale: also when nobody wrote it down.
#[derive(Debug)]
pub(super) struct Wanted {
    lost: u64,
    doubled: u64,
    stale: u64,
    failed: Option<u64>,
    write_gap: Option<Below>,
    stall: Option<Below>,
    /// The sides the clients are meant to be on, in order.
    pub(super) journey: Vec<String>,
    /// The clients must be served when the scenario is over.
    pub(super) served_in_the_end: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        let journey = vec!["v1".to_owned()];
        Wanted {
            lost: 0,
            doubled: 0,
            stale: 0,
            failed: None,
            write_gap: None,
            stall: None,
            journey,
            served_in_the_end: true,
        }
    }
}

impl Wanted {
    fn note(&mut self, expect: &Expect) {
        self.lost = expect.lost.unwrap_or(self.lost);
        self.doubled = expect.doubled.unwrap_or(self.doubled);
        self.stale = expect.stale.unwrap_or(self.stale);
        self.failed = expect.failed.or(self.failed);
        self.write_gap = expect.write_gap.or(self.write_gap);
        self.stall = expect.stall.or(self.stall);
        if let Some(side) = expect.clients_on.as_ref().filter(|side| self.journey.last() != Some(side)) {
            self.journey.push(side.clone());
        }
        if let Some(writes) = expect.writes {
            self.served_in_the_end = writes == Writes::Accepted;
        }
    }

    /// What the verdict says that it should not.
    pub(super) fn complaints(&self, verdict: &Verdict, patience: u32) -> Vec<String> {
        let mut complaints = Vec::new();
        if !verdict.complete {
            complaints.push("the final tables could not be read: nothing is known about losses".to_owned());
        }
        let counts = [
            ("lost", self.lost, &verdict.lost),
            ("doubled", self.doubled, &verdict.doubled),
            ("stale", self.stale, &verdict.stale),
            ("rows that differ", 0, &verdict.differing),
        ];
        for (name, wanted, found) in counts.into_iter().filter(|(_, wanted, found)| found.len() as u64 != *wanted) {
            let examples = found.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
            complaints.push(format!("{name}: {}, not {wanted} ({examples})", found.len()));
        }
        let failed = verdict.refused + verdict.middle + verdict.unknown;
        if let Some(wanted) = self.failed.filter(|wanted| failed != *wanted) {
            complaints.push(format!("failed: {failed}, not {wanted}"));
        }
        if verdict.reads_missing > 0 {
            complaints.push(format!("{} reads did not find an acknowledged row", verdict.reads_missing));
        }
        let limits = [("write gap", self.write_gap, &verdict.write_gap), ("stall", self.stall, &verdict.stall)];
        for (name, limit, gap) in limits {
            let length = Duration::from_micros(gap.length);
            if let Some(limit) = limit.map(|limit| limit.0 * patience).filter(|limit| length >= *limit) {
                complaints.push(format!("{name}: {}, not below {}", human(length), human(limit)));
            }
        }
        if let Some((0, _)) = verdict.around {
            complaints.push("nothing was acknowledged before the first call of the tool".to_owned());
        }
        if let Some((_, 0)) = verdict.around.filter(|_| self.served_in_the_end) {
            complaints.push("nothing was acknowledged after the last call of the tool".to_owned());
        }
        complaints
    }
}

impl Expect {
    pub(super) fn in_words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        let text = |name: &str, value: Option<&String>| value.map(|value| format!("{name}: {value}"));
        words.extend(self.exit.map(|code| format!("exit: {code}")));
        words.extend(text("outcome", self.outcome.as_ref()));
        words.extend(text("left", self.left.as_ref()));
        words.extend(text("message", self.message.as_ref()));
        words.extend(text("clients-on", self.clients_on.as_ref()));
        words.extend(self.writes.map(|writes| format!("writes: {writes:?}")));
        let counts = [("lost", self.lost), ("doubled", self.doubled), ("stale", self.stale), ("failed", self.failed)];
        words.extend(counts.into_iter().filter_map(|(name, count)| Some(format!("{name}: {}", count?))));
        words.extend(self.write_gap.map(|limit| format!("write-gap: < {}", human(limit.0))));
        words.extend(self.v1_unchanged.then(|| "v1-unchanged".to_owned()));
        words.extend(self.objects.map(|_| "objects: none".to_owned()));
        words.join(", ")
    }
}

impl Play<'_> {
    pub(super) async fn expect(&mut self, expect: &Expect) -> Result<(), Trouble> {
        self.wanted.note(expect);
        let since = now();
        let limit = expect.within.unwrap_or(WITHIN).0 * self.patience;
        self.expect_of_tool(expect, limit).await?;
        if let Some(side) = &expect.clients_on {
            self.everyone_on(Some(side), since, limit).await?;
            say(&format!("      on {side} after {}", human(Duration::from_micros(now().saturating_sub(since)))));
        }
        match expect.writes {
            Some(Writes::Accepted) if expect.clients_on.is_none() => self.everyone_on(None, since, limit).await?,
            Some(Writes::Refused) => self.nobody_served(limit).await?,
            _ => {}
        }
        if expect.v1_unchanged {
            let before = self.before.as_ref().ok_or_else(|| Trouble::usage("no call of the tool yet"))?;
            let changes = before.changes(&self.v1_state().await?);
            if !changes.is_empty() {
                return Err(Trouble::failed("V1 is not what it was").because(Trouble::failed(changes.join("\n"))));
            }
        }
        if let Some(Objects::None) = expect.objects {
            self.nothing_left().await?;
        }
        Ok(())
    }

    async fn expect_of_tool(&mut self, expect: &Expect, limit: Duration) -> Result<(), Trouble> {
        let about_end = expect.exit.is_some() || expect.outcome.is_some() || expect.left.is_some();
        if !about_end && expect.message.is_none() {
            return Ok(());
        }
        let tool = self.tool(expect.of.as_deref())?;
        let exit = tool.end(limit, &self.stage.tell).await?;
        let said = tool.said();
        let fail = |what: String| Err(Trouble::failed(what).because(Trouble::failed(said.last_words())));
        if let Some(code) = expect.exit.filter(|code| exit.code != Some(i32::from(*code))) {
            return fail(format!("`{}` ended with {exit}, not exit {code}", tool.name));
        }
        for (field, wanted) in [("outcome", &expect.outcome), ("left", &expect.left)] {
            let Some(wanted) = wanted else { continue };
            let found = said.result().and_then(|result| result[field].as_str()).unwrap_or("nothing");
            if found != wanted {
                return fail(format!("the result's {field} is `{found}`, not `{wanted}`"));
            }
        }
        if let Some(message) = &expect.message {
            let message = self.stage.vars.fill(message)?;
            if !said.text.contains(&message) {
                return fail(format!("`{}` did not say `{message}`", tool.name));
            }
        }
        let name = tool.name.clone();
        if let Some(tool) = self.tools.iter_mut().rev().find(|tool| tool.name == name && expect.exit.is_some()) {
            tool.accounted = true;
        }
        Ok(())
    }

    /// Waits until every writer was served, all of them by that side.
    pub(super) async fn everyone_on(&self, side: Option<&str>, since: u64, limit: Duration) -> Result<(), Trouble> {
        let clients =
            self.clients.ok_or_else(|| Trouble::usage("there are no clients: the scenario has no workload"))?;
        let what = format!("every writer to be served by {}", side.unwrap_or("either side"));
        let limit = Limit { name: "within", value: limit };
        let wait = Wait { what: &what, limit, every: Duration::from_millis(20), kind: Kind::Failed };
        wait::until(wait, &self.stage.tell, async || {
            let served = clients.served_since(since);
            let theirs: BTreeSet<i32> = served
                .iter()
                .filter(|(name, _)| side.is_none_or(|side| side == *name))
                .flat_map(|(_, w)| w)
                .copied()
                .collect();
            if theirs.len() == usize::from(clients.writers) {
                return Ok(Look::Done(()));
            }
            let seen: Vec<String> =
                served.iter().map(|(side, writers)| format!("{} by {side}", writers.len())).collect();
            Ok(Look::NotYet(format!("of {} writers were served: {}", clients.writers, seen.join(", "))))
        })
        .await
    }

    async fn nobody_served(&self, limit: Duration) -> Result<(), Trouble> {
        let clients =
            self.clients.ok_or_else(|| Trouble::usage("there are no clients: the scenario has no workload"))?;
        let limit = Limit { name: "within", value: limit };
        let what = "writes to be refused";
        let wait = Wait { what, limit, every: Duration::from_millis(50), kind: Kind::Failed };
        wait::until(wait, &self.stage.tell, async || {
            let last = clients.history().acknowledged().next_back().map_or(0, |op| op.ended);
            let silent = Duration::from_micros(now().saturating_sub(last));
            Ok(if silent > SILENCE {
                Look::Done(())
            } else {
                Look::NotYet(format!("one was accepted {} ago", human(silent)))
            })
        })
        .await
    }

    async fn nothing_left(&self) -> Result<(), Trouble> {
        let containers = self.stage.containers().await?;
        let made = containers.iter().filter(|container| container.label("switchover.run").is_some());
        let mut left: Vec<String> = made.map(Container::name).map(str::to_owned).collect();
        for kind in ["network", "volume"] {
            left.extend(self.stage.objects(kind, true).await?);
        }
        if left.is_empty() { Ok(()) } else { Err(Trouble::failed(format!("the tool has left {}", left.join(", ")))) }
    }
}
