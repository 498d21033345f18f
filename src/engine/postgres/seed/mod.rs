//! Ways of giving V2 its first copy.

pub(super) mod copy;
