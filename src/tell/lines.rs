//! Plain lines on standard error, for logs and mails: what begins, why it waits, what is true now.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Event, Printer, out, text};

/// How often a wait or a copy that goes on is mentioned.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Lines {
    mentioned: HashMap<String, Instant>,
}

impl Printer for Lines {
    fn print(&mut self, event: &Event) {
        if self.is_worth_a_line(event, Instant::now())
            && let Some(said) = sentence(event)
        {
            out::note(&format!("{} {said}\n", Timestamp::now().strftime("%H:%M:%SZ")));
        }
    }
}

impl Lines {
    fn is_worth_a_line(&mut self, event: &Event, now: Instant) -> bool {
        let what = match event {
            Event::Progress { step, what, .. } | Event::Waiting { step, what, .. } => (step.clone(), what),
            _ => return true,
        };
        let key = format!("{what:?}");
        let due = self.mentioned.get(&key).is_none_or(|last| now.duration_since(*last) >= EVERY);
        if due {
            self.mentioned.insert(key, now);
        }
        due
    }
}

/// `None`: the ending says it.
fn sentence(event: &Event) -> Option<String> {
    let at = |step: &Option<String>| format!("{:<11}", step.as_deref().unwrap_or_default());
    Some(match event {
        Event::StepBegun { step, title } => format!("{step:<11} {title}"),
        Event::StepDone { step, fact, ms } => format!("{step:<11} done in {}: {fact}", text::ms(*ms)),
        Event::StepUndone { step, .. } => format!("{step:<11} undone"),
        Event::Progress { step, what, done, total, rate, unit } => {
            format!("{} {what} {}", at(step), text::progress(*done, *total, *rate, *unit))
        }
        Event::Waiting { step, what, why } => format!("{} waiting for {what}: {why}", at(step)),
        Event::Warning { step, what } => format!("{} warning: {what}", at(step)),
        Event::Result(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Unit;
    use super::*;

    #[test]
    fn a_line_can_be_read_on_its_own() {
        let said = |event: Event| sentence(&event).unwrap_or_default();
        let begun = Event::StepBegun { step: "fence".into(), title: "Fence V1: no write can reach it".into() };
        assert_eq!(said(begun), "fence       Fence V1: no write can reach it");
        let done = Event::StepDone { step: "fence".into(), fact: "V1 takes no write".into(), ms: 41 };
        assert_eq!(said(done), "fence       done in 41 ms: V1 takes no write");
        let (done, total) = (1 << 30, Some(4 << 30));
        let progress = Event::Progress {
            step: Some("seed".into()),
            what: "copied".into(),
            done,
            total,
            rate: Some(1 << 28),
            unit: Unit::Bytes,
        };
        assert_eq!(said(progress), "seed        copied 1.0 GiB of 4.0 GiB, 25 %, 256 MiB/s, 12 s left");
    }

    #[test]
    fn what_goes_on_is_mentioned_now_and_then() {
        let mut lines = Lines::default();
        let waiting = |why: &str| Event::Waiting { step: None, what: "V2".into(), why: why.into() };
        let now = Instant::now();
        let later = now + EVERY;
        assert!(lines.is_worth_a_line(&waiting("a"), now));
        assert!(!lines.is_worth_a_line(&waiting("b"), now));
        assert!(lines.is_worth_a_line(&waiting("c"), later));
        assert!(lines.is_worth_a_line(&Event::Warning { step: None, what: "x".into() }, now));
    }
}
