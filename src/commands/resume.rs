//! `resume`: on from where a run was interrupted, as far as it was meant to go.

use super::find;
use super::invocation::{Invocation, refuse_outside_window};
use super::perform::Performance;
use super::retire;
use super::run::SOMETHING_TO_DO;
use crate::saga::Wish;
use crate::standing::Standing;
use crate::state::{Kind, Until};
use crate::trouble::Trouble;

pub(super) async fn resume(typed: &Invocation) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    if typed.options.check {
        return Ok(if find::open(typed, &name)?.is_some() { SOMETHING_TO_DO } else { 0 });
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    let found = find::must_be_open(typed, &name)?;
    if found.standing.order.kind == Kind::Retire {
        return retire::go_on(typed, found.files).await;
    }
    let wish = wish(&found.standing);
    if wish == Wish::Switch && !found.standing.in_window() && !found.standing.passed {
        refuse_outside_window(&typed.over(found.standing.order.plan.clone())?)?;
    }
    typed.confirm(&format!("Go on with the run of {name}?"))?;
    Performance::go_on(typed, found.files).await?.perform(typed, wish).await
}

/// A run that was only prepared is not led into the window by a `resume`; one that was in it wanted to be.
pub(super) fn wish(standing: &Standing) -> Wish {
    if standing.order.until == Until::End || standing.attempts > 0 || standing.passed {
        Wish::Switch
    } else {
        Wish::Prepare
    }
}
