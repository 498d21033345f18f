//! Ways of giving V2 its first copy.

pub(super) mod copy;
pub(super) mod volume;

use crate::plan::Plan;

/// How V2 gets its first copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seed {
    /// Through V1's server.
    Copy,
    /// V1's files.
    Volume,
}

const VOLUME: &str = "volume";

impl Seed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Seed::Copy => "copy",
            Seed::Volume => VOLUME,
        }
    }
    pub(super) fn of(plan: &Plan) -> Seed {
        if plan.seed == VOLUME { Seed::Volume } else { Seed::Copy }
    }
}
