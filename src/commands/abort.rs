//! `abort`: all the way back, above the line.

use super::find;
use super::invocation::Invocation;
use super::perform::Performance;
use super::run::SOMETHING_TO_DO;
use crate::saga::Wish;
use crate::state::Kind;
use crate::trouble::Trouble;

pub(super) async fn abort(typed: &Invocation) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    if typed.options.check {
        return Ok(if find::open(typed, &name)?.is_some() { SOMETHING_TO_DO } else { 0 });
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    let found = find::must_be_open(typed, &name)?;
    if found.standing.passed || found.standing.order.kind == Kind::Retire {
        return Err(Trouble::refused("this run is past the point of no return: it only goes forward")
            .hint(format!("`switchover resume --container {name}` finishes it"))
            .hint(format!("afterwards, `switchover switchback --container {name}` crosses back while V1 follows")));
    }
    let what = match found.standing.order.kind {
        Kind::Switchback => format!("Turn the switchback of {name} back?"),
        _ => format!("Turn the run of {name} back? V2 and its copy of the data go."),
    };
    typed.confirm(&what)?;
    Performance::go_on(typed, found.files).await?.perform(typed, Wish::TurnBack).await
}
