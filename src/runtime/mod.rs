//! Where servers run. The rest of the program sees containers, networks and helpers only through [`Runtime`].
//!
//! Every `ensure_…` may be called again at any time, after a crash too, with the same effect; it is no error that
//! the thing is already there, already gone, or only half made.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::trouble::Trouble;

pub mod docker;
mod reference;

pub use reference::Reference;

/// The label that names the run, the database and the side on everything we make (design §5).
pub const LABEL_RUN: &str = "switchover.run";
pub const LABEL_NAME: &str = "switchover.name";
pub const LABEL_SIDE: &str = "switchover.side";
/// The name a container was made under: it stays a handle when the container is renamed.
pub const LABEL_CONTAINER: &str = "switchover.container";
/// On helpers only.
pub const LABEL_HELPER: &str = "switchover.helper";

/// A byte stream to a server: TCP where its network can be reached, a tunnel where not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

#[async_trait(?Send)]
pub trait Runtime {
    // — look —

    /// From now on containers that this run made are also found by the names they were made under, whatever they are
    /// called by then, here and in every act below.
    fn adopt(&self, run: &str) {
        let _ = run;
    }
    /// What is known of a container by name or id; `None` if there is none.
    async fn container(&self, name: &str) -> Result<Option<Container>, Trouble>;
    /// What is known of an image that is already there; `None` if it is absent.
    async fn image(&self, reference: &str) -> Result<Option<Image>, Trouble>;
    async fn network(&self, name: &str) -> Result<Option<Network>, Trouble>;
    async fn volume_exists(&self, name: &str) -> Result<bool, Trouble>;
    /// Free bytes on the file system that holds `path` inside the running container.
    async fn free_bytes(&self, container: &str, path: &str) -> Result<Option<u64>, Trouble>;
    /// Packets that its interface on `network` has received; `None`: it does not stand there, or it cannot be said.
    /// About 60 ms.
    async fn packets_received(&self, container: &str, network: &str) -> Result<Option<u64>, Trouble>;
    /// The digest of what the registry has under this reference now. Pulls nothing. `None`: the reference names its content by
    /// id or digest, and means the same at any time.
    async fn registry_digest(&self, reference: &str) -> Result<Option<String>, Trouble>;
    /// The tags that the engine has of a repository.
    async fn tags(&self, repository: &str) -> Result<Vec<String>, Trouble>;
    /// The tags that its registry lists, where that can be asked.
    async fn registry_tags(&self, repository: &str) -> Result<Vec<String>, Trouble>;
    /// The last lines of a container's log: shown when a server does not start.
    async fn log_tail(&self, container: &str, lines: usize) -> Result<String, Trouble>;
    /// The address by which the engine itself is reached, for messages.
    fn describe(&self) -> String;

    // — make and unmake —

    /// The image, pulled if it is absent and can be.
    async fn ensure_image(&self, reference: &str) -> Result<Image, Trouble>;
    /// The image as the registry has it now: pulled, whatever is here. What an id or digest names is only pulled if absent.
    async fn ensure_newest_image(&self, reference: &str) -> Result<Image, Trouble>;
    async fn ensure_network(&self, name: &str, internal: bool, labels: &Labels) -> Result<(), Trouble>;
    /// Removes a network of this run only.
    async fn ensure_no_network(&self, name: &str, run: &str) -> Result<(), Trouble>;
    async fn ensure_volume(&self, name: &str, labels: &Labels) -> Result<(), Trouble>;
    /// Removes a volume of this run only: one without our run label is left alone and named in the error.
    async fn ensure_no_volume(&self, name: &str, run: &str) -> Result<(), Trouble>;
    /// Removes a volume whoever made it, if nothing uses it. For `retire --data`, after its own yes.
    async fn ensure_volume_retired(&self, name: &str) -> Result<(), Trouble>;
    /// A container made like another one, not started, on the recipe's network only.
    async fn ensure_created(&self, recipe: &Recipe) -> Result<Container, Trouble>;
    async fn ensure_started(&self, name: &str) -> Result<(), Trouble>;
    /// Sends `signal`, waits for the exit, and says the exit code; kills after `within`. Already stopped: its code.
    async fn ensure_stopped(&self, name: &str, signal: &str, within: Duration) -> Result<i64, Trouble>;
    /// It was started after `since` (as [`Container::started_at`] has it): stopped by its own signal and started again in one
    /// act of the engine's, which ends what has not ended after `within`.
    async fn ensure_restarted(&self, name: &str, since: &str, within: Duration) -> Result<(), Trouble>;
    /// Removes a container that this run made, and the nameless volumes the engine made for it; named ones stay.
    async fn ensure_no_container(&self, name: &str, run: &str) -> Result<(), Trouble>;
    /// Removes a stopped container, whoever made it, by its full id; all its volumes stay. For `retire`, after the yes.
    async fn ensure_retired(&self, id: &str) -> Result<(), Trouble>;
    /// `id` bears `name` afterwards. Refuses if another container has it.
    async fn ensure_named(&self, id: &str, name: &str) -> Result<(), Trouble>;
    /// Restart policy as in `docker run --restart`.
    async fn ensure_restart_policy(&self, name: &str, policy: &str) -> Result<(), Trouble>;
    async fn ensure_joined(&self, container: &str, to: &Attachment) -> Result<(), Trouble>;
    async fn ensure_left(&self, container: &str, network: &str) -> Result<(), Trouble>;

