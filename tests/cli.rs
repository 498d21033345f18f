//! The command line from outside: exit codes, what wrong usage says, how errors read. Needs no engine.

#![allow(clippy::unwrap_used, reason = "a test fails where its own footing breaks")]

use std::path::Path;
use std::process::{Command, Stdio};

use switchover::state::{State, Who};
use switchover::tell::text;
use switchover::trouble::{Kind, Trouble};

const NO_ENGINE: &str = "unix:///nowhere/docker.sock";

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// One call, with nothing of the tester's own environment and nobody to ask.
fn call(state: &Path, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchover"));
    command.arg("--state-dir").arg(state).args(words).stdin(Stdio::null());
    for name in ["DOCKER_HOST", "PGPASSWORD", "SWITCHOVER_CRASH_AT", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A state directory that knows a database called `a`, of which there was no run.
fn state_with_a() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    drop(State::at(dir.path().to_owned()).lock("a", Who::Tool).unwrap());
    dir
}

#[track_caller]
fn ends(words: &[&str], code: i32, says: &str) {
    let dir = state_with_a();
    let said = call(dir.path(), words);
    assert_eq!(said.code, Some(code), "{words:?}\n{}{}", said.stdout, said.stderr);
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(all.contains(says), "{words:?} does not say `{says}`:\n{all}");
}

#[test]
fn wrong_usage_is_2() {
    ends(&["frobnicate"], 2, "frobnicate");
    ends(&["run"], 2, "which database?");
    ends(&["plan"], 2, "which database?");
    ends(&["run", "--container", "a", "--image", "b"], 2, "--yes says yes to what this command asks");
    ends(&["resume", "--container", "a", "--yes"], 2, "no run of a is under way");
    ends(&["abort", "--container", "a", "--yes"], 2, "no run of a is under way");
    ends(&["status", "--limit", "cutoff=3s"], 2, "unknown field `cutoff`");
    ends(&["status", "--limit", "cutover=3"], 2, "`3` is not a length of time");
    ends(
        &["run", "--container", "b", "--image", "c", "--yes", "--docker", NO_ENGINE],
        2,
        "no container engine listens",
    );
}

#[test]
fn what_kept_a_run_from_being_begun_is_told_to_others() {
    let dir = state_with_a();
    let (config, metrics) = (dir.path().join("a.yml"), dir.path().join("a.prom"));
    let told = dir.path().join("told");
    let text = format!(
        "v1: {{ container: a }}\nv2: {{ image: b }}\nmetrics-file: {}\nhooks: {{ on-failure: [sh, -c, 'cat > \"$1\"', sh, {}] }}\n",
        metrics.display(),
        told.display()
    );
    std::fs::write(&config, text).unwrap();
    let said = call(dir.path(), &["run", "-f", config.to_str().unwrap(), "--yes", "--docker", NO_ENGINE]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(std::fs::read_to_string(metrics).unwrap().contains("switchover_last_exit_code{name=\"a\"} 2\n"));
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(told).unwrap()).unwrap();
    assert_eq!((&told["name"], &told["exit"], &told["outcome"]), (&"a".into(), &2.into(), &"refused".into()));
}

#[test]
fn doctor_names_what_would_keep_a_run_from_going_well() {
    let dir = state_with_a();
    let config = dir.path().join("a.yml");
    let text = "v1: { container: a }\nv2: { image: b }\nmetrics-file: /nowhere/a.prom\nhooks: { on-failure: [/nowhere/page] }\n";
    std::fs::write(&config, text).unwrap();
    let said = call(dir.path(), &["doctor", "-f", config.to_str().unwrap(), "--docker", NO_ENGINE]);
    assert_eq!(said.code, Some(3), "{}{}", said.stdout, said.stderr);
    for refused in ["metrics-file", "hooks.on-failure", "servers"] {
        let line = said.stdout.lines().find(|line| line.contains(refused)).unwrap_or_default();
        assert!(line.contains("REFUSED"), "{refused}: {}", said.stdout);
    }
    assert!(said.stdout.lines().any(|line| line.contains("state-dir") && line.contains("ok")), "{}", said.stdout);
}

#[test]
fn what_refuses_before_anything_is_touched_is_3() {
    ends(&["retire", "--container", "a", "--yes"], 3, "no switchover of a has happened");
    ends(&["switchback", "--container", "a", "--yes"], 3, "no switchover of a has happened");
}

#[test]
fn another_run_in_progress_is_4() {
    let dir = tempfile::tempdir().unwrap();
    let _lock = State::at(dir.path().to_owned()).lock("a", Who::Tool).unwrap();
    let said = call(dir.path(), &["resume", "--container", "a", "--yes"]);
    assert_eq!(said.code, Some(4), "{}", said.stderr);
    assert!(said.stderr.contains("another run of a is in progress"), "{}", said.stderr);
}

#[test]
fn nothing_to_show_is_no_error() {
    ends(&["status"], 0, "no switchover was ever begun here");
    ends(&["history"], 0, "no run was ever begun here");
    ends(&["completions", "bash"], 0, "switchover");
    ends(&["man"], 0, ".TH");
}

#[test]
fn every_verb_has_its_help() {
    let verbs = ["plan", "run", "prepare", "cutover", "status", "resume", "abort", "switchback", "retire", "history"];
    for verb in verbs {
        ends(&[verb, "--help"], 0, &format!("Usage: switchover {verb}"));
    }
}

#[test]
fn a_wrong_configuration_is_told_with_its_line_and_without_its_secrets() {
    let dir = state_with_a();
    let file = dir.path().join("shop.yml");
    let plan = || call(dir.path(), &["plan", "-f", file.to_str().unwrap()]);
    std::fs::write(&file, "v2:\n  imag: x\n").unwrap();
    let said = plan();
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("unknown field `imag`") && said.stderr.contains("line 2"), "{}", said.stderr);
    std::fs::write(&file, "v1: { container: a }\nv2: { image: 'shop:1', within: minor }\n").unwrap();
    let said = plan();
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("v2.within picks the tag, and v2.image says one: shop:1"), "{}", said.stderr);
    std::fs::write(&file, "access:\n  password: hunter2\n").unwrap();
    let said = plan();
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("a literal password is not accepted"), "{}", said.stderr);
    assert!(!said.stderr.contains("hunter2") && !said.stdout.contains("hunter2"));
}

#[test]
fn programs_get_a_result_for_every_ending() {
    let dir = state_with_a();
    let said = call(dir.path(), &["run", "--output", "json", "--yes"]);
    assert_eq!(said.code, Some(2));
    let result: serde_json::Value = serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&result["event"], &result["outcome"], &result["exit"]),
        (&"result".into(), &"refused".into(), &2.into())
    );
}

#[test]
fn every_kind_of_trouble_reads_the_same_way() {
    let kinds = [Kind::Failed, Kind::Usage, Kind::Refused, Kind::Busy, Kind::NotReady, Kind::Person, Kind::Bug];
    for kind in kinds {
        let cause = Trouble::failed("the disk is full").hint("make room");
        let trouble = Trouble::new(kind, "cannot go on").because(cause).hint("then try again");
        let read = text::trouble(&trouble, &[("clients", "on V1".into())]);
        assert_eq!(
            anstream::adapter::strip_str(&read).to_string(),
            "error: cannot go on\n  caused by: the disk is full\n\n  clients   on V1\n\nhint: then try again\n\nhint: make room\n",
            "{kind:?}"
        );
    }
}
