//! `guard`, hidden: started by the tool, finishes what a dead or frozen tool left.

use std::rc::Rc;

use super::assemble::{Parts, assemble};
use super::ending::Ending;
use super::invocation::Invocation;
use super::look::look;
use super::perform::story;
use crate::cli;
use crate::engine::Access;
use crate::facts::Fact;
use crate::guard::{Unguarded, Verdict, Watch};
use crate::saga::{Interrupt, Journal, Wish, drive};
use crate::standing::Standing;
use crate::state::{RunFiles, Who, order_of};
use crate::tell::{Exchanged, Lines, Printer, Teller, out};
use crate::trouble::Trouble;

pub(super) async fn guard(typed: &Invocation, args: &cli::Guard) -> Result<u8, Trouble> {
    let files = typed.state.run(&args.name, &args.run);
    let watch = Watch::begin().await?;
    let (limits, access) = (watch.brief.limits.clone(), access(&watch));
    // Only to give a tool that lives more time: what is done is decided from the journal once it is ours.
    let passed = || {
        let standing = files.read().and_then(|records| Standing::of(&records));
        standing.is_ok_and(|standing| standing.passed)
    };
    if watch.end(passed).await? == Verdict::Dismissed {
        return Ok(0);
    }
    out::note(&format!("{} the tool is gone in the middle of the window: my turn\n", jiff::Timestamp::now()));
    let _lock = typed.state.lock(&args.name, Who::Guard)?;
    finish(typed, &files, limits, access).await
}

fn access(watch: &Watch) -> Access {
    let password = watch.brief.password.clone().map(secrecy::SecretString::from);
    Access { user: watch.brief.user.clone(), password }
}

async fn finish(
    typed: &Invocation,
    files: &RunFiles,
    limits: crate::config::Limits,
    access: Access,
) -> Result<u8, Trouble> {
    let mut journal = Journal::<Fact>::open(&files.journal())?;
    let order = order_of(journal.plan())?;
    let lines: Box<dyn Printer> = Box::new(Lines::default());
    let exchanged = order.is_exchanged();
    let tell = Teller::new(if exchanged { Box::new(Exchanged(lines)) } else { lines });
    let mut plan = order.plan.clone();
    plan.limits = limits;
    let parts = Parts { runtime: typed.runtime().await?, access, guard: Box::new(Unguarded), tell };
    let mut run = assemble(plan, files, Parts { runtime: Rc::clone(&parts.runtime), ..parts })?;
    let outcome = drive(story(order.kind), &mut run, &mut journal, Wish::Rescue, &Interrupt::default()).await;
    let standing = Standing::of(journal.records())?;
    let scene = look(&run, exchanged).await;
    let journal = files.journal().display().to_string();
    let ending = Ending { outcome: &outcome, wanted_back: true, standing: &standing, scene: &scene, journal };
    out::note(&format!("\n{}", ending.text()));
    Ok(ending.exit_code())
}
