//! What can be typed. The doc comments here are the manual.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Moves a live database to a new container by replication
///
/// Starts V2 as a replica of V1, waits until it has caught up, promotes it, moves the clients, and keeps V1 as the way
/// back. V1 serves until V2 has everything; never are two sides writable; killed at any moment, it can be resumed or
/// turned back, and nothing is lost.
///
/// Exit codes: 0 done, or nothing to do. 1 failed and turned back: V1 serves, nothing is lost. 2 wrong usage or
/// configuration, nothing touched. 3 a precheck refuses, nothing changed. 4 another run of this database is in
/// progress. 5 outside the window, or not ready in time; nothing changed for clients. 6 a person must look: stopped
/// half-way, or the data of V1 and V2 differ. 10 with --check: something to do. 70 a bug of switchover's.
#[derive(Debug, Parser)]
#[command(name = "switchover", version, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub options: Options,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Says what would happen, and touches nothing
    ///
    /// Shows the method, every step with its values, sizes, a forecast of time, and every precheck with its verdict.
    /// Exit code 3 where one refuses.
    Plan,
    /// The whole story: from V1 under load to V2 under load
    ///
    /// Does nothing where the container already runs the wanted image. Goes on with a run that was prepared or
    /// interrupted. Fails before the point of no return: turns back by itself, and V1 serves.
    Run,
    /// Up to `ready`: V2 follows V1 by itself, clients notice nothing
    Prepare,
    /// From `ready` on: fences V1, promotes V2, moves the clients
    Cutover,
    /// Compares V1's and V2's data before the cutover, while V2 follows
    ///
    /// A row that differs is looked at again until V2 being a little behind explains it. Exit code 6 where it does not,
    /// with the table and the row's key; 5 where a table changes too much to be judged. Nothing is touched.
    Verify,
    /// Checks a configuration and everything it names, and touches nothing
    ///
    /// The engine, both images, how to get into V1, every precheck, the window, the directories and programs that are
    /// named: each with a verdict. Exit code 3 where something would keep a run from going well.
    Doctor,
    /// Where every side and every way of the clients stands
    ///
    /// Works while another process runs the switchover. With --check for monitoring: exit code 0 healthy, 1 not, with
    /// the reason.
    Status(Status),
    /// Goes on with an interrupted run, forward or back as its journal says
    Resume,
    /// Turns back all the way: V2 goes, V1 is as it was (above the point of no return only)
    Abort,
    /// Crosses back to the side that served before, while it follows
    Switchback,
    /// Removes V1's container after a switchover (or V2's after a switchback)
    ///
    /// Refuses while that side serves anybody. Its data stays unless --data says otherwise.
    Retire(Retire),
    /// Past runs: steps, times, how long the cutover took
    History,
    /// Proof by trying: a compose topology, clients that write the whole time, faults, and a verdict
    Scenario(crate::scenario::ScenarioArgs),
    /// Prints a completion script for a shell
    Completions(Completions),
    /// Prints this manual as a man page
    Man,
    #[command(hide = true)]
    Guard(Guard),
}

