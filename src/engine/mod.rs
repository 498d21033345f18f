//! What a database engine must know. The story uses these traits and never learns an engine's name.
//!
//! The contract, once for every engine: an `ensure_…` may be called again at any time and after any crash with the
//! same effect; SQL identifiers and literals are quoted by a function; every statement has a timeout; nothing here
//! prints or sleeps (`wait` does both); no error text holds a secret or the content of a row.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::plan::Plan;
use crate::runtime::{Container, Image, Runtime};
use crate::tell::Teller;
use crate::trouble::Trouble;

mod check;
mod clients;
pub mod mariadb;
pub mod mysql;
mod mysql_family;
mod mysql_wire;
mod orders;
mod place;
pub mod postgres;
mod snapshot;
mod tries;

pub use snapshot::{Fingerprint, Snapshot, Table};

pub use clients::ClientSession;

/// Every engine we know. A new one is a folder and a line here.
pub const ENGINES: &[&dyn Engine] = &[&mariadb::Mariadb, &mysql::Mysql, &postgres::Postgres];

/// Where their servers put local sockets: who shares such a folder with V1 does not come over a network.
pub const SOCKET_FOLDERS: &[&str] = &["/var/run/postgresql", "/run/postgresql", "/var/run/mysqld", "/run/mysqld"];

#[async_trait(?Send)]
pub trait Engine: Sync {
    /// As users write it: `postgresql`.
    fn name(&self) -> &'static str;

    /// Whether this image holds a server of this engine (told from its labels, environment and entrypoint).
    fn recognises(&self, image: &Image) -> bool;

    /// The version of the server in an image, as the image says; `None`: it does not.
    fn version_of<'a>(&self, image: &'a Image) -> Option<&'a str>;

    /// How many numbers of a version that begins with `first` name its series.
    fn series(&self, first: u64) -> usize;

    /// Reads V1 and V2's image and says what could be done. Touches nothing on V1: no role, no file, no setting.
    async fn survey(&self, ask: &SurveyRequest<'_>) -> Result<Survey, Trouble>;

    /// A handle to one side's server. Connects when it must, not before.
    fn server(&self, place: Place) -> Box<dyn Server>;

    /// The record of a run (`Survey::before`) for the run that undoes it: what it says of the two sides exchanged, what
    /// may have changed since read from the side that serves, and nothing to be put back, as that run changes nothing that
    /// its predecessor did not.
    async fn exchanged(&self, before: &serde_json::Value, ask: &Serving<'_>) -> Result<serde_json::Value, Trouble>;
}

pub struct SurveyRequest<'a> {
    pub v1: &'a Container,
    pub v2: &'a Image,
    pub access: &'a Access,
    pub runtime: &'a dyn Runtime,
    pub tell: &'a Teller,
    /// What the plan is allowed to do (`allow:`), for the verdicts.
    pub allow: &'a [String],
    /// For the forecasts of disk space.
    pub limits: &'a Limits,
    /// As the user wants it; `None`: as it suits.
    pub seed: Option<&'a str>,
}

/// The side that serves when a run is undone, and how to get in there.
pub struct Serving<'a> {
    pub container: &'a Container,
    pub access: &'a Access,
    pub runtime: &'a dyn Runtime,
}

/// How we get in where the container's own local access is refused.
#[derive(Clone, Default)]
pub struct Access {
    pub user: Option<String>,
    pub password: Option<secrecy::SecretString>,
}

/// What an engine found. `before` is the engine's own record of all it will change on V1, with the old values: it
/// is in the plan, so it is on disk before anything is touched.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Survey {
    pub engine: String,
    pub v1_version: String,
    pub v2_version: String,
    pub method: String,
    pub seed: String,
    /// What the seed is likely to take, on an ordinary disk, in milliseconds.
    pub seed_ms: u64,
    /// Where the server keeps its data inside V1, and will inside V2.
    pub v1_data: String,
    pub v2_data: String,
    /// Further directories that hold data (tablespaces, logs of transactions): same path on V2.
    pub more_data: Vec<String>,
    pub bytes: u64,
    /// What V1 writes a second into its log of changes, as measured; `None`: not measurable.
    pub write_rate: Option<u64>,
    pub port: u16,
    pub sessions: Vec<ClientSession>,
    pub checks: Vec<Check>,
    pub before: serde_json::Value,
    /// Facts worth showing: name → value.
    pub facts: BTreeMap<String, String>,
}

/// One precheck with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable, as in `same-major`.
    pub id: String,
    pub verdict: Verdict,
    /// What was found, as a sentence.
    pub found: String,
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Passed,
    /// Worth knowing; does not stop.
    Noted,
    /// Would refuse, but `allow:` names it.
    Accepted,
    Refused,
}

