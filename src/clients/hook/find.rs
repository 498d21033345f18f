//! The programs that the user named, and where the sides are for them, before a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::facts::{OfSide, Told, address_on};
use super::{Pointing, name_of, pointing};
use crate::clients::Around;
use crate::config;
use crate::config::quantity::Span;
use crate::engine::{Check, Side, Verdict};
use crate::hooks::{self, Question};
use crate::plan::{Hook, HookAct, Proxy, Route, WayPlan};
use crate::runtime::LABEL_RUN;
use crate::trouble::Trouble;
use crate::wait::Limit;

const ID: &str = "hook";
const WITHIN: Span = Span(Duration::from_secs(5));

/// Asks the program that knows whether it points at V1.
pub(in crate::clients) async fn find(said: &config::Hook, around: &Around<'_>) -> Proxy {
    match look(said, around).await {
        // Where what it tells stands is known to its owner alone.
        Ok((hook, check)) => Proxy { way: Some(WayPlan::Hook(hook)), checks: vec![check], ..Proxy::default() },
        Err(trouble) => {
            let (found, hint) = (trouble.one_line(), trouble.hints.first().cloned());
            let checks = vec![Check { id: ID.into(), verdict: Verdict::Refused, found, hint }];
            Proxy { checks, ..Proxy::default() }
        }
    }
}

async fn look(said: &config::Hook, around: &Around<'_>) -> Result<(Hook, Check), Trouble> {
    let directory = std::env::current_dir()
        .map_err(|error| Trouble::refused("the directory that this runs in cannot be told").because(error))?;
    let network = network(said, around).await?;
    let hook = Hook {
        programs: programs(said, &directory)?,
        directory,
        within: said.within.unwrap_or(WITHIN),
        route: Route::Network(network.clone()),
        takes_all: said.network.is_none(),
    };
    refuse_unless_at_v1(&hook, &told(around, &network)).await?;
    let clients = match hook.programs.contains_key(&HookAct::Hold) {
        true => "clients wait during the window",
        false => "no program lets clients wait: who comes in the window is refused by V1",
    };
    let found = format!("{} says that it points at V1, as it is on network {network}; {clients}", name_of(&hook));
    Ok((hook, Check { id: ID.into(), verdict: Verdict::Passed, found, hint: None }))
}

/// Those that are named, each of which can be called from anywhere.
fn programs(said: &config::Hook, directory: &Path) -> Result<BTreeMap<HookAct, Vec<String>>, Trouble> {
    let named = [
        (HookAct::Check, &said.check),
        (HookAct::Hold, &said.hold),
        (HookAct::Move, &said.r#move),
        (HookAct::Release, &said.release),
        (HookAct::Undo, &said.undo),
    ];
    let mut programs = BTreeMap::new();
    for (act, argv) in named {
        let is_needed = matches!(act, HookAct::Check | HookAct::Move);
        if argv.is_empty() && !is_needed {
            continue;
        }
        let argv = absolute(argv, directory);
        if let Some(why) = hooks::why_not(&argv) {
            return Err(Trouble::refused(format!("`{}` of the hook cannot be called: {why}", act.name()))
                .hint("a program and its arguments, as in `check: [/etc/switchover/lb, check]`"));
        }
        programs.insert(act, argv);
    }
    if programs.contains_key(&HookAct::Hold) && !programs.contains_key(&HookAct::Release) {
        return Err(Trouble::refused("the hook has `hold` and no `release`: nobody would let clients go")
            .hint("name a `release`, which is also called when a run turns back"));
    }
    Ok(programs)
}

/// The guard and `resume` run elsewhere. A name without a slash is looked for as shells do.
fn absolute(argv: &[String], directory: &Path) -> Vec<String> {
    let mut argv = argv.to_vec();
    if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
        *program = whole(directory, program).display().to_string();
    }
    argv
}

/// Without a `./` in the middle, for people.
fn whole(directory: &Path, program: &str) -> PathBuf {
    directory.join(program.trim_start_matches("./"))
}

/// The one over which the sides are reached.
async fn network(said: &config::Hook, around: &Around<'_>) -> Result<String, Trouble> {
    let mut theirs = Vec::new();
    for on in &around.v1.networks {
        let found = around.runtime.network(&on.network).await?;
        // Left by an earlier run, for the way back: nothing of the clients' is there.
        if found.is_some_and(|network| !network.labels.contains_key(LABEL_RUN)) {
            theirs.push(on.network.as_str());
        }
    }
    match (&said.network, &theirs[..]) {
        (Some(name), _) if theirs.contains(&name.as_str()) => Ok(name.clone()),
        (Some(name), _) => Err(Trouble::refused(format!("V1 is not on the network {name} that the hook names"))
            .hint(format!("V1 is on: {}", theirs.join(", ")))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => Err(Trouble::refused("V1 is on no network over which a hook could lead clients to it")),
        (None, several) => Err(Trouble::refused("V1 is on several networks: over which one does the hook lead to it?")
            .hint(format!("name it as `network:` of the hook; there are: {}", several.join(", ")))),
    }
}

fn told(around: &Around<'_>, network: &str) -> Told {
    let Around { v1, names, survey, port, .. } = around;
    let of = |container: &str, version: &str, address| OfSide {
        container: container.to_owned(),
        version: version.to_owned(),
        port: *port,
        address,
    };
    let v1 = of(&v1.name, &survey.v1_version, address_on(v1, network));
    let v2 = of(&names.v2_container, &survey.v2_version, None);
    Told::of_names(names, &survey.engine, network, v1, v2)
}

async fn refuse_unless_at_v1(hook: &Hook, told: &Told) -> Result<(), Trouble> {
    let facts = told.facts(HookAct::Check, None);
    let argv = hook.programs.get(&HookAct::Check).map(Vec::as_slice).unwrap_or_default();
    let limit = Limit { name: "within", value: hook.within.0 };
    let answer = hooks::ask(&Question { argv, directory: &hook.directory, facts: &facts, limit }).await?;
    match pointing(&answer) {
        Pointing::At(Side::V1) => Ok(()),
        other => Err(other.refusal(&name_of(hook), &answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(check: &[&str], hold: &[&str], release: &[&str]) -> config::Hook {
        let argv = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        config::Hook {
            check: argv(check),
            hold: argv(hold),
            r#move: argv(&["true"]),
            release: argv(release),
            undo: vec![],
            within: None,
            network: None,
        }
    }

    #[test]
    fn programs_can_be_called_from_anywhere() {
        let bin = Path::new("/bin");
        let found = programs(&said(&["./sh", "./lb", "check"], &[], &[]), bin).unwrap();
        assert_eq!(found[&HookAct::Check], ["/bin/sh", "./lb", "check"]);
        assert_eq!(found[&HookAct::Move], ["true"]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn what_could_not_be_called_or_would_leave_clients_waiting_is_refused() {
        let why = |said: config::Hook| programs(&said, Path::new("/bin")).unwrap_err().one_line();
        assert!(why(said(&["./nowhere-at-all"], &[], &[])).contains("`check` of the hook cannot be called"));
        assert!(why(said(&[], &[], &[])).contains("it names no program"));
        assert!(why(said(&["true"], &["true"], &[])).contains("no `release`"));
        assert!(programs(&said(&["true"], &["true"], &["true"]), Path::new("/bin")).is_ok());
    }
}
