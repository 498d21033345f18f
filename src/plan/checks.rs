//! Prechecks on what the engine need not know: containers, images, names.

use super::{Drawing, Names, Taken};
use crate::config::Config;
use crate::engine::{Check, Verdict};
use crate::runtime::{Container, Image, State};

pub(super) fn check(id: &str, verdict: Verdict, found: impl Into<String>) -> Check {
    Check { id: id.to_owned(), verdict, found: found.into(), hint: None }
}

pub(super) fn refuse(id: &str, found: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { hint: Some(hint.into()), ..check(id, Verdict::Refused, found) }
}

pub(super) fn noted(id: &str, found: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { hint: Some(hint.into()), ..check(id, Verdict::Noted, found) }
}

/// A refusal whose id stands in `allow:` is accepted; an `allow:` that no precheck bears is said.
pub(super) fn accept(checks: &mut Vec<Check>, allow: &[String]) {
    for check in checks.iter_mut() {
        if check.verdict == Verdict::Refused && ALLOWABLE.contains(&check.id.as_str()) && allow.contains(&check.id) {
            check.verdict = Verdict::Accepted;
        }
    }
    let idle: Vec<&str> =
        allow.iter().filter(|id| !checks.iter().any(|check| check.id == **id)).map(String::as_str).collect();
    if !idle.is_empty() {
        let found = format!("no precheck found what is allowed by {}", idle.join(", "));
        checks.push(check("allow", Verdict::Noted, found));
    }
}

/// Which of our own refusals a person may accept; the engine decides about its own.
const ALLOWABLE: [&str; 1] = ["clients-left"];

/// What must hold before the engine can be asked anything.
pub fn before_survey(v1: &Container) -> Vec<Check> {
    let name = &v1.name;
    let state = match &v1.state {
        State::Running => check("running", Verdict::Passed, format!("{name} runs")),
        State::Restarting => refuse(
            "running",
            format!("{name} keeps restarting"),
            format!("`docker logs {name}` says why; V1 must serve before it can be followed"),
        ),
        State::Paused => refuse("running", format!("{name} is paused"), format!("docker unpause {name}")),
        State::Created | State::Exited(_) | State::Dead => refuse(
            "running",
            format!("{name} does not run"),
            format!("docker start {name}; V2 is copied from the running server"),
        ),
    };
    vec![state]
}

pub(super) fn of(from: &Drawing<'_>) -> Vec<Check> {
    let Drawing { names, v1, v2, taken, config, .. } = from;
    let mut checks = before_survey(v1);
    checks.extend(names_free(names, taken, config));
    checks.extend(seed_as_asked(from));
    checks.extend(from.storage.notes.iter().map(|note| check("storage", Verdict::Noted, note.as_str())));
    checks.push(restart_policy(v1));
    checks.extend(removes_itself(v1));
    if config.v1.compose.is_none() {
        checks.extend(of_compose(v1, v2));
    }
    checks
}

/// Whether V2's image can run where V1's does.
pub fn same_architecture(v1: &Image, v2: &Image) -> Check {
    if v1.architecture == v2.architecture {
        return check("architecture", Verdict::Passed, format!("both images are for {}", v1.architecture));
    }
    let found = format!("V1 is for {}, {} for {}", v1.architecture, v2.reference, v2.architecture);
    refuse("architecture", found, format!("take an image for {}", v1.architecture))
}

fn names_free(names: &Names, taken: &[Taken], config: &Config) -> Vec<Check> {
    if taken.is_empty() {
        let found = format!("{}, {} and {} are free", names.v2_container, names.v1_final, names.volume);
        return vec![check("names", Verdict::Passed, found)];
    }
    let remove = |container: &str| {
        format!("if an earlier switchover left it: `switchover retire`; else `docker rename {container} …`")
    };
    taken
        .iter()
        .map(|taken| match taken {
            Taken::V2Container => {
                let found = format!("a container is called {} already", names.v2_container);
                refuse("name-v2", found, remove(&names.v2_container))
            }
            Taken::V1Final => {
                let found = format!("a container is called {} already: V1 would be called so", names.v1_final);
                refuse("name-v1", found, remove(&names.v1_final))
            }
            Taken::Volume => {
                let found = format!("a volume is called {} already", names.volume);
                let hint = match &config.v2.volume {
                    Some(_) => "name another one in v2.volume, or remove it: V2's data must be its own",
                    None => "remove it, or name another one in v2.volume",
                };
                refuse("volume-name", found, hint)
            }
            Taken::Network => {
                let found = format!("a network is called {} already", names.private_network);
                refuse("network-name", found, format!("docker network rm {}", names.private_network))
            }
        })
        .collect()
}

fn seed_as_asked(from: &Drawing<'_>) -> Option<Check> {
    let asked = from.config.seed.as_deref().filter(|seed| *seed != "auto")?;
    let survey = from.survey;
    Some(if asked == survey.seed {
        check("seed", Verdict::Passed, format!("seed {asked}, as configured"))
    } else {
        let found = format!("seed `{asked}` is not possible here: {} seeds by `{}`", survey.method, survey.seed);
        refuse("seed", found, "leave `seed` out, or set it to auto")
    })
}

fn restart_policy(v1: &Container) -> Check {
    let policy = if v1.restart_policy.is_empty() { "no" } else { &v1.restart_policy };
    let found = match policy {
        "no" => "V1 is not restarted by the engine, nor will V2 be".to_owned(),
        other => format!("V1 restarts `{other}`; V2 will too, and V1 no more once it is replaced"),
    };
    check("restart-policy", Verdict::Noted, found)
}

/// The engine would throw V1 away the moment it is stopped.
fn removes_itself(v1: &Container) -> Option<Check> {
    v1.auto_remove.then(|| {
        let hint = "V1 cannot be kept as the way back once it is stopped, only while it follows V2";
        Check { hint: Some(hint.into()), ..check("auto-remove", Verdict::Noted, "V1 was started with --rm") }
    })
}

/// Compose would make V1 anew, on V1's old data, from a file nobody has changed.
fn of_compose(v1: &Container, v2: &Image) -> Option<Check> {
    let label = |name: &str| v1.labels.get(&format!("com.docker.compose.{name}"));
    let (project, service) = (label("project")?, label("service")?);
    let found = format!("V1 is service `{service}` of compose project `{project}`, whose file is not changed");
    let hint = format!(
        "`--compose FILE --service {service}` instead of --container changes the file too; else, before the next `docker compose \
         up`, give the service {} and V2's volume in the file: with the old ones compose would start a server on V1's old data",
        v2.reference
    );
    Some(Check { hint: Some(hint), ..check("compose", Verdict::Noted, found) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_accepted_is_accepted() {
        let mut checks = vec![refuse("name-v2", "taken", "…"), refuse("clients-left", "by port 5432", "…")];
        accept(&mut checks, &["name-v2".into(), "clients-left".into(), "flying".into()]);
        let verdicts: Vec<_> = checks.iter().map(|check| (check.id.as_str(), check.verdict)).collect();
        assert_eq!(
            verdicts,
            [("name-v2", Verdict::Refused), ("clients-left", Verdict::Accepted), ("allow", Verdict::Noted)]
        );
        assert_eq!(checks[2].found, "no precheck found what is allowed by flying");
    }
}
