//! The configuration: what the user said, by file or flag. No I/O beyond reading files.
//!
//! Every key is optional but `v1.container` and `v2.image`, which flags can give too; flags win. A key nobody knows
//! is an error with its line, since a limit that is misspelt would silently mean its default.

mod clients;
mod limits;
pub mod quantity;
pub mod secret;
mod window;
mod yaml;

use std::path::PathBuf;
use std::time::Duration;

pub use clients::{Clients, Haproxy, Hook, NetworkAlias, Pgbouncer, PublishedPort, Way};
pub use limits::{Limits, SaidLimits};
pub use window::{Opening, Window};
pub use yaml::read;

use quantity::Span;
use secret::Variable;

/// `switchover.yml`.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    pub v1: V1,
    pub v2: V2,
    /// How V2 gets its first copy: `auto`, or the name of a seed, which is refused where it is not possible.
    pub seed: Option<String>,
    pub clients: Clients,
    pub limits: SaidLimits,
    pub window: Option<Window>,
    /// Ids of prechecks that may refuse and are accepted.
    pub allow: Vec<String>,
    pub verify: Verify,
    pub retire: Retire,
    pub on_failure: OnFailure,
    pub retry: Retry,
    pub unfinished: Unfinished,
    /// Figures for node_exporter's textfile collector, replaced at the end of every run.
    pub metrics_file: Option<PathBuf>,
    pub hooks: Hooks,
    pub access: Access,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct V1 {
    /// The running container, by name or id.
    pub container: Option<String>,
    /// Or the compose service that it is, whose file is kept true.
    pub compose: Option<Compose>,
}

/// A service of a compose project, as `docker compose` is told of it.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compose {
    /// In their order; the later one wins.
    pub file: Vec<PathBuf>,
    pub service: String,
    pub project_name: Option<String>,
    /// Without it that of the first file.
    pub project_directory: Option<PathBuf>,
    pub profile: Vec<String>,
    pub env_file: Vec<PathBuf>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct V2 {
    pub image: Option<String>,
    /// The name of V2's volume; made if it is not there.
    pub volume: Option<String>,
    pub pull: Pull,
    /// `image` is a name without a tag: the highest version within this bound is picked among its tags.
    pub within: Option<Within>,
}

/// How far V2's version may be from V1's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// Of V1's series.
    Minor,
    /// Any that is not older.
    Major,
}

/// When the registry is asked for V2's image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// Where the engine has none under that reference.
    #[default]
    Missing,
    /// At every run, so that a tag that has moved is noticed.
    Always,
}

/// Whether V1's and V2's data are compared after the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Everything up to a size, of more a sample.
    #[default]
    Auto,
    /// Everything.
    Full,
    #[serde(alias = "never")]
    Off,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retire {
    /// How long after the switch V1 is kept at least.
    pub after: Option<Span>,
    pub data: Data,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    #[default]
    Keep,
    /// The owner's separate yes to losing V1's data when V1 is retired, as `--data` is.
    Remove,
}

/// How far a run goes back that fails before the point of no return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// To the nearest resting point.
    #[default]
    Keep,
    /// All the way.
    Abort,
}

/// What `run` does first with an earlier run that was left half-way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unfinished {
    /// Goes on with it.
    #[default]
    Resume,
    /// Turns it back, if it is above the point of no return, and begins anew.
    Abort,
}

/// What `run --yes` does about a run that came to nothing for a reason that may pass: another try, in the same command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// How many tries follow the first one at most.
    pub times: u32,
    /// Before the second try; twice as long before every further one, but not more than an hour.
    pub wait: Span,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { times: 0, wait: Span(Duration::from_secs(600)) }
    }
}

/// The owner's own programs, each by its arguments.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hooks {
    /// Called with the whole story where a run did not end well.
    pub on_failure: Vec<String>,
}

/// How to get into V1 where its own local access is refused.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Access {
    pub user: Option<String>,
    pub password: Option<Variable>,
    #[serde(alias = "password_file")]
    pub password_file: Option<PathBuf>,
}
