//! How an ending reads. Every one answers: where are the clients, is V1 writable, what is left behind, what do I type
//! now. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::look::{Scene, SideNow};
use crate::facts::Fact;
use crate::saga::Outcome;
use crate::standing::Standing;
use crate::tell::{out, text};
use crate::trouble::{Kind as Sort, Trouble};

/// All that an ending is told from.
pub(super) struct Ending<'a> {
    pub(super) outcome: &'a Outcome,
    /// The person wanted to turn back.
    pub(super) wanted_back: bool,
    pub(super) standing: &'a Standing,
    pub(super) scene: &'a Scene,
    pub(super) journal: String,
}

impl Ending<'_> {
    pub(super) fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Switched if self.differs() => Sort::Person.exit_code(),
            Outcome::Switched | Outcome::Rested { .. } => 0,
            Outcome::TurnedBack { .. } if self.wanted_back => 0,
            Outcome::TurnedBack { because, .. } => match because.kind {
                kind @ (Sort::NotReady | Sort::Refused | Sort::Busy) => kind.exit_code(),
                _ => Sort::Failed.exit_code(),
            },
            Outcome::Stopped { .. } => Sort::Person.exit_code(),
        }
    }

    /// As `result` names it.
    pub(super) fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Switched => "switched",
            Outcome::Rested { .. } => "ready",
            Outcome::TurnedBack { because, .. } if because.kind == Sort::Refused => "refused",
            Outcome::TurnedBack { .. } => "turned-back",
            Outcome::Stopped { .. } => "stopped",
        }
    }

    pub(super) fn result(&self, warnings: &[String]) -> Value {
        let mut result = self.standing.result(self.word());
        let scene = self.scene.json();
        for key in ["v1", "v2", "clients"] {
            result[key] = scene[key].clone();
        }
        result["warnings"] = json!(warnings);
        result["exit"] = self.exit_code().into();
        match self.outcome {
            Outcome::TurnedBack { because: trouble, .. } | Outcome::Stopped { trouble, .. } => {
                result["error"] = error(&self.in_their_words(trouble));
            }
            Outcome::Switched | Outcome::Rested { .. } => {}
        }
        result
    }

    pub(super) fn text(&self) -> String {
        let name = &self.standing.order.plan.name;
        match self.outcome {
            Outcome::Switched => self.switched(),
            Outcome::Rested { at } => {
                let now = [
                    format!("switchover cutover --container {name}     fences V1 and moves the clients"),
                    format!("switchover abort --container {name}       turns back: V2 goes, V1 is as it was"),
                ];
                self.good(&format!("{at}: V2 follows V1 by itself; clients noticed nothing"), &now)
            }
            Outcome::TurnedBack { to: None, .. } if self.wanted_back => {
                self.good("turned back: nothing of the run is left", &[])
            }
            Outcome::TurnedBack { to, because } => self.bad(because, &self.after_turning_back(*to)),
            Outcome::Stopped { beyond_return, trouble, .. } => {
                let hint = if *beyond_return {
                    format!(
                        "mend the cause, then `switchover resume --container {name}`: it goes forward, nothing is lost"
                    )
                } else {
                    format!(
                        "mend the cause, then `switchover resume --container {name}`, or `abort` to turn back all the way"
                    )
                };
                self.bad(trouble, &hint)
            }
        }
    }

    fn switched(&self) -> String {
        let name = &self.standing.order.plan.name;
        let back = self.standing.order.is_exchanged();
        let (to, from) = if back { ("V1", "V2") } else { ("V2", "V1") };
        let retire = format!(
            "switchover retire --container {name}       removes {from}'s container, when it is not needed any more"
        );
        let mut now = vec![retire];
        if self.way_back() {
            now.insert(0, format!("switchover switchback --container {name}   crosses back to {from}, which follows"));
        }
        if self.differs() {
            let trouble = Trouble::person("the data of V1 and V2 differ");
            let hint = format!("compare the tables named above by hand before anything of {from} is removed");
            return self.bad(&trouble, &hint);
        }
        self.good(&format!("switched: clients are on {to}"), &now)
    }

    fn after_turning_back(&self, to: Option<&str>) -> String {
        let name = &self.standing.order.plan.name;
        match to {
            Some("ready") => {
                format!("`switchover cutover --container {name}` tries again, `abort` turns back all the way")
            }
            Some(_) => {
                format!(
                    "V2 follows meanwhile: `switchover resume --container {name}` goes on, `abort` turns back all the way"
                )
            }
            None => "nothing of the run is left; it can be begun anew".to_owned(),
        }
    }

    /// An ending as wished.
    fn good(&self, headline: &str, now: &[String]) -> String {
        let mut said = format!("{}\n{}", out::green(headline), text::block(&self.facts()));
        if !now.is_empty() {
            said.push_str("\nnow:\n");
        }
        for line in now {
            let _ = writeln!(said, "  {line}");
        }
        said
    }

    fn bad(&self, trouble: &Trouble, hint: &str) -> String {
        let mut said = text::trouble(&self.in_their_words(trouble), &self.facts());
        let _ = write!(said, "\n{} {hint}\n", out::cyan("hint:"));
        said
    }

    /// In a switchback the steps' V1 is the person's V2.
    fn in_their_words(&self, trouble: &Trouble) -> Trouble {
        flat(trouble, |said| self.standing.order.told(said))
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts =
            vec![("clients", clients(self.scene)), ("V1", side(&self.scene.v1)), ("V2", side(&self.scene.v2))];
        if let Some(ms) = self.standing.cutover_ms() {
            facts
                .push(("cutover", format!("{}, from the first session ended to the first write proven", text::ms(ms))));
        }
        if let Some(fact @ Fact::Verified { .. }) = self.standing.fact("verify") {
            facts.push(("compared", self.standing.order.told(&fact.to_string())));
        }
        if let Some(Fact::Settled { way_back: false, why }) = self.standing.fact("settle") {
            facts.push(("way back", format!("none by replication: {}", self.standing.order.told(why))));
        }
        facts.push(("journal", self.journal.clone()));
        facts
    }

    fn way_back(&self) -> bool {
        matches!(self.standing.fact("settle"), Some(Fact::Settled { way_back: true, .. }))
    }

    fn differs(&self) -> bool {
        matches!(self.standing.fact("verify"), Some(Fact::Verified { differing, .. }) if !differing.is_empty())
    }
}

