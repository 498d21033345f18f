//! `retire`: the side no client is on goes, when its owner says so.

use std::rc::Rc;

use jiff::Timestamp;

use super::assemble::{Parts, assemble};
use super::ending;
use super::find::{self, Found};
use super::invocation::Invocation;
use super::run::SOMETHING_TO_DO;
use crate::cli;
use crate::config::Data;
use crate::facts::{Fact, Facts};
use crate::guard::Unguarded;
use crate::retire::{RETIRE, Retirement, check};
use crate::runtime::Runtime;
use crate::saga::journal::Closed;
use crate::saga::{Interrupt, Journal, Outcome, Wish, drive};
use crate::standing::Standing;
use crate::state::{Kind, Order, RunFiles, Until, order_of};
use crate::tell::{Teller, out, text};
use crate::trouble::{Kind as Sort, Trouble};
use crate::wait;

pub(super) async fn retire(typed: &Invocation, args: &cli::Retire) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    let remove_data = args.data || typed.config.retire.data == Data::Remove;
    if typed.options.check {
        return Ok(if is_anything_left(typed, &name, remove_data) { SOMETHING_TO_DO } else { 0 });
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    if let Some(open) = find::open(typed, &name)? {
        if open.standing.order.kind == Kind::Retire {
            return go_on(typed, open.files).await;
        }
        return Err(Trouble::refused(format!("a {} of {name} is under way", open.standing.order.kind.name()))
            .hint(format!("`switchover resume --container {name}` goes on with it, `abort` turns it back")));
    }
    begin(typed, &name, remove_data).await
}

/// What an unattended `run` does first: the side that was kept for `retire.after` goes, by the owner's word in the configuration.
/// `None`: nothing is there, it is kept for longer, or something is wrong with the side that serves. The lock is held.
pub(super) async fn if_soaked(typed: &Invocation, name: &str) -> Result<Option<u8>, Trouble> {
    if !has_soaked(typed, name) {
        return Ok(None);
    }
    match begin(typed, name, typed.config.retire.data == Data::Remove).await {
        // It may be needed yet, and what else the night has to do is no worse for it.
        Err(trouble) if trouble.kind == Sort::Refused => {
            out::note(&text::trouble(&trouble, &[("retire", "what was kept is kept".to_owned())]));
            Ok(None)
        }
        ended => ended.map(Some),
    }
}

/// Asked without a lock by `run --check`, too.
pub(super) fn has_soaked(typed: &Invocation, name: &str) -> bool {
    let remove_data = typed.config.retire.data == Data::Remove;
    let fine = |last: &Found| match last.standing.fact("verify") {
        Some(Fact::Verified { differing, .. }) => differing.is_empty(),
        // Nobody has seen that V2 has all of it, though it was to be looked at.
        _ => !(remove_data && last.standing.order.plan.verify),
    };
    typed.config.retire.after.is_some()
        && is_anything_left(typed, name, remove_data)
        && last(typed, name).is_ok_and(|last| fine(&last) && order(typed, &last, remove_data).is_ok())
}

async fn begin(typed: &Invocation, name: &str, remove_data: bool) -> Result<u8, Trouble> {
    let last = last(typed, name)?;
    let order = order(typed, &last, remove_data)?;
    let files = typed.state.run(name, &order.id);
    let runtime = typed.runtime().await?;
    let tell = typed.teller(order.is_exchanged());
    files.secrets().take_over(&last.files.secrets())?;
    let mut retirement = retirement(typed, &order, &files, runtime, tell, known(&last.standing))?;
    // Before a journal is begun, and again as its first step.
    let found = check(&mut retirement).await.inspect_err(|_| drop(files.secrets().forget_all()))?;
    confirm(typed, &order, &found)?;
    let plan = serde_json::to_value(&order).map_err(|e| Trouble::bug("a plan does not become text").because(e))?;
    let journal = Journal::create(&files.journal(), plan)?;
    perform(typed, name, retirement, journal).await
}

/// An interrupted one.
pub(super) async fn go_on(typed: &Invocation, files: RunFiles) -> Result<u8, Trouble> {
    let journal = Journal::<Fact>::open(&files.journal())?;
    let order = order_of(journal.plan())?;
    let tell = typed.teller(order.is_exchanged());
    let retirement = retirement(typed, &order, &files, typed.runtime().await?, tell, None)?;
    perform(typed, &order.plan.name, retirement, journal).await
}