/// All a server needs to know of where it stands.
#[derive(Clone)]
pub struct Place {
    pub side: Side,
    /// By id or name; the plan has both sides' names.
    pub plan: Rc<Plan>,
    pub runtime: Rc<dyn Runtime>,
    pub secrets: Rc<dyn Secrets>,
    pub access: Access,
    pub tell: Teller,
}

/// Passwords of a run: random, made once, in a file with mode 0600 until the run is over.
pub trait Secrets {
    /// The secret of that name, made on first use and kept for the run.
    fn secret(&self, name: &str) -> Result<secrecy::SecretString, Trouble>;
    /// Forgets one (the file is rewritten without it).
    fn forget(&self, name: &str) -> Result<(), Trouble>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    V1,
    V2,
}

impl Side {
    #[must_use]
    pub fn other(self) -> Side {
        match self {
            Side::V1 => Side::V2,
            Side::V2 => Side::V1,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::V1 => "V1",
            Side::V2 => "V2",
        })
    }
}

/// A place in a replication stream. Opaque outside its engine: nobody else compares two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(pub String);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a follower is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lag {
    pub bytes: u64,
}

/// One running server. Which side it is, is in its [`Place`]; who leads and who follows is the story's business:
/// in a switchback the sides are exchanged.
#[async_trait(?Send)]
pub trait Server {
    /// Files of this run that are in the container itself: they go along when it is made anew on the same data.
    fn files_of_its_container(&self) -> Result<Vec<String>, Trouble> {
        Ok(Vec::new())
    }

    // — the leader, before the window —

    /// The prechecks that may have changed since the survey.
    async fn recheck(&self) -> Result<Vec<Check>, Trouble>;
    /// Where the plan says that a setting takes a restart: it is set, and in force. Says how long nobody was served.
    async fn ensure_restarted(&self) -> Result<String, Trouble>;
    /// What [`Server::ensure_restarted`] has set is gone from its files, and it runs. It is not restarted again.
    async fn ensure_restart_forgotten(&self) -> Result<(), Trouble>;
    /// It can be followed: role, access rule, settings, slot. Old values are in the plan already.
    async fn ensure_followable(&self) -> Result<String, Trouble>;
    /// All that put back, exactly; a fence or switch of this run gone too.
    async fn ensure_unfollowable(&self) -> Result<(), Trouble>;
    /// The last position written so far, while clients write.
    async fn position(&self) -> Result<Position, Trouble>;

    // — the follower, before the window —

    /// The seed: its data directory holds a copy of the other side with a known position; not started.
    async fn ensure_seeded(&self) -> Result<Seeded, Trouble>;
    /// Drops what the seed left on the other side and in the data directory.
    async fn ensure_unseeded(&self) -> Result<(), Trouble>;
    /// Runs, closed to clients, and applies the other side's changes.
    async fn ensure_following(&self) -> Result<String, Trouble>;
    /// Stopped. What it holds stays, and [`Server::ensure_following`] goes on from there.
    async fn ensure_not_following(&self) -> Result<(), Trouble>;
    /// How far it is behind `position`; `None`: cannot be measured, which is never zero.
    async fn behind(&self, position: &Position) -> Result<Option<Lag>, Trouble>;
    /// Makes the follower fit to serve; says what was done.
    async fn polish(&self) -> Result<String, Trouble>;

    // — the window —

    /// Ends switches of earlier attempts (waiting for one that is acting), then opens the window's sessions.
    async fn open_window(&self, attempt: u32) -> Result<Box<dyn Window>, Trouble>;
    /// Connects beforehand, so that the window makes no connection.
    async fn ensure_connected(&self) -> Result<(), Trouble>;
    /// On a follower: until [`Server::ensure_open`] whoever comes is told no at once, wherever it stands, and whatever becomes
    /// of the tool. `false`: that cannot be promised. Over sessions opened by [`Server::ensure_connected`].
    async fn ensure_turns_away(&self) -> Result<bool, Trouble> {
        Ok(false)
    }
    /// Gives the leader back to its clients: waits for a switch that is acting, lifts the fence if it is this run's, lets
    /// the listener go, ends every switch of this run, and proves a write. Safe to call when nothing is shut.
    async fn ensure_given_back(&self) -> Result<(), Trouble>;
    /// Its listener runs. Works without a session: a held server takes no connection.
    async fn ensure_listener_let_go(&self) -> Result<(), Trouble>;
    /// It has applied everything up to `position`.
    async fn has_applied(&self, position: &Position) -> Result<bool, Trouble>;
    /// Writable, still closed to clients.
    async fn ensure_promoted(&self) -> Result<String, Trouble>;
    /// A follower again (rewound or seeded anew), running and closed. Does nothing if it was never promoted.
    async fn ensure_demoted(&self) -> Result<(), Trouble>;

