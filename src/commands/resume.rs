//! `resume`: on from where a run was interrupted, as far as it was meant to go.

use super::find;
use super::invocation::{Invocation, refuse_outside_window};
use super::perform::Performance;
use super::retire;
use super::run::SOMETHING_TO_DO;
use crate::saga::Wish;
use crate::saga::journal::Closed;
use crate::standing::Standing;
use crate::state::{Kind, Until};
use crate::tell::out;
use crate::trouble::Trouble;

pub(super) async fn resume(typed: &Invocation) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    if typed.options.check {
        return Ok(if find::open(typed, &name)?.is_some() { SOMETHING_TO_DO } else { 0 });
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    let Some(found) = find::open(typed, &name)? else { return ended_already(typed, &name) };
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

/// The guard may have gone on beyond the line and ended the run while the person was typing: then there is nothing to do.
fn ended_already(typed: &Invocation, name: &str) -> Result<u8, Trouble> {
    let newest = find::all(typed, name)?.into_iter().next_back();
    if newest.is_some_and(|run| run.standing.closed == Some(Closed::Switched)) {
        let tell = typed.teller(false);
        typed.tell_result(&tell, serde_json::json!({ "name": name, "outcome": "nothing-to-do", "exit": 0 }));
        if !typed.is_json() {
            out::data(&format!("nothing to do: the last run of {name} has reached its end\n"));
        }
        return Ok(0);
    }
    find::must_be_open(typed, name).map(|_| 0)
}

/// A run that was only prepared is not led into the window by a `resume`; one that was in it wanted to be.
pub(super) fn wish(standing: &Standing) -> Wish {
    if standing.order.until == Until::End || standing.attempts > 0 || standing.passed {
        Wish::Switch
    } else {
        Wish::Prepare
    }
}
