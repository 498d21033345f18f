//! Each folder of `scenarios/` is a test of the built binary, under its own name.
//!
//! `SWITCHOVER_TIER=all` runs all of them, else those of tier 1; `SWITCHOVER_BIN` names another binary than this
//! build's; `SWITCHOVER_PATIENCE=3` makes every limit three times as long, for a busy machine. One after the other unless `--test-threads` says more: they
//! measure times.
#![allow(
    clippy::pedantic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it sees"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the verdicts are for people")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use switchover::scenario::{Listed, listed};

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(1));
    let scenarios = match listed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")) {
        Ok(scenarios) => scenarios,
        Err(trouble) => {
            eprintln!("error: {}", trouble.one_line());
            return std::process::ExitCode::from(2);
        }
    };
    let binary = variable("SWITCHOVER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_switchover").into(), PathBuf::from);
    let all = variable("SWITCHOVER_TIER").is_some_and(|tier| tier == "all");
    let trials = scenarios.into_iter().map(|scenario| trial(scenario, binary.clone(), all)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(Listed { name, dir, tier, .. }: Listed, binary: PathBuf, all: bool) -> Trial {
    Trial::test(name, move || play(&binary, &dir)).with_kind(format!("tier {tier}")).with_ignored_flag(tier > 1 && !all)
}

fn play(binary: &Path, dir: &Path) -> Result<(), Failed> {
    let records = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scenarios");
    std::fs::create_dir_all(&records)?;
    let mut command = Command::new(binary);
    command.args(["scenario", "run"]).arg(dir).arg("--binary").arg(binary).arg("--artefacts").arg(records);
    command.args(["--patience", &variable("SWITCHOVER_PATIENCE").unwrap_or_else(|| "1".into())]);
    let output = command.stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        // The figures are of interest, too.
        println!("{told}");
        return Ok(());
    }
    Err(Failed::from(format!("{}\n{told}", output.status)))
}

#[expect(clippy::disallowed_methods, reason = "a test has no command line of its own")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