    // — act inside —

    /// Runs a program in a running container. argv only; secrets go through `stdin`.
    async fn exec(&self, container: &str, call: &Call) -> Result<Output, Trouble>;
    /// Writes a file into a container that runs or does not (volumes included, tmpfs of a running one excluded);
    /// parents must exist.
    async fn put_file(&self, container: &str, file: &File) -> Result<(), Trouble>;
    async fn read_file(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(self.file(container, path).await?.map(|file| file.content))
    }
    /// With its mode and owner, under the path that links lead to: to be written again.
    async fn file(&self, container: &str, path: &str) -> Result<Option<File>, Trouble>;
    /// A short-lived container, started, with its standard input and output held open. Labelled with the run and
    /// removed by [`Helper::end`]; a helper of the same name left by a crash is removed first.
    async fn helper(&self, spec: &HelperSpec) -> Result<Box<dyn Helper>, Trouble>;
    /// Removes helpers that a crash left behind.
    async fn ensure_no_helpers(&self, run: &str) -> Result<(), Trouble>;
    /// A stream to a port of the container, over `network` if the engine is local and it can be reached, else
    /// through a tunnel inside the container to its loopback.
    async fn dial(&self, container: &str, network: &str, port: u16) -> Result<Box<dyn Stream>, Trouble>;
    /// The same, always through the container's own loopback: local access, before anything was made.
    async fn dial_inside(&self, container: &str, port: u16) -> Result<Box<dyn Stream>, Trouble>;
}

pub type Labels = BTreeMap<String, String>;

/// A helper container's standard streams, by line.
#[async_trait(?Send)]
pub trait Helper {
    async fn send(&mut self, line: &str) -> Result<(), Trouble>;
    /// The next line of its standard output; `None` when it has ended. Standard error is kept for the error text.
    async fn line(&mut self) -> Result<Option<String>, Trouble>;
    /// Waits for its end, removes it, and says its exit code and what it wrote to standard error.
    async fn end(self: Box<Self>) -> Result<Output, Trouble>;
}

/// What a helper is made of. The script is a constant of ours; data reaches it as arguments or lines.
#[derive(Clone, Debug, Default)]
pub struct HelperSpec {
    pub name: String,
    pub image: String,
    pub entrypoint: Vec<String>,
    pub user: Option<String>,
    /// `None`: no network at all. `Some("host")`: the engine host's own.
    pub network: Option<String>,
    /// (volume name or host directory, path inside, read-only)
    pub mounts: Vec<(String, String, bool)>,
    /// Files put in place before it starts: the way for secrets.
    pub files: Vec<File>,
    /// Sees the host's processes (to signal a container's first process without the engine noting a manual stop).
    pub host_pids: bool,
    pub labels: Labels,
}

#[derive(Clone, Default)]
pub struct File {
    pub path: String,
    pub content: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
}

impl std::fmt::Debug for File {
    // The content may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({}, {} bytes)", self.path, self.content.len())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Call<'a> {
    pub argv: &'a [&'a str],
    pub user: Option<&'a str>,
    pub stdin: &'a [u8],
}

#[derive(Clone, Debug, Default)]
pub struct Output {
    pub code: i64,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// What the engine says of a container, in our words. Holds no environment: that is where passwords are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// The reference it was made with.
    pub image: String,
    pub image_id: String,
    pub state: State,
    /// When this incarnation started: differs after every restart.
    pub started_at: String,
    /// Its first process, as the engine's host numbers it.
    pub host_pid: Option<u32>,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    pub user: String,
    /// Empty: the engine's own, SIGTERM.
    pub stop_signal: String,
    /// An init process of the engine's own is process 1 (`--init`).
    pub init: bool,
    /// The engine removes it, and its nameless volumes, when it stops (`--rm`).
    pub auto_remove: bool,
    pub restart_policy: String,
    pub network_mode: String,
    pub mounts: Vec<Mount>,
    pub networks: Vec<Attachment>,
    pub ports: Vec<Port>,
    pub labels: Labels,
    /// Environment variables whose values are no secret and that engines ask for (data directory, database user).
    pub settings: BTreeMap<String, String>,
    /// How the engine asks whether it is healthy; `None`: it does not.
    pub health_check: Option<HealthCheck>,
}

