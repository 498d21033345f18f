//! `history`: past runs.

use serde_json::Value;

use super::find::{self, Found};
use super::invocation::Invocation;
use super::perform::phase;
use crate::saga::journal::Closed;
use crate::standing::Phase;
use crate::state::Kind;
use crate::tell::{Event, json, out, text};
use crate::trouble::Trouble;

pub(super) async fn history(typed: &Invocation) -> Result<u8, Trouble> {
    let names = if typed.names_v1() { vec![find::name(typed).await?] } else { typed.state.names()? };
    let mut runs = Vec::new();
    for name in &names {
        runs.extend(find::all(typed, name)?);
    }
    if typed.is_json() {
        for found in &runs {
            let event = Event::Result(Box::new(result(found)));
            out::data(&json::line(&event, found.standing.last));
        }
    } else if runs.is_empty() {
        out::note("no run was ever begun here\n");
    } else {
        out::data(&format!("{}\n", table(&runs)));
    }
    Ok(0)
}

/// The journal's own account, with what only the process that ended the run could see.
fn result(found: &Found) -> Value {
    let mut result = found.standing.result(outcome(found));
    let kept = std::fs::read(found.files.result()).ok();
    let kept: Option<Value> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    for key in ["warnings", "clients", "v1", "v2"] {
        if let Some(value) = kept.as_ref().and_then(|kept| kept.get(key)) {
            result[key] = value.clone();
        }
    }
    result
}

fn outcome(found: &Found) -> &'static str {
    match (found.standing.closed, phase(&found.standing)) {
        (Some(Closed::Switched), _) if found.standing.order.kind == Kind::Retire => "retired",
        (Some(Closed::Switched), _) => "switched",
        (Some(Closed::TurnedBack), _) => "turned-back",
        (None, Phase::Resting(_)) if found.standing.came_back.is_some() => "turned-back",
        (None, Phase::Resting(_)) => "ready",
        (None, _) => "stopped",
    }
}

fn table(runs: &[Found]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["began (UTC)", "database", "what", "from", "to", "outcome", "cutover", "run"]);
    for found in runs {
        let standing = &found.standing;
        let plan = &standing.order.plan;
        table.add_row([
            standing.began.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            plan.name.clone(),
            standing.order.kind.name().to_owned(),
            plan.v1.image.clone(),
            plan.v2.image.clone(),
            outcome(found).to_owned(),
            standing.cutover_ms().map_or_else(|| "-".to_owned(), text::ms),
            standing.order.id.clone(),
        ]);
    }
    table
}
