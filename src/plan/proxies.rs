//! Proxies in front of V1, as they were found: each is a way of clients.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::WayPlan;
use crate::config::quantity::Span;
use crate::config::secret::Password;
use crate::engine::{Address, Check};

/// HAProxy in front of V1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Haproxy {
    pub api: HaproxyApi,
    pub backend: String,
    /// The `server` lines of the two sides. They may be one: then it gets another address.
    pub v1: String,
    pub v2: String,
    /// `None`: this HAProxy cannot let clients wait.
    pub hold: Option<HaproxyHold>,
    pub route: Route,
    /// Where clients connect.
    pub clients: Option<Address>,
}

/// How clients are let wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaproxyHold {
    pub frontend: String,
    /// How many clients it takes: put back when they are let go.
    pub maxconn: u32,
}

/// Where the runtime API is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HaproxyApi {
    /// On this host.
    Socket(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
    Container {
        container: String,
        network: String,
        port: u16,
    },
}

/// How a proxy gets to the side that serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// By the side's address on this network.
    Network(String),
    /// By a port that is published on the engine's host: it has the same address for either side.
    Port { host: String, port: u16 },
}

/// A proxy that the user named, as it was found. `way` is missing where a check refuses it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proxy {
    pub way: Option<WayPlan>,
    /// Where it stands, as servers see it; empty: not known.
    pub addresses: Vec<String>,
    pub checks: Vec<Check>,
}

impl Proxy {
    pub(super) fn route(&self) -> Option<&Route> {
        match &self.way {
            Some(WayPlan::Haproxy(haproxy)) => Some(&haproxy.route),
            Some(WayPlan::Pgbouncer(pgbouncer)) => Some(&pgbouncer.route),
            Some(WayPlan::Hook(hook)) => Some(&hook.route),
            _ => None,
        }
    }

    /// Every way that is found is moved beside it, without being named.
    pub(super) fn takes_all(&self) -> bool {
        matches!(&self.way, Some(WayPlan::Hook(hook)) if hook.takes_all)
    }
}

/// PgBouncer in front of V1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pgbouncer {
    pub console: BouncerConsole,
    pub file: BouncerFile,
    pub databases: Vec<BouncerDatabase>,
    pub route: Route,
}

/// Where PgBouncer's console is, and who gets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BouncerConsole {
    pub at: ConsoleAt,
    pub user: String,
    /// Where the password is to be had, never the password.
    pub password: Option<Password>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsoleAt {
    Tcp { host: String, port: u16 },
    Container { container: String, network: String, port: u16 },
}

/// PgBouncer's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BouncerFile {
    /// On the host that this program runs on.
    Here(PathBuf),
    Container {
        container: String,
        path: String,
    },
}

/// A database that PgBouncer offers, and that is V1's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BouncerDatabase {
    pub name: String,
    /// The entry of the file it comes by: its name, or `*`.
    pub entry: String,
    /// A client has a server session as long as it stays: there are no pauses between transactions.
    pub by_session: bool,
    /// What stands behind `host=` in the end, quotes included. `None`: the address of the side that serves.
    pub host: Option<String>,
}

/// Programs of the owner's that tell whatever stands in front of V1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// By their arguments; those that there are.
    pub programs: BTreeMap<HookAct, Vec<String>>,
    /// Where they run: where the plan was made.
    pub directory: PathBuf,
    /// For each of them to end.
    pub within: Span,
    pub route: Route,
    pub takes_all: bool,
}

/// What a program of the owner's is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookAct {
    Check,
    Hold,
    Move,
    Release,
    Undo,
}

impl HookAct {
    pub fn name(self) -> &'static str {
        match self {
            HookAct::Check => "check",
            HookAct::Hold => "hold",
            HookAct::Move => "move",
            HookAct::Release => "release",
            HookAct::Undo => "undo",
        }
    }
}
