//! The whole outcome of a scenario for programs (`--json`): the verdict, and when what was done. `bench/` reads it.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::history::{History, Micros};
use super::play::Play;
use super::verdict::Verdict;
use crate::trouble::Trouble;

/// All times are microseconds since 1970, lengths are microseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Record {
    pub(super) scenario: String,
    pub(super) passed: bool,
    pub(super) complaints: Vec<String>,
    steps: Vec<Played>,
    calls: Vec<Called>,
    /// The time from which the gaps of the verdict count.
    first_acknowledgement: Option<Micros>,
    verdict: Option<Verdict>,
}

/// One step of the scenario.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Played {
    pub(super) step: String,
    pub(super) began: Micros,
    pub(super) ended: Micros,
}

/// One call of the tool, with every event it told.
#[derive(Debug, Serialize)]
struct Called {
    name: String,
    began: Micros,
    ended: Option<Micros>,
    exit: Option<i32>,
    events: Vec<Value>,
}

impl Record {
    pub(super) fn played(&mut self, play: &Play<'_>) {
        self.steps.clone_from(&play.played);
        self.calls = play
            .tools
            .iter()
            .map(|tool| {
                let said = tool.said();
                let ended = said.end.map(|exit| exit.at);
                let exit = said.end.and_then(|exit| exit.code);
                Called { name: tool.name.clone(), began: tool.began, ended, exit, events: said.events }
            })
            .collect();
    }

    pub(super) fn judged(&mut self, verdict: &Verdict, history: &History) {
        self.first_acknowledgement = history.acknowledged().map(|op| op.ended).min();
        self.verdict = Some(verdict.clone());
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), Trouble> {
        let text = format!("{:#}\n", serde_json::json!(self));
        std::fs::write(path, text).map_err(|e| Trouble::failed(format!("cannot write {}", path.display())).because(e))
    }
}
