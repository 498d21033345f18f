//! `verify`: compares V1 and V2 before the cutover, while V2 follows. Touches nothing.

use super::assemble::{self, Parts, assemble};
use super::find;
use super::invocation::Invocation;
use super::perform::{end_helpers, phase};
use crate::config::Verify;
use crate::facts::Fact;
use crate::standing::Phase;
use crate::tell::out;
use crate::trouble::{Kind, Trouble};
use crate::verify::{Compared, while_following};
use crate::wait::Limit;

pub(super) async fn verify(typed: &Invocation) -> Result<u8, Trouble> {
    let name = find::name(typed).await?;
    let _lock = typed.lock(&name).await?;
    let found = find::must_be_open(typed, &name)?;
    let standing = &found.standing;
    if !matches!(phase(standing), Phase::Resting(_)) || standing.passed || standing.in_window() {
        return Err(Trouble::not_ready(format!("V2 does not follow V1 in rest: {}", phase(standing).said()))
            .hint(format!("`switchover prepare` or `resume --container {name}` goes up to there")));
    }
    let plan = typed.over(standing.order.plan.clone())?;
    let (tell, access) = (typed.teller(standing.order.is_exchanged()), typed.access()?);
    let guard = Box::new(assemble::guard(typed, &plan, &found.files, &access));
    let parts = Parts { runtime: typed.runtime().await?, access, guard, tell: tell.clone() };
    let limit = Limit { name: "limits.catch-up", value: plan.limits.catch_up.0 };
    let mut run = assemble(plan, &found.files, parts)?;
    let whole = run.plan.verify_whole || typed.config.verify == Verify::Full;
    let compared = while_following(&*run.v1, &*run.v2, whole, limit, &tell).await;
    end_helpers(&mut run).await;
    end(typed, &name, &compared?)
}

/// Equal is only what was judged.
fn end(typed: &Invocation, name: &str, compared: &Compared) -> Result<u8, Trouble> {
    let Compared { fact, undecided } = compared;
    let Fact::Verified { tables, rows, differing, sampled } = fact else {
        return Err(Trouble::bug("a comparison without a result"));
    };
    let (outcome, code) = match (differing.is_empty(), undecided.is_empty()) {
        (false, _) => ("differs", Kind::Person.exit_code()),
        (true, false) => ("undecided", Kind::NotReady.exit_code()),
        (true, true) => ("equal", 0),
    };
    let tell = typed.teller(false);
    tell.result(serde_json::json!({
        "name": name, "outcome": outcome, "exit": code, "tables": tables, "rows": rows,
        "differing": differing, "undecided": undecided, "sampled": sampled,
    }));
    tell.flush();
    let mut said = match outcome {
        // The fact calls equal what does not differ.
        "undecided" => format!("{tables} tables, {rows} rows: no difference was found\n"),
        _ => format!("{fact}\n"),
    };
    if !undecided.is_empty() {
        said.push_str(&format!("not judged: {}; compare when V1 writes less\n", undecided.join(", ")));
    }
    match (typed.is_json(), code) {
        (true, 0) => {}
        (false, 0) => out::data(&said),
        _ => out::note(&format!("{said}Nothing was touched: the side that serves goes on serving\n")),
    }
    Ok(code)
}