/// Flags of every verb; they may stand before or after it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// V1: the running container, by name or id
    #[arg(long, global = true, value_name = "NAME", help_heading = "What to move")]
    pub container: Option<String>,
    /// Or a compose file (repeatable) and its service: the file will name V2
    #[arg(long, global = true, value_name = "FILE", help_heading = "What to move")]
    pub compose: Vec<PathBuf>,
    /// The service of the compose file that is V1
    #[arg(long, global = true, value_name = "SERVICE", help_heading = "What to move")]
    pub service: Option<String>,
    /// The compose project's name, if not its own
    #[arg(long, global = true, value_name = "NAME", help_heading = "What to move")]
    pub project_name: Option<String>,
    /// The image V2 is made from, by tag, digest or id
    #[arg(long, global = true, value_name = "IMAGE", help_heading = "What to move")]
    pub image: Option<String>,
    /// How V2 gets its first copy: auto; copy, volume (PostgreSQL); dump, backup, volume (MySQL, MariaDB)
    #[arg(long, global = true, value_name = "SEED", help_heading = "What to move")]
    pub seed: Option<String>,
    /// Reads the configuration from a file; flags win over it
    #[arg(short, long, global = true, value_name = "FILE", help_heading = "What to move")]
    pub file: Option<PathBuf>,
    /// A file with the database's password, for where the container's own local access is refused
    #[arg(long, global = true, value_name = "FILE", help_heading = "What to move")]
    pub password_file: Option<PathBuf>,

    /// Asks nothing; needed where nobody can be asked
    #[arg(short, long, global = true, help_heading = "How")]
    pub yes: bool,
    /// Waits at `ready` while this file exists
    #[arg(long, global = true, value_name = "FILE", help_heading = "How")]
    pub hold: Option<PathBuf>,
    /// Only says whether there is something to do: exit code 0 nothing, 10 something
    #[arg(long, global = true, help_heading = "How")]
    pub check: bool,
    /// Changes a limit, as in cutover=20s (repeatable)
    #[arg(long, global = true, value_name = "NAME=VALUE", help_heading = "How")]
    pub limit: Vec<String>,
    /// Accepts a precheck that would refuse, by its id (repeatable)
    #[arg(long, global = true, value_name = "ID", help_heading = "How")]
    pub allow: Vec<String>,

    /// Writes figures for node_exporter's textfile collector at the end
    #[arg(long, global = true, value_name = "FILE", help_heading = "Output")]
    pub metrics_file: Option<PathBuf>,
    /// For people, or one JSON event a line on standard output
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub output: Output,
    /// Also says what happens inside, for developers: error, warn, info, debug, trace
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Output")]
    pub log: Option<String>,

    /// Where journals are kept [default: /var/lib/switchover as root, else ~/.local/state/switchover]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Where")]
    pub state_dir: Option<PathBuf>,
    /// The container engine: unix://…, tcp://… or ssh://…
    #[arg(
        long,
        global = true,
        value_name = "HOST",
        env = "DOCKER_HOST",
        hide_env_values = true,
        help_heading = "Where"
    )]
    pub docker: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Looks again every second, until interrupted
    #[arg(long)]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct Retire {
    /// Removes the data too: its own, separate yes
    #[arg(long)]
    pub data: bool,
}

#[derive(Debug, Args)]
pub struct Completions {
    pub shell: clap_complete::Shell,
}

/// Started by the tool itself.
#[derive(Debug, Args)]
pub struct Guard {
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub run: String,
}

/// The environment, read once and here.
pub struct Environment {
    pub pgpassword: Option<String>,
    /// For scenarios: where the tool shall die or freeze.
    pub crash_at: Option<String>,
    state_home: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
    pub fn read() -> Self {
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            pgpassword: text("PGPASSWORD"),
            crash_at: text(crate::saga::crash::VARIABLE),
            state_home: text("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()),
            home: text("HOME").map(PathBuf::from),
        }
    }

    /// Where journals are kept when nothing else is said.
    pub fn state_dir(&self) -> PathBuf {
        if let Some(dir) = &self.state_home {
            return dir.join("switchover");
        }
        if rustix::process::geteuid().is_root() {
            return PathBuf::from("/var/lib/switchover");
        }
        match &self.home {
            Some(home) => home.join(".local/state/switchover"),
            None => PathBuf::from(".switchover"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_stand_before_or_after_the_verb() {
        let parsed = |words: &str| Cli::try_parse_from(words.split(' ')).unwrap().options;
        for words in ["switchover --container db --yes run", "switchover run --container db --yes"] {
            let options = parsed(words);
            assert_eq!((options.container.as_deref(), options.yes), (Some("db"), true));
        }
        let options = parsed("switchover --limit lag=1MiB run --limit cutover=2s");
        assert_eq!(options.limit.last().map(String::as_str), Some("cutover=2s"));
    }
}
