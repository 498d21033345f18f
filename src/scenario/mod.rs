//! Proof by trying: a compose topology, clients that write the whole time, faults, and a verdict.
//!
//! This module is a black box around the built binary: it calls `switchover`, `docker` and `docker compose`, and
//! speaks SQL. It must not use the story, the journal, an engine or the runtime of this crate, or it would prove
//! nothing. Start reading at `file.rs` for what a scenario may say, at `verdict.rs` for what is judged.

mod clients;
mod command;
mod database;
mod expect;
mod faults;
mod file;
mod history;
mod play;
mod record;
mod report;
mod run;
mod stage;
mod steps;
mod tool;
mod units;
pub mod v1_state;
mod verdict;
mod workload;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use self::file::Scenario;
use self::report::say;
use crate::trouble::Trouble;

/// Runs a compose topology, clients and faults, and says what the clients saw.
#[derive(Debug, Args)]
pub struct ScenarioArgs {
    #[command(subcommand)]
    verb: ScenarioVerb,
}

#[derive(Debug, Subcommand)]
enum ScenarioVerb {
    /// Plays the scenario in a directory (scenario.yaml and a compose file) and judges it
    Run(RunArgs),
    /// Lists the scenarios below a directory
    List(ListArgs),
    /// The clients of a scenario: started by `scenario run` where they can reach the database
    #[command(hide = true)]
    Workload(workload::WorkloadArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The scenario's directory
    dir: PathBuf,
    /// Leaves containers, networks, volumes and records where they are
    #[arg(long)]
    keep: bool,
    /// The switchover to try; this program itself, if not given
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// A value for `${NAME}` in the scenario and its compose file; goes before the environment's
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    /// On a slow or busy machine: all limits of the scenario's expectations are so many times longer
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    patience: u32,
    /// Where the records of a failed scenario are put
    #[arg(long, value_name = "DIR")]
    artefacts: Option<PathBuf>,
    /// Writes the verdict and the times of all steps and events to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Where the scenarios are
    #[arg(default_value = "scenarios")]
    dir: PathBuf,
}

/// `switchover scenario …`: 0 when all went as it should, 1 when not. A wrong file is [`Trouble`], exit code 2.
pub async fn run_command(args: ScenarioArgs) -> Result<u8, Trouble> {
    match args.verb {
        ScenarioVerb::Run(args) => run::run(args).await,
        ScenarioVerb::List(args) => list(&args.dir),
        ScenarioVerb::Workload(args) => workload::run(args).await.map(|()| 0),
    }
}

/// A scenario in a directory of scenarios.
pub struct Listed {
    pub name: String,
    pub dir: PathBuf,
    pub tier: u8,
    pub about: String,
}

/// The scenarios below a directory, by name.
pub fn listed(dir: &Path) -> Result<Vec<Listed>, Trouble> {
    let entries = std::fs::read_dir(dir)
        .map_err(|error| Trouble::usage(format!("cannot read {}", dir.display())).because(error))?;
    let mut listed = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.path().join("scenario.yaml").is_file()) {
        let dir = entry.path();
        let Scenario { tier, about, .. } = Scenario::read(&dir)?;
        listed.push(Listed { name: entry.file_name().to_string_lossy().into_owned(), dir, tier, about });
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

fn list(dir: &Path) -> Result<u8, Trouble> {
    for scenario in listed(dir)? {
        say(&format!("{:<36} tier {}  {}", scenario.name, scenario.tier, scenario.about));
    }
    Ok(0)
}
