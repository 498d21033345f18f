//! The guard: the same binary, detached before `hold`, that finishes what a dead or frozen tool left.

use async_trait::async_trait;

use crate::trouble::Trouble;
use crate::wait::Deadline;

/// How the story sees the guard.
#[async_trait(?Send)]
pub trait Guard {
    /// It watches this process until `cap`. When this process is dead or the cap is over, it kills it, sees it gone,
    /// takes the journal's lock and goes back or forward as the journal's line says.
    async fn ensure_armed(&mut self, cap: Deadline) -> Result<(), Trouble>;
    /// The window is over: it ends without doing anything.
    async fn ensure_dismissed(&mut self) -> Result<(), Trouble>;
}
