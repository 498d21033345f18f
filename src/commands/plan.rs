//! `plan`: what would happen.

use std::fmt::Write as _;
use std::time::Duration;

use super::draw::{self, Draft, draft};
use super::image;
use super::invocation::Invocation;
use crate::config::quantity::Bytes;
use crate::engine::{Check, Verdict};
use crate::saga::Line;
use crate::switchover::SWITCHOVER;
use crate::tell::{out, text};
use crate::trouble::Trouble;
use crate::wait;

pub(super) async fn plan(typed: &Invocation) -> Result<u8, Trouble> {
    let runtime = typed.runtime().await?;
    let target = typed.target(&*runtime, None).await?;
    let wanted = image::reference(typed, &*runtime, &target).await?;
    let Some(image) = runtime.image(&wanted).await? else {
        return Err(Trouble::refused(format!("the image {wanted} is not here, and a plan pulls nothing"))
            .hint(format!("docker pull {wanted}")));
    };
    let tell = typed.teller(false);
    let draft = draft(typed, &runtime, &target, &image, &tell).await?;
    tell.flush();
    if typed.is_json() {
        let (plan, checks) = (&draft.drawn.plan, &draft.drawn.checks);
        let outcome = if draft.drawn.refusals().next().is_some() { "refused" } else { "planned" };
        tell.result(serde_json::json!({
            "outcome": outcome,
            "plan": plan,
            "checks": checks,
            "facts": draft.survey.facts,
            "forecast": { "seed_ms": draft.survey.seed_ms, "disk_bytes": draft.survey.bytes },
        }));
        tell.flush();
    } else {
        out::data(&overview(&draft, Checks::All));
        out::data(&steps());
    }
    draw::refuse(&draft.drawn)?;
    Ok(0)
}

/// Which prechecks are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Checks {
    All,
    /// Those that passed are counted.
    ThatMatter,
}

/// Who becomes what, how long, and the prechecks.
pub(super) fn overview(draft: &Draft, show: Checks) -> String {
    let (plan, survey) = (&draft.drawn.plan, &draft.survey);
    let (v1, v2) = (&plan.v1, &plan.v2);
    let mut facts = vec![
        (
            "V1",
            format!(
                "{} ({}), {} {}; afterwards called {}",
                v1.container, v1.image, plan.engine, v1.version, v1.final_name
            ),
        ),
        (
            "V2",
            format!(
                "{} ({}), {} {}; afterwards called {}",
                v2.container, v2.image, plan.engine, v2.version, v2.final_name
            ),
        ),
        ("pinned", v2.pinned()),
        ("data", volumes(draft)),
        ("method", format!("{}, seeded by {}", plan.method, plan.seed)),
        ("forecast", forecast(draft)),
    ];
    facts.extend(survey.facts.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let mut said = format!("plan for {}\n{}\n", plan.name, text::block(&facts));
    let shown = |check: &&Check| show == Checks::All || check.verdict != Verdict::Passed;
    for check in draft.drawn.checks.iter().filter(shown) {
        said.push_str(&line(check));
    }
    let passed = draft.drawn.checks.iter().filter(|check| check.verdict == Verdict::Passed).count();
    if show == Checks::ThatMatter {
        let _ = writeln!(said, "  {} {passed} prechecks passed", out::green("ok      "));
    }
    said.push('\n');
    said
}

pub(super) fn line(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Passed => out::green("ok      "),
        Verdict::Noted => out::cyan("note    "),
        Verdict::Accepted => out::yellow("accepted"),
        Verdict::Refused => out::red("REFUSED "),
    };
    let mut said = format!("  {verdict} {:<24} {}\n", check.id, check.found);
    if let (Some(hint), true) = (&check.hint, check.verdict != Verdict::Passed) {
        let _ = writeln!(said, "  {:<33} {} {hint}", "", out::cyan("hint:"));
    }
    said
}

fn volumes(draft: &Draft) -> String {
    let list = draft.drawn.plan.v2_volumes.iter();
    let text: Vec<String> = list.map(|(volume, at)| format!("volume {volume} at {at}")).collect();
    format!("{}, in {}", Bytes(draft.survey.bytes), text.join(", "))
}

fn forecast(draft: &Draft) -> String {
    let mut said = format!("the copy takes about {}", wait::human(Duration::from_millis(draft.survey.seed_ms)));
    if let Some(rate) = draft.survey.write_rate {
        let _ = write!(said, "; V1 writes {}/s meanwhile", Bytes(rate));
    }
    said
}

/// The story, as it is going to be told.
fn steps() -> String {
    let mut said = String::from("steps\n\n");
    for line in SWITCHOVER {
        let _ = match line {
            Line::Step { id, title, .. } => writeln!(said, "  {id:<11} {title}"),
            Line::Resting(name) => writeln!(said, "  {:<11} - may rest here: {name}", ""),
            Line::Window => writeln!(said, "  {:<11} - clients wait from here on", ""),
            Line::PointOfNoReturn => writeln!(said, "  {:<11} ═ point of no return: above it a failure turns back", ""),
        };
    }
    said
}