async fn perform(
    typed: &Invocation,
    name: &str,
    mut retirement: Retirement,
    mut journal: Journal<Fact>,
) -> Result<u8, Trouble> {
    let interrupt = Interrupt::on_signals()?;
    let outcome = drive(RETIRE, &mut retirement, &mut journal, Wish::Switch, &interrupt).await;
    let standing = Standing::of(journal.records())?;
    if outcome_is_good(&outcome) {
        // The way back was the last thing that needed any of them.
        for run in typed.state.runs(name)? {
            run.secrets().forget_all()?;
        }
    }
    let tell = &retirement.tell;
    let (code, word) = match &outcome {
        Outcome::Switched => (0, "retired"),
        Outcome::TurnedBack { because, .. } if because.kind == Sort::Refused => (Sort::Refused.exit_code(), "refused"),
        Outcome::TurnedBack { .. } | Outcome::Rested { .. } => (Sort::Failed.exit_code(), "turned-back"),
        Outcome::Stopped { .. } => (Sort::Person.exit_code(), "stopped"),
    };
    let mut result = standing.result(word);
    result["warnings"] = serde_json::json!(tell.warnings());
    result["exit"] = code.into();
    if let Outcome::TurnedBack { because: trouble, .. } | Outcome::Stopped { trouble, .. } = &outcome {
        result["error"] = ending::error(trouble);
        let facts = [("journal", journal.name().to_owned())];
        out::note(&format!("\n{}", text::trouble(trouble, &facts)));
    }
    typed.tell_result(tell, result);
    if !typed.is_json() && outcome_is_good(&outcome) {
        out::data(&said(&standing));
    }
    Ok(code)
}

fn outcome_is_good(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Switched)
}

fn said(standing: &Standing) -> String {
    let data = standing.fact("data").map(Fact::to_string).unwrap_or_default();
    let headline = "retired: V1's container is removed; there is no way back any more";
    let text = format!("\n{}\n\n  data      {data}\n", out::green(headline));
    standing.order.told(&text)
}

fn retirement(
    typed: &Invocation,
    order: &Order,
    files: &RunFiles,
    runtime: Rc<dyn Runtime>,
    tell: Teller,
    known: Option<Fact>,
) -> Result<Retirement, Trouble> {
    let parts = Parts { runtime, access: typed.access()?, guard: Box::new(Unguarded), tell };
    let run = assemble(order.plan.clone(), files, parts)?;
    Ok(Retirement {
        plan: run.plan,
        facts: Facts::default(),
        v2: run.v2,
        ways: run.ways,
        runtime: run.runtime,
        tell: run.tell,
        remove_data: order.remove_data,
        known,
    })
}

/// The last run that ended as wished: what it left is what is retired.
fn last(typed: &Invocation, name: &str) -> Result<Found, Trouble> {
    let switched = |found: &Found| found.standing.closed == Some(Closed::Switched);
    find::all(typed, name)?
        .into_iter()
        .rev()
        .find(switched)
        .ok_or_else(|| Trouble::refused(format!("no switchover of {name} has happened: there is nothing to retire")))
}

fn order(typed: &Invocation, last: &Found, remove_data: bool) -> Result<Order, Trouble> {
    let standing = &last.standing;
    let order = &standing.order;
    let name = &order.plan.name;
    if order.kind == Kind::Retire && (order.remove_data || !remove_data) {
        return Err(Trouble::refused(format!("the other side of {name} is retired already")));
    }
    if let Some(after) = typed.config.retire.after {
        let age = std::time::Duration::try_from(Timestamp::now().duration_since(standing.last)).unwrap_or_default();
        if age < after.0 {
            let left = wait::human(after.0.saturating_sub(age));
            return Err(Trouble::not_ready(format!("it is kept for {left} more (retire.after)")));
        }
    }
    Ok(Order {
        id: uuid::Uuid::now_v7().to_string(),
        kind: Kind::Retire,
        until: Until::End,
        // A second retirement, for the data, is of the same switch.
        after: if order.kind == Kind::Retire { order.after.clone() } else { Some(order.id.clone()) },
        remove_data,
        plan: order.plan.clone(),
    })
}

fn known(last: &Standing) -> Option<Fact> {
    (last.order.kind == Kind::Retire).then(|| last.fact("check").cloned()).flatten()
}

fn is_anything_left(typed: &Invocation, name: &str, remove_data: bool) -> bool {
    last(typed, name).is_ok_and(|last| {
        let order = &last.standing.order;
        order.kind != Kind::Retire || (remove_data && !order.remove_data)
    })
}

fn confirm(typed: &Invocation, order: &Order, found: &Fact) -> Result<(), Trouble> {
    let container = &order.plan.v1.final_name;
    typed.confirm(&format!("Remove the container {container}? There is no way back afterwards."))?;
    if let (true, Fact::Retiring { volumes, .. }) = (order.remove_data, found) {
        let what = if volumes.is_empty() { "no volume".to_owned() } else { volumes.join(", ") };
        typed.confirm(&format!("Remove its data as well ({what})?"))?;
    }
    Ok(())
}
