//! `cutover`: from `ready` on.

use super::find;
use super::invocation::{Invocation, refuse_outside_window};
use super::perform::{Performance, phase};
use super::run::SOMETHING_TO_DO;
use crate::saga::Wish;
use crate::standing::Phase;
use crate::trouble::Trouble;

pub(super) async fn cutover(typed: &Invocation) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    if typed.options.check {
        return Ok(if find::open(typed, &name)?.is_some() { SOMETHING_TO_DO } else { 0 });
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    let found = find::must_be_open(typed, &name)?;
    let standing = &found.standing;
    match phase(standing) {
        Phase::Resting(at) if at == "ready" => {}
        _ if standing.passed || standing.attempts > 0 => {}
        phase => {
            return Err(Trouble::not_ready(format!("V2 is not ready: {}", phase.said()))
                .hint(format!("`switchover resume --container {name}` goes on up to there")));
        }
    }
    if !standing.in_window() && !standing.passed {
        refuse_outside_window(&typed.over(standing.order.plan.clone())?)?;
    }
    typed.confirm(&format!("Fence V1 and move the clients of {name} now?"))?;
    Performance::go_on(typed, found.files).await?.perform(typed, Wish::Switch).await
}
