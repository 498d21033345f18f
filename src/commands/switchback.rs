//! `switchback`: across once more, to the side that served before.

use super::assemble::engine;
use super::find::{self, Found};
use super::invocation::{Invocation, refuse_outside_window};
use super::perform::Performance;
use super::run::SOMETHING_TO_DO;
use crate::engine::Serving;
use crate::facts::Fact;
use crate::runtime::{Container, Runtime};
use crate::saga::Wish;
use crate::saga::journal::Closed;
use crate::standing::Standing;
use crate::state::{Kind, Order, Until};
use crate::switchback::plan;
use crate::trouble::Trouble;

pub(super) async fn switchback(typed: &Invocation) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    if typed.options.check {
        return Ok(if last_switch(typed, &name).is_ok() { SOMETHING_TO_DO } else { 0 });
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    if let Some(open) = find::open(typed, &name)? {
        return go_on(typed, open).await;
    }
    let undone = last_switch(typed, &name)?;
    ensure_way_back(&undone.standing)?;
    let runtime = typed.runtime().await?;
    let (serving, following) = sides(&*runtime, &undone.standing).await?;
    let last = &undone.standing.order.plan;
    let access = typed.access()?;
    let ask = Serving { container: &serving, access: &access, runtime: &*runtime };
    let before = engine(last)?.exchanged(&last.before, &ask).await?;
    let plan = typed.over(plan(last, &serving, &following, before))?;
    refuse_outside_window(&plan)?;
    typed.confirm(&format!("Move the clients of {name} back to {} now?", following.name))?;
    let order = Order {
        id: uuid::Uuid::now_v7().to_string(),
        kind: Kind::Switchback,
        until: Until::End,
        after: Some(undone.files.run.clone()),
        remove_data: false,
        plan,
    };
    let files = typed.state.run(&name, &order.id);
    files.secrets().take_over(&undone.files.secrets())?;
    let tell = typed.teller(order.is_exchanged());
    Performance::begin(typed, order, runtime, tell)?.perform(typed, Wish::Switch).await
}

async fn go_on(typed: &Invocation, open: Found) -> Result<u8, Trouble> {
    let order = &open.standing.order;
    let name = &order.plan.name;
    if order.kind != Kind::Switchback {
        return Err(Trouble::refused(format!("a {} of {name} is under way", order.kind.name()))
            .hint(format!("`switchover resume --container {name}` goes on with it, `abort` turns it back")));
    }
    typed.confirm(&format!("A switchback of {name} is under way. Go on with it?"))?;
    Performance::go_on(typed, open.files).await?.perform(typed, Wish::Switch).await
}

/// The last run that moved clients, if nothing was retired since.
pub(super) fn last_switch(typed: &Invocation, name: &str) -> Result<Found, Trouble> {
    let switched = |found: &Found| found.standing.closed == Some(Closed::Switched);
    match find::all(typed, name)?.into_iter().rev().find(switched) {
        Some(found) if found.standing.order.kind == Kind::Retire => {
            Err(Trouble::refused(format!("the other side of {name} was retired: there is no way back")))
        }
        Some(found) => Ok(found),
        None => Err(Trouble::refused(format!("no switchover of {name} has happened"))
            .hint(format!("`switchover history --container {name}` shows what has"))),
    }
}

fn ensure_way_back(standing: &Standing) -> Result<(), Trouble> {
    match standing.fact("settle") {
        Some(Fact::Settled { way_back: true, .. }) => Ok(()),
        Some(Fact::Settled { why, .. }) => {
            Err(Trouble::refused(format!("the side that served before does not follow: {why}"))
                .hint("a switchover in the other direction makes it a new copy: `switchover run` with the old image"))
        }
        _ => Err(Trouble::refused("the last run did not say whether there is a way back")),
    }
}

/// The containers of both sides now: the one that serves, and the one that served before.
async fn sides(runtime: &dyn Runtime, undone: &Standing) -> Result<(Container, Container), Trouble> {
    let plan = &undone.order.plan;
    runtime.adopt(&plan.run);
    let of = async |handle: &str| {
        runtime.container(handle).await?.ok_or_else(|| Trouble::refused(format!("the container {handle} is gone")))
    };
    let serving = of(plan.v2.handle()).await?;
    Ok((serving, of(plan.v1.handle()).await?))
}
