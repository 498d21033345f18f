//! `doctor`: a configuration and everything it names, looked at without touching anything. What `plan` says of V1 and V2, and
//! what else would keep a run at night from going well.

use std::path::Path;

use jiff::Timestamp;

use super::draw::{self, draft};
use super::find;
use super::image;
use super::invocation::Invocation;
use super::night;
use super::plan::line;
use crate::config::Opening;
use crate::engine::{Check, Verdict};
use crate::hooks;
use crate::runtime::Runtime;
use crate::tell::out;
use crate::trouble::{Kind, Trouble};

pub(super) async fn doctor(typed: &Invocation) -> Result<u8, Trouble> {
    let mut checks = vec![directory("state-dir", existing(typed.state.dir()))];
    checks.extend(typed.metrics_file().map(|file| {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        directory("metrics-file", folder.unwrap_or(Path::new(".")))
    }));
    checks.extend(program("hooks.on-failure", &typed.config.hooks.on_failure));
    checks.extend(window(typed)?);
    let looked = servers(typed, &mut checks).await;
    if let Err(trouble) = looked {
        checks.push(refused("servers", &trouble));
    }
    let refusals = checks.iter().filter(|check| check.verdict == Verdict::Refused).count();
    let code = if refusals == 0 { 0 } else { Kind::Refused.exit_code() };
    let outcome = if refusals == 0 { "healthy" } else { "refused" };
    let tell = typed.teller(false);
    tell.result(serde_json::json!({ "outcome": outcome, "exit": code, "checks": checks }));
    tell.flush();
    if !typed.is_json() {
        for check in &checks {
            out::data(&line(check));
        }
        match refusals {
            0 => out::data("\nnothing of this would keep a run from going ahead\n"),
            n => out::note(&format!("\n{n} of these would keep a run from going ahead\n")),
        }
    }
    Ok(code)
}

/// V1, V2's image, and every precheck between them.
async fn servers(typed: &Invocation, checks: &mut Vec<Check>) -> Result<(), Trouble> {
    let name = find::name_of_target(typed).await?;
    let runtime = typed.runtime().await?;
    checks.push(passed("engine", "the container engine answers"));
    if let Some(open) = find::open(typed, &name)? {
        let (standing, kind) = (&open.standing, open.standing.order.kind.name());
        let next = if night::turns_back(typed, standing) { "turns it back first" } else { "goes on with it" };
        checks.push(noted("open-run", format!("a {kind} of {name} is under way: the next run {next}")));
    }
    let target = typed.target(&*runtime, Some(&name)).await?;
    let wanted = image::reference(typed, &*runtime, &target).await?;
    checks.extend(registry(typed, &*runtime, &wanted).await);
    let Some(image) = runtime.image(&wanted).await? else {
        checks.push(noted(
            "image",
            format!("{wanted} is not here: a run would pull it, and what it is cannot be said before"),
        ));
        return Ok(());
    };
    if target.container.image_id == image.id {
        checks
            .push(passed("image", format!("{} runs {wanted} already: there is nothing to do", target.container.name)));
        return Ok(());
    }
    checks.push(passed("image", format!("{wanted} is here, and is not what {} runs", target.container.name)));
    let draft = draft(typed, &runtime, &target, &image, &typed.teller(false)).await.map_err(draw::nothing_changed)?;
    checks.extend(draft.drawn.checks);
    Ok(())
}

/// What a run that pulls would find there. Said of a tag only: an id or digest means the same everywhere.
async fn registry(typed: &Invocation, runtime: &dyn Runtime, wanted: &str) -> Option<Check> {
    let digest = match image::asked_for(typed, runtime, wanted).await {
        Ok(digest) => digest?,
        Err(trouble) => return Some(refused("registry", &trouble)),
    };
    let here = runtime.image(wanted).await.ok().flatten();
    Some(match here.is_some_and(|image| image.is_known_as(&digest)) {
        true => passed("registry", format!("{wanted} is here as the registry has it")),
        false => noted(
            "registry",
            format!("the registry has another image under {wanted} than is here, {digest}: a run pulls it"),
        ),
    })
}

/// It is there and a file can be made in it.
fn directory(id: &str, folder: &Path) -> Check {
    let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    let why = match writable {
        Ok(()) if folder.is_dir() => return passed(id, format!("{} can be written to", folder.display())),
        Ok(()) => format!("{} is no directory", folder.display()),
        Err(error) => format!("{} cannot be written to: {error}", folder.display()),
    };
    refused(id, &Trouble::refused(why).hint("let it be somewhere else, or run as another user"))
}

/// What is there of it. It is made on first use.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder)
}

/// Nothing is said of a program that is not named.
fn program(id: &str, argv: &[String]) -> Option<Check> {
    if argv.is_empty() {
        return None;
    }
    Some(match hooks::why_not(argv) {
        None => passed(id, format!("{} can be called", argv[0])),
        Some(why) => refused(id, &Trouble::refused(why)),
    })
}

fn window(typed: &Invocation) -> Result<Option<Check>, Trouble> {
    let Some(window) = &typed.config.window else { return Ok(None) };
    Ok(Some(match window.at(Timestamp::now())? {
        Opening::Until(end) => passed("window", format!("open until {}", end.strftime("%a %d %b %H:%M %Z"))),
        Opening::At(start) => passed("window", format!("opens {}", start.strftime("%a %d %b %H:%M %Z"))),
        Opening::Never => refused("window", &Trouble::refused("it names no moment any more")),
    }))
}

fn passed(id: &str, found: impl Into<String>) -> Check {
    Check { id: id.to_owned(), verdict: Verdict::Passed, found: found.into(), hint: None }
}

fn noted(id: &str, found: impl Into<String>) -> Check {
    Check { verdict: Verdict::Noted, ..passed(id, found) }
}

fn refused(id: &str, trouble: &Trouble) -> Check {
    Check { verdict: Verdict::Refused, hint: trouble.hints.first().cloned(), ..passed(id, trouble.one_line()) }
}
