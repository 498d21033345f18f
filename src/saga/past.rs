//! Where a run stands: a fold over its journal, for records found there as for new ones.

use super::journal::{Closed, Event, Then};
use super::{Context, Line, Map, resting_above};
use crate::trouble::Trouble;

/// Indexed as the story is.
pub(super) struct Past {
    map: Map,
    begun: Vec<bool>,
    done: Vec<bool>,
    attempts: u32,
    pub(super) passed: bool,
    pub(super) retreating: Option<Retreat>,
    pub(super) closed: Option<Closed>,
}

/// A way back that has begun.
#[derive(Clone)]
pub(super) struct Retreat {
    /// The line of the story it ends at, and that resting point's name.
    pub(super) to: Option<(usize, &'static str)>,
    pub(super) because: String,
    pub(super) then: Then,
}

impl Past {
    pub(super) fn nothing<X, F>(story: &[Line<X, F>]) -> Self {
        let none = vec![false; story.len()];
        Past {
            map: Map::of(story),
            begun: none.clone(),
            done: none,
            attempts: 0,
            passed: false,
            retreating: None,
            closed: None,
        }
    }

    /// Takes in one event, and tells the context what it means. A name the story does not have was written by another
    /// version: nothing may be done with such a run.
    pub(super) fn take<X, F>(&mut self, story: &[Line<X, F>], event: &Event<F>, x: &mut X) -> Result<(), Trouble>
    where
        X: Context<F>,
    {
        match event {
            Event::Begun { step } => {
                let at = find(story, step)?;
                (self.begun[at], self.done[at]) = (true, false);
                if self.begins_window(at) {
                    self.attempts += 1;
                    x.attempt(self.attempts);
                }
            }
            Event::Done { step, fact } => {
                self.done[find(story, step)?] = true;
                x.done(step, fact);
            }
            Event::Undone { step } => {
                let at = find(story, step)?;
                (self.begun[at], self.done[at]) = (false, false);
                x.undone(step);
            }
            Event::Retreating { to, because, then } => {
                x.retreats(to.as_deref());
                let to = to.as_ref().map(|name| find_resting(story, name)).transpose()?;
                self.retreating = Some(Retreat { to, because: because.clone(), then: *then });
            }
            Event::Retreated { .. } => self.retreating = None,
            Event::PassedPointOfNoReturn => self.passed = true,
            Event::Closed { outcome } => self.closed = Some(*outcome),
            Event::Opened { .. } | Event::Failed { .. } | Event::Stopped { .. } => {}
        }
        Ok(())
    }

    /// Inside the window only the first record is synced: after a loss of power the journal may lack those of steps
    /// that have acted. So once a window found in the journal is begun, every step of it counts as begun.
    pub(super) fn distrust_window(&mut self) {
        if self.is_window_begun() && !self.passed {
            self.begun[self.map.window + 1..self.map.line].fill(true);
        }
    }

    pub(super) fn in_window(&self, at: usize) -> bool {
        self.map.in_window(at)
    }

    pub(super) fn above_line(&self, at: usize) -> bool {
        at < self.map.line
    }

    /// Whether this is the step whose record makes an attempt.
    pub(super) fn begins_window(&self, at: usize) -> bool {
        self.map.in_window(at) && at == self.map.window + 1
    }

    pub(super) fn is_done(&self, at: usize) -> bool {
        self.done[at]
    }

    /// Whether an attempt at the window stands open.
    pub(super) fn is_window_begun(&self) -> bool {
        self.begun.get(self.map.window + 1).is_some_and(|begun| *begun && self.map.window < self.map.line)
    }

    /// Steps begun below a line of the story and above the point of no return, last first.
    pub(super) fn begun_beyond(&self, to: Option<(usize, &'static str)>) -> Vec<usize> {
        let from = to.map_or(0, |(at, _)| at + 1);
        (from..self.map.line).rev().filter(|at| self.begun[*at]).collect()
    }

    /// The resting point on this side of which everything is done.
    pub(super) fn reached<X, F>(&self, story: &[Line<X, F>]) -> Option<(usize, &'static str)> {
        let next = story.iter().enumerate().position(|(at, line)| line.id().is_some() && !self.done[at]);
        resting_above(story, next.unwrap_or(story.len()).min(self.map.line))
    }

    /// The last resting point above the window: where `Prepare` ends.
    pub(super) fn threshold<X, F>(&self, story: &[Line<X, F>]) -> Option<(usize, &'static str)> {
        resting_above(story, self.map.window)
    }
}

fn find<X, F>(story: &[Line<X, F>], step: &str) -> Result<usize, Trouble> {
    story.iter().position(|line| line.id() == Some(step)).ok_or_else(|| foreign("step", step))
}

fn find_resting<X, F>(story: &[Line<X, F>], name: &str) -> Result<(usize, &'static str), Trouble> {
    let found = story.iter().enumerate().find_map(|(at, line)| match line {
        Line::Resting(here) if *here == name => Some((at, *here)),
        _ => None,
    });
    found.ok_or_else(|| foreign("resting point", name))
}

fn foreign(what: &str, name: &str) -> Trouble {
    Trouble::person(format!("the journal names a {what} `{name}` that this version does not know; nothing was touched"))
        .hint("use the version of switchover that began this run")
}
