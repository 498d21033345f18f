//! Progress as data. Steps tell what happens; a printer (terminal, lines or json) decides how it looks.

mod aside;
pub mod json;
mod lines;
pub mod out;
mod terminal;
pub mod text;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One thing that happened. `event` and its fields are the JSON output: names are never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    StepBegun {
        step: String,
        title: String,
    },
    /// `fact` is the sentence that is true now: "V1 fenced at 0/3A0001F8".
    StepDone {
        step: String,
        fact: String,
        ms: u64,
    },
    StepUndone {
        step: String,
        title: String,
    },
    Progress {
        step: Option<String>,
        what: String,
        done: u64,
        total: Option<u64>,
        rate: Option<u64>,
        unit: Unit,
    },
    Waiting {
        step: Option<String>,
        what: String,
        why: String,
    },
    Warning {
        step: Option<String>,
        what: String,
    },
    /// The last event of a run.
    Result(Box<serde_json::Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    Bytes,
    Rows,
    Tables,
}

pub use aside::Aside;
pub use json::Json;
pub use lines::Lines;
pub use terminal::Terminal;

/// Receives events in order. It must not block: it is called from inside the window too.
pub trait Printer: Send {
    fn print(&mut self, event: &Event);
    /// Returns when what was printed is out, or after a moment.
    fn flush(&mut self) {}
}

/// Tells a switchback in the words of the person, for whom V1 and V2 have not changed.
pub struct Exchanged(pub Box<dyn Printer>);

impl Printer for Exchanged {
    fn print(&mut self, event: &Event) {
        let mut event = event.clone();
        match &mut event {
            Event::StepBegun { title, .. } | Event::StepUndone { title, .. } => *title = text::exchanged(title),
            Event::StepDone { fact, .. } => *fact = text::exchanged(fact),
            Event::Progress { what, .. } | Event::Warning { what, .. } => *what = text::exchanged(what),
            Event::Waiting { what, why, .. } => {
                *what = text::exchanged(what);
                *why = text::exchanged(why);
            }
            Event::Result(_) => {}
        }
        self.0.print(&event);
    }
    fn flush(&mut self) {
        self.0.flush();
    }
}

/// A handle that steps, engines and client ways tell events to. Cheap to clone.
#[derive(Clone)]
pub struct Teller(Arc<Mutex<Inner>>);

struct Inner {
    printer: Box<dyn Printer>,
    step: Option<String>,
    warnings: Vec<String>,
    last_waiting: Option<String>,
}

struct Silent;
impl Printer for Silent {
    fn print(&mut self, _: &Event) {}
}

impl Teller {
    pub fn new(printer: Box<dyn Printer>) -> Self {
        Teller(Arc::new(Mutex::new(Inner { printer, step: None, warnings: Vec::new(), last_waiting: None })))
    }

    pub fn silent() -> Self {
        Self::new(Box::new(Silent))
    }

    pub fn step_begun(&self, step: &str, title: &str) {
        self.with(|inner| {
            inner.step = Some(step.to_owned());
            inner.last_waiting = None;
            inner.printer.print(&Event::StepBegun { step: step.to_owned(), title: title.to_owned() });
        });
    }

    pub fn step_done(&self, step: &str, fact: &str, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.with(|inner| {
            inner.step = None;
            inner.printer.print(&Event::StepDone { step: step.to_owned(), fact: fact.to_owned(), ms });
        });
    }

    pub fn step_undone(&self, step: &str, title: &str) {
        self.with(|inner| {
            inner.printer.print(&Event::StepUndone { step: step.to_owned(), title: title.to_owned() });
        });
    }

    /// How far a long act is. `rate` is per second.
    pub fn progress(&self, what: &str, done: u64, total: Option<u64>, rate: Option<u64>, unit: Unit) {
        self.with(|inner| {
            let event = Event::Progress { step: inner.step.clone(), what: what.to_owned(), done, total, rate, unit };
            inner.printer.print(&event);
        });
    }

    /// Why we wait; the same reason twice in a row is told once.
    pub fn waiting(&self, what: &str, why: &str) {
        self.with(|inner| {
            if inner.last_waiting.as_deref() == Some(why) {
                return;
            }
            inner.last_waiting = Some(why.to_owned());
            let event = Event::Waiting { step: inner.step.clone(), what: what.to_owned(), why: why.to_owned() };
            inner.printer.print(&event);
        });
    }

    /// Something went wrong that does not stop the run. It is repeated in the result: no error is dropped.
    pub fn warning(&self, what: impl Into<String>) {
        let what = what.into();
        self.with(|inner| {
            inner.warnings.push(what.clone());
            let event = Event::Warning { step: inner.step.clone(), what };
            inner.printer.print(&event);
        });
    }

    pub fn result(&self, result: serde_json::Value) {
        self.with(|inner| inner.printer.print(&Event::Result(Box::new(result))));
    }

    /// Before something else writes to where the printer prints.
    pub fn flush(&self) {
        self.with(|inner| inner.printer.flush());
    }

    pub fn warnings(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.with(|inner| all.clone_from(&inner.warnings));
        all
    }

    fn with(&self, act: impl FnOnce(&mut Inner)) {
        // A printer that panicked must not take the run with it.
        let mut inner = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(&mut inner);
    }
}