impl Container {
    /// The mount that holds `path`: the deepest one.
    pub fn mount_of(&self, path: &str) -> Option<&Mount> {
        let holds = |mount: &&Mount| {
            let rest = path.strip_prefix(mount.destination.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.mounts.iter().filter(holds).max_by_key(|mount| mount.destination.trim_end_matches('/').len())
    }

    /// The same of all below `path`: no other mount lies inside.
    pub fn can_share_whole(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = |mount: &Mount| {
            mount.destination.strip_prefix(path).is_some_and(|rest| rest.trim_end_matches('/').starts_with('/'))
        };
        self.can_share(path) && !self.mounts.iter().any(inside)
    }

    /// What is at `path` is in a volume or a directory of the host's: another container can be given it, too.
    pub fn can_share(&self, path: &str) -> bool {
        let kind = self.mount_of(path).map(|mount| mount.kind);
        matches!(kind, Some(MountKind::Volume | MountKind::AnonymousVolume | MountKind::Bind))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub argv: Vec<String>,
    /// Between two tries.
    pub every: Duration,
    /// Of one try.
    pub timeout: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// From its start, failures do not count for so long.
    pub start_period: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Created,
    Running,
    Paused,
    Restarting,
    Exited(i64),
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub kind: MountKind,
    /// Volume name, or the directory on the engine's host.
    pub source: String,
    pub destination: String,
    pub read_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    Volume,
    AnonymousVolume,
    Bind,
    Tmpfs,
    Other,
}

/// A place on a network: what is needed to be put there again exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub network: String,
    /// Aliases the user gave (not the id and name that the engine adds by itself).
    pub aliases: Vec<String>,
    /// The address it has now, if it runs.
    pub address: Option<String>,
    /// Addresses asked for by the user, to be asked for again.
    pub fixed_ipv4: Option<String>,
    pub fixed_ipv6: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// As in `5432/tcp`.
    pub container: String,
    pub host_ip: String,
    pub host_port: u16,
    /// The engine chose the number. V2 is given the same one, for as long as nobody else takes it in between.
    pub ephemeral: bool,
    /// The engine's host listens there for this container now.
    #[serde(default)]
    pub bound: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub reference: String,
    pub id: String,
    /// What registries call its content, as in `postgres@sha256:…`; none of one that was only made here.
    #[serde(default)]
    pub digests: Vec<String>,
    pub architecture: String,
    pub user: String,
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    pub volumes: Vec<String>,
    /// The image's own environment: public by nature.
    pub environment: BTreeMap<String, String>,
    pub labels: Labels,
}

impl Image {
    /// Its digest in the repository it is referred to by; of one that is referred to by its id, in any.
    pub fn digest(&self) -> Option<&str> {
        let ours = Reference::of(&self.reference).repository();
        let is_it = |digest: &&String| self.reference == self.id || Reference::of(digest).repository() == ours;
        self.digests.iter().find(is_it).map(String::as_str)
    }

    /// Its content is what a registry calls so (`sha256:…`).
    pub fn is_known_as(&self, digest: &str) -> bool {
        self.digests.iter().any(|known| Reference::of(known).digest == Some(digest))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub name: String,
    pub driver: String,
    pub internal: bool,
    pub subnets: Vec<String>,
    /// The host's own addresses there.
    pub gateways: Vec<String>,
    pub labels: Labels,
}

/// How V2 is made: like V1, with another image, its own data and another network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub name: String,
    /// It takes the place of `like`, on the same data: every mount of that, and found by this, whatever it is called by then.
    /// `None`: it is another one, with data of its own, and found by the name it is made under.
    pub in_place_of: Option<String>,
    /// The container whose environment, command, limits, health check … are taken.
    pub like: String,
    pub image: String,
    /// (volume, destination): these take the place of V1's mounts with the same destination.
    pub volumes: Vec<(String, String)>,
    /// Where the other one has its data: what is mounted there is not taken over, two servers never share a volume.
    pub leave_out: Vec<String>,
    /// The only network it is on when it starts.
    pub network: String,
    pub labels: Labels,
}