    // — beyond the line —

    /// Clients get in, by the leader's own access rules.
    async fn ensure_open(&self) -> Result<(), Trouble>;
    /// They do after its next start, too, and its own jobs run. Done while clients already come in.
    async fn ensure_open_lasts(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Tries to write through the clients' own address. Made beforehand, used when the clients run again.
    async fn probe(&self, at: &Address) -> Result<Box<dyn Probe>, Trouble>;
    /// A view of the data that stays as it is now while others write: taken on V2 while it is closed, and kept
    /// inside until [`Server::snapshot`] asks for it. Over sessions opened by [`Server::ensure_connected`].
    async fn ensure_snapshot_kept(&self) -> Result<(), Trouble>;
    /// The former leader, fenced for good, has ended and holds what it held at the switch. Whoever asks it next starts it.
    async fn ensure_ended(&self) -> Result<(), Trouble>;
    /// The view that was kept; on a fenced former leader, a view of its data as of the switch. `None`: there is none
    /// any more (the process that kept it is gone).
    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble>;
    /// The former leader follows the new one, fenced; `Err` says why it cannot (and it is stopped instead).
    async fn ensure_way_back(&self) -> Result<Result<String, String>, Trouble>;
    /// Temporary roles, rules, files and settings of this run are gone from this side. `keep_following`: what the
    /// way back needs stays.
    async fn ensure_clean(&self, keep_following: bool) -> Result<(), Trouble>;
    /// A view of the data as it is now, while others write: with the other side's, for a comparison before the window.
    async fn view(&self) -> Result<Box<dyn Snapshot>, Trouble>;
    /// What `status` shows: role, version, open or fenced, lag; never fails for a server that is down.
    async fn state(&self) -> ServerState;
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerState {
    /// `None`: cannot be said (unreachable).
    pub writable: Option<bool>,
    pub clients_admitted: Option<bool>,
    pub following: Option<bool>,
    /// How far a follower is behind, as the side it follows sees it; `None`: not asked, or it cannot be measured.
    pub behind: Option<Lag>,
    pub clients_connected: Option<u32>,
    /// Why something above is unknown.
    pub note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeded {
    pub position: Position,
    pub bytes: u64,
}

/// The sessions on the leader that are opened before the fence and never reconnected: that they live proves that
/// the leader was not restarted and the window's lock not lost.
///
/// Every act above the line is *one statement* that first sees this attempt's dead-man's switch armed, and fails
/// otherwise, so that a tool that was frozen cannot act on a leader that was given back.
#[async_trait(?Send)]
pub trait Window {
    /// The dead-man's switch: something on the leader itself that gives it back to its clients after `cap`.
    async fn arm(&self, cap: Duration) -> Result<(), Trouble>;
    /// New sessions are refused, proven by a refused one; in memory only: a restart forgets it. Running ones go on.
    async fn shut_door(&self) -> Result<(), Trouble>;
    /// New connections wait instead of being refused. `false`: this server cannot.
    async fn hold_listener(&self) -> Result<bool, Trouble>;
    /// Ends every session outside our allow-list: idle ones at once, the others after `grace`; returns when one
    /// look (sessions still authenticating included) finds none. Says how long after the call the first one ended.
    async fn end_sessions(&self, grace: Duration) -> Result<SessionsEnded, Trouble>;
    /// Forces everything written to disk and reads the last position, after the fence.
    async fn written(&self) -> Result<Position, Trouble>;
    /// The window's lock, for which tool and switch compete. Not to be had: an error, and the run turns back.
    async fn take_lock(&self) -> Result<(), Trouble>;
    /// The fence is on disk, synced: it outlasts a restart.
    async fn make_fence_durable(&self) -> Result<(), Trouble>;
    /// The durable fence is what new sessions meet: reloaded (queued while the listener is held, else proven).
    async fn fence_in_force(&self) -> Result<(), Trouble>;
    /// The last look: no foreign session, and no transaction begun since `since`.
    async fn look(&self, since: &Position) -> Result<(), Trouble>;
    /// The switch can no longer fire.
    async fn end_switch(&self) -> Result<(), Trouble>;
    /// New connections are refused at once instead of waiting.
    async fn let_listener_go(&self) -> Result<(), Trouble>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsEnded {
    pub idle: u32,
    /// Were in a transaction when their time was over.
    pub in_transaction: u32,
}

/// Where clients find the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The network to ask from; `None`: the engine's host.
    pub network: Option<String>,
    pub host: String,
    pub port: u16,
}

#[async_trait(?Send)]
pub trait Probe {
    /// One acknowledged write by a new connection through the clients' address, and that it was V2 that took it.
    async fn write(&mut self) -> Result<(), Trouble>;
    async fn end(self: Box<Self>) -> Result<(), Trouble>;
}
