//! Lets the real binary be killed or frozen at a named moment, for scenarios.
//!
//! The moment is set once, by `main`; a build without the feature `crash-points` has nothing to set.

use std::sync::OnceLock;

use rustix::process::{Signal, getpgrp, getpid, kill_process, kill_process_group};

/// The environment variable that `main` reads it from.
pub const VARIABLE: &str = "SWITCHOVER_CRASH_AT";

/// Where in a step's life, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Its beginning is not recorded.
    Before,
    /// Its beginning is recorded, it has not acted.
    Begun,
    /// It has acted, that is not recorded.
    Acted,
    /// That it is done is recorded.
    After,
    /// It is about to be undone.
    Undo,
    /// It was undone, that is not recorded.
    Undone,
}

impl Moment {
    fn name(self) -> &'static str {
        match self {
            Moment::Before => "before",
            Moment::Begun => "begun",
            Moment::Acted => "acted",
            Moment::After => "after",
            Moment::Undo => "undo",
            Moment::Undone => "undone",
        }
    }
}

/// Parsed from `[freeze:]MOMENT:STEP`, as in `after:fence` or `freeze:undo:promote`; `line` is the moment after the
/// point of no return is on disk, `before:line` the one before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    signal: Signal,
    moment: String,
    step: String,
}

static WANTED: OnceLock<Wanted> = OnceLock::new();

/// Sets the moment; only the first call counts. False when it makes no sense or this build has no crash points.
pub fn set(text: &str) -> bool {
    cfg!(feature = "crash-points") && parse(text).is_some_and(|wanted| WANTED.set(wanted).is_ok())
}

fn parse(text: &str) -> Option<Wanted> {
    let (signal, rest) = text.strip_prefix("freeze:").map_or((Signal::KILL, text), |rest| (Signal::STOP, rest));
    let (moment, step) = if rest == "line" { ("after", "line") } else { rest.split_once(':')? };
    let known = ["before", "begun", "acted", "after", "undo", "undone"].contains(&moment) && !step.is_empty();
    known.then(|| Wanted { signal, moment: moment.to_owned(), step: step.to_owned() })
}

/// Dies or freezes here if this is the moment. Steps may name moments between their own acts: `after:fence.door`.
pub fn point(step: &str, moment: Moment) {
    if let Some(wanted) = WANTED.get()
        && wanted.step == step
        && wanted.moment == moment.name()
    {
        strike(wanted.signal);
    }
}

/// A kill takes the whole process group where we lead it, as a terminal or a supervisor would; never anyone else's.
fn strike(signal: Signal) {
    let me = getpid();
    let sent = if getpgrp() == me { kill_process_group(me, signal) } else { kill_process(me, signal) };
    // Nothing else can be done about a signal that cannot be sent; a scenario notices that its fault did not hit.
    let _ = sent;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_scenarios_write_them() {
        let wanted = |signal, moment: &str, step: &str| {
            Some(Wanted { signal, moment: moment.to_owned(), step: step.to_owned() })
        };
        assert_eq!(parse("after:fence"), wanted(Signal::KILL, "after", "fence"));
        assert_eq!(parse("freeze:undo:promote"), wanted(Signal::STOP, "undo", "promote"));
        assert_eq!(parse("line"), wanted(Signal::KILL, "after", "line"));
        assert_eq!([parse("fence"), parse("soon:fence"), parse("after:")], [None, None, None]);
    }
}