/// The same error with every sentence told another way.
fn flat(trouble: &Trouble, told: impl Fn(&str) -> String) -> Trouble {
    let mut causes = trouble.causes().into_iter().rev();
    let innermost = causes.next().map(|cause| Trouble::new(trouble.kind, told(&cause)));
    let cause = causes.fold(innermost, |inner, cause| {
        let outer = Trouble::new(trouble.kind, told(&cause));
        Some(inner.map_or_else(|| Trouble::new(trouble.kind, told(&cause)), |inner| outer.because(inner)))
    });
    let mut same = Trouble::new(trouble.kind, told(&trouble.what));
    same.hints = text::hints(trouble).iter().map(|hint| told(hint)).collect();
    match cause {
        Some(cause) => same.because(cause),
        None => same,
    }
}

/// Where the clients are, each way by itself where they differ.
pub(super) fn clients(scene: &Scene) -> String {
    let ways: Vec<&str> = scene.clients.iter().map(|(way, _)| way.as_str()).collect();
    if let Some(side) = scene.clients_on() {
        let server = &scene.side(side).server;
        let writable = match server.writable.zip(server.clients_admitted) {
            Some((true, true)) => "",
            Some(_) => ", which does not serve them",
            None => ", of which it cannot be said whether it serves them",
        };
        return format!("on {side}{writable}: {}", ways.join(", "));
    }
    if scene.clients.is_empty() {
        return "no way of clients is known".to_owned();
    }
    let each = scene.clients.iter().map(|(way, side)| match side {
        Some(side) => format!("on {side}: {way}"),
        None => format!("nowhere, or it cannot be said: {way}"),
    });
    each.collect::<Vec<_>>().join("\n")
}

/// A side in a line.
pub(super) fn side(now: &SideNow) -> String {
    let Some(container) = &now.container else { return "not there".to_owned() };
    let server = &now.server;
    let mut said = format!("{container} ({}), ", now.image);
    said.push_str(match (server.writable, server.clients_admitted) {
        (Some(true), Some(true)) => "writable",
        (Some(true), Some(false)) => "writable, but shut to clients",
        (Some(true), None) => "writable; whether clients get in cannot be said",
        (Some(false), _) => "not writable",
        (None, _) => "unknown",
    });
    if server.following == Some(true) {
        said.push_str(", follows the other side");
    }
    if let Some(count) = server.clients_connected.filter(|count| *count > 0) {
        let _ = write!(said, ", {count} client sessions");
    }
    if let Some(note) = &server.note {
        let _ = write!(said, " ({note})");
    }
    said
}

/// An error for programs.
pub(super) fn error(trouble: &Trouble) -> Value {
    json!({ "what": trouble.what, "causes": trouble.causes(), "hints": text::hints(trouble) })
}

#[cfg(test)]
mod tests;
