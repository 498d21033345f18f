//! `prepare`: up to `ready`.

use super::invocation::Invocation;
use super::run::begin_or_go_on;
use crate::state::Until;
use crate::trouble::Trouble;

pub(super) async fn prepare(typed: &Invocation) -> Result<u8, Trouble> {
    begin_or_go_on(typed, Until::Ready).await
}
