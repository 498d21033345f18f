//! The guard: the same binary, detached before `hold`, that finishes what a dead or frozen tool left.
//!
//! It never acts while the tool lives. When the tool is dead, or frozen when the cap is over, or still there long after
//! it, the guard kills it, sees it gone, takes the locks and does what `resume` does: back to the resting point, or
//! forward beyond the line.
//! Tool and guard speak over two pipes: what the tool writes into one that has broken off tells the guard of its end.

mod process;
mod watch;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::trouble::Trouble;
use crate::wait::Deadline;

pub use process::GuardProcess;
pub use watch::{Verdict, Watch};

/// How the story sees the guard.
#[async_trait(?Send)]
pub trait Guard {
    /// It runs, and does nothing yet: inside the window no process is started.
    async fn ensure_started(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
    /// It watches this process. When that is dead, or frozen at the end of `cap`, or has not ended the window long
    /// after it, the guard kills it, sees it gone, takes the journal's lock and goes back or forward as the journal's
    /// line says.
    async fn ensure_armed(&mut self, cap: Deadline) -> Result<(), Trouble>;
    /// The window is over: it has ended, without doing anything.
    async fn ensure_dismissed(&mut self) -> Result<(), Trouble>;
}

/// Of a run that nobody watches: one that begins no window, and the guard's own.
pub struct Unguarded;

#[async_trait(?Send)]
impl Guard for Unguarded {
    async fn ensure_armed(&mut self, _: Deadline) -> Result<(), Trouble> {
        Err(Trouble::bug("this run was not meant to begin a window"))
    }
    async fn ensure_dismissed(&mut self) -> Result<(), Trouble> {
        Ok(())
    }
}

/// What the guard must know and no command line may show: the first line it reads.
#[derive(Serialize, Deserialize)]
pub struct Brief {
    /// The process to watch.
    pub tool: i32,
    /// The limits in force, which flags may have changed since the journal was begun.
    pub limits: Limits,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// The lines that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Arm(Deadline),
    Dismiss,
}

/// What the guard answers.
const STARTED: &str = "started";
const ARMED: &str = "armed";
