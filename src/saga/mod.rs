//! Runs a story, a table of lines, against a journal. It knows no database.
//!
//! A story is read from top to bottom. Each step says what it does and how it is undone; the lines between the steps
//! say how far back a failure goes. [`drive()`] is the only place that decides back or forward, and the journal's
//! [`Line::PointOfNoReturn`] is all it decides from.
//!
//! **The contract of every act and every undo:** it may run again at any time with the same effect, after having been
//! cut off at any instant. An undo may meet half of what its act makes, or nothing. Names of all that is made derive
//! from the plan, never from chance. Acts print nothing and sleep nowhere.

pub mod crash;
mod disk;
mod drive;
mod interrupt;
pub mod journal;
mod past;

use std::pin::Pin;

pub use disk::Disk;
pub use drive::{POINT_OF_NO_RETURN, drive};
pub use interrupt::Interrupt;
pub use journal::{Event, Journal, Record};

use crate::tell::Teller;
use crate::trouble::Trouble;
use crate::wait::Deadline;

/// What a step does. It leaves a fact: what is true now.
pub type Act<X, F> = for<'a> fn(&'a mut X) -> Pin<Box<dyn Future<Output = Result<F, Trouble>> + 'a>>;
pub type UndoAct<X> = for<'a> fn(&'a mut X) -> Pin<Box<dyn Future<Output = Result<(), Trouble>> + 'a>>;

pub enum Undo<X> {
    /// The step leaves nothing that must go.
    Nothing,
    By(UndoAct<X>),
}

/// One line of a story.
pub enum Line<X, F> {
    Step {
        id: &'static str,
        /// The imperative shown while the step runs.
        title: &'static str,
        act: Act<X, F>,
        undo: Undo<X>,
    },
    /// Everything above holds by itself, without the tool: turning back goes no further than the nearest one.
    Resting(&'static str),
    /// From here to the line clients are affected: a run interrupted here goes back to the resting point first, only
    /// the first record is synced, and the context's deadline is kept.
    Window,
    /// Above: a failure turns back. Below: we only go forward.
    PointOfNoReturn,
}

// Derived ones would ask the same of what the steps work on.
impl<X> Copy for Undo<X> {}
impl<X> Clone for Undo<X> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<X, F> Copy for Line<X, F> {}
impl<X, F> Clone for Line<X, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<X, F> Line<X, F> {
    pub const fn step(id: &'static str, title: &'static str, act: Act<X, F>, undo: Undo<X>) -> Self {
        Line::Step { id, title, act, undo }
    }

    pub fn id(&self) -> Option<&'static str> {
        match self {
            Line::Step { id, .. } => Some(id),
            _ => None,
        }
    }
}

/// What the driver asks of the thing its steps work on.
pub trait Context<F> {
    /// A step is done; called for what the journal tells, and for what is new.
    fn done(&mut self, step: &str, fact: &F);
    /// A step was undone: its fact is no longer true.
    fn undone(&mut self, step: &str);
    /// The window is begun for the `n`th time, counted from 1 over the whole journal. Called before the first act of
    /// the window, and for the attempts the journal tells: a fence bears the number of its attempt.
    fn attempt(&mut self, n: u32);
    /// A way back begins, to this resting point or to nothing; called for what the journal tells, too.
    fn retreats(&mut self, to: Option<&str>) {
        let _ = to;
    }
    /// When the window must be over, asked before each of its acts: then the act is dropped and the run turns back.
    fn deadline(&self) -> Option<Deadline> {
        None
    }
    fn tell(&self) -> &Teller;
    /// What is true now, for people: "V1 fenced at 0/3A0001F8".
    fn sentence(fact: &F) -> String;
}

/// What the person or the guard wants of a run. Below the line all but `TurnBack` go forward to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Up to the last resting point above the window.
    Prepare,
    /// The whole story.
    Switch,
    /// All the way back to nothing.
    TurnBack,
    /// The guard's: to the nearest safe place, and stop there.
    Rescue,
}

/// Where a run ended.
#[derive(Debug)]
pub enum Outcome {
    Switched,
    Rested {
        at: &'static str,
    },
    TurnedBack {
        /// The resting point, or `None` where nothing is left.
        to: Option<&'static str>,
        because: Trouble,
    },
    /// Half-way, and nothing more was touched. `resume` goes on from here.
    Stopped {
        /// A step's id, or [`POINT_OF_NO_RETURN`] where it is not known whether the line was written.
        at: String,
        /// Whether nothing may be undone any more. Also true where that is unknown.
        beyond_return: bool,
        trouble: Trouble,
    },
}

/// Where the lines of a story stand that mean something to the driver.
pub(crate) struct Map {
    pub(crate) window: usize,
    pub(crate) line: usize,
}

impl Map {
    pub(crate) fn of<X, F>(story: &[Line<X, F>]) -> Self {
        let line = story.iter().position(|l| matches!(l, Line::PointOfNoReturn)).unwrap_or(story.len());
        let window = story.iter().position(|l| matches!(l, Line::Window)).unwrap_or(line);
        Map { window, line }
    }

    pub(crate) fn in_window(&self, at: usize) -> bool {
        self.window < at && at < self.line
    }
}

/// The nearest resting point above a line of the story.
pub(crate) fn resting_above<X, F>(story: &[Line<X, F>], at: usize) -> Option<(usize, &'static str)> {
    let above = story.iter().enumerate().take(at).rev();
    above.into_iter().find_map(|(i, line)| if let Line::Resting(name) = line { Some((i, *name)) } else { None })
}
