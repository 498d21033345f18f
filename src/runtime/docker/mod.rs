//! Docker. The only folder that names bollard.
//!
//! Every request goes to the engine's own API version; what an engine lacks is done in the older way (`stop` with a
//! signal, for one). An act is first tried and only looked into when the engine says no: inside the window each costs
//! one round trip in the common case.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    Attachment, Call, Container, File, Helper, HelperSpec, Image, Labels, Network, Output, Recipe, Runtime, Stream,
};
use crate::trouble::Trouble;

mod connect;
mod create;
mod exec;
mod files;
mod helper;
mod images;
mod lifecycle;
mod look;
mod networks;
mod ports;
mod registry;
mod said;
mod ssh;
mod tunnel;
mod volumes;

/// One engine, reached over one address.
pub struct Docker {
    engine: Engine,
    /// The engine shares our network: containers can be reached by their addresses, unless trying shows otherwise.
    local: bool,
    always_tunnel: bool,
    /// What the first direct connection showed; `None`: not tried yet.
    reachable: Cell<Option<bool>>,
    /// The run whose containers are also found by the names they were made under.
    run: RefCell<Option<String>>,
    /// What was found that way: name → id.
    made: RefCell<HashMap<String, String>>,
    /// Held open for as long as the engine is spoken to.
    _forward: Option<ssh::Forward>,
}

/// The API and the address it is reached by. Cheap to clone.
#[derive(Clone)]
struct Engine {
    api: bollard::Docker,
    address: String,
}

impl Docker {
    /// Reaches every server through a tunnel, as with a remote engine. For tests, and for engines whose networks only
    /// look reachable.
    #[must_use]
    pub fn always_tunnel(mut self) -> Docker {
        self.always_tunnel = true;
        self
    }
}

#[async_trait(?Send)]
impl Runtime for Docker {
    fn adopt(&self, run: &str) {
        self.made.borrow_mut().clear();
        *self.run.borrow_mut() = Some(run.to_owned());
    }
    async fn container(&self, name: &str) -> Result<Option<Container>, Trouble> {
        self.look_at_container(name).await
    }
    async fn image(&self, reference: &str) -> Result<Option<Image>, Trouble> {
        self.look_at_image(reference).await
    }
    async fn network(&self, name: &str) -> Result<Option<Network>, Trouble> {
        self.look_at_network(name).await
    }
    async fn volume_exists(&self, name: &str) -> Result<bool, Trouble> {
        Ok(self.look_at_volume(name).await?.is_some())
    }
    async fn free_bytes(&self, container: &str, path: &str) -> Result<Option<u64>, Trouble> {
        self.free_bytes_at(container, path).await
    }
    async fn packets_received(&self, container: &str, network: &str) -> Result<Option<u64>, Trouble> {
        self.packets_from(container, network).await
    }
    async fn registry_digest(&self, reference: &str) -> Result<Option<String>, Trouble> {
        self.digest_in_registry(reference).await
    }
    async fn tags(&self, repository: &str) -> Result<Vec<String>, Trouble> {
        self.tags_here(repository).await
    }
    async fn registry_tags(&self, repository: &str) -> Result<Vec<String>, Trouble> {
        self.tags_in_registry(repository).await
    }
    async fn log_tail(&self, container: &str, lines: usize) -> Result<String, Trouble> {
        self.last_log_lines(container, lines).await
    }
    fn describe(&self) -> String {
        self.engine.address.clone()
    }

    async fn ensure_image(&self, reference: &str) -> Result<Image, Trouble> {
        self.have_image(reference).await
    }
    async fn ensure_newest_image(&self, reference: &str) -> Result<Image, Trouble> {
        self.have_newest_image(reference).await
    }
    async fn ensure_network(&self, name: &str, internal: bool, labels: &Labels) -> Result<(), Trouble> {
        self.have_network(name, internal, labels).await
    }
    async fn ensure_no_network(&self, name: &str, run: &str) -> Result<(), Trouble> {
        self.have_no_network(name, run).await
    }
    async fn ensure_volume(&self, name: &str, labels: &Labels) -> Result<(), Trouble> {
        self.have_volume(name, labels).await
    }
    async fn ensure_no_volume(&self, name: &str, run: &str) -> Result<(), Trouble> {
        self.have_no_volume(name, run).await
    }
    async fn ensure_volume_retired(&self, name: &str) -> Result<(), Trouble> {
        self.have_volume_retired(name).await
    }
    async fn ensure_created(&self, recipe: &Recipe) -> Result<Container, Trouble> {
        self.have_created(recipe).await
    }
    async fn ensure_started(&self, name: &str) -> Result<(), Trouble> {
        self.have_started(name).await
    }
    async fn ensure_stopped(&self, name: &str, signal: &str, within: Duration) -> Result<i64, Trouble> {
        self.have_stopped(name, signal, within).await
    }
    async fn ensure_restarted(&self, name: &str, since: &str, within: Duration) -> Result<(), Trouble> {
        self.have_restarted(name, since, within).await
    }
    async fn ensure_no_container(&self, name: &str, run: &str) -> Result<(), Trouble> {
        self.have_no_container(name, run).await
    }
    async fn ensure_retired(&self, id: &str) -> Result<(), Trouble> {
        self.have_retired(id).await
    }
    async fn ensure_named(&self, id: &str, name: &str) -> Result<(), Trouble> {
        self.have_named(id, name).await
    }
    async fn ensure_restart_policy(&self, name: &str, policy: &str) -> Result<(), Trouble> {
        self.have_restart_policy(name, policy).await
    }
    async fn ensure_joined(&self, container: &str, to: &Attachment) -> Result<(), Trouble> {
        self.have_joined(container, to).await
    }
    async fn ensure_left(&self, container: &str, network: &str) -> Result<(), Trouble> {
        self.have_left(container, network).await
    }

    async fn exec(&self, container: &str, call: &Call) -> Result<Output, Trouble> {
        self.run_inside(container, call).await
    }
    async fn put_file(&self, container: &str, file: &File) -> Result<(), Trouble> {
        self.write_file(container, file).await
    }
    async fn file(&self, container: &str, path: &str) -> Result<Option<File>, Trouble> {
        self.whole_file(container, path).await
    }
    async fn helper(&self, spec: &HelperSpec) -> Result<Box<dyn Helper>, Trouble> {
        self.start_helper(spec).await
    }
    async fn ensure_no_helpers(&self, run: &str) -> Result<(), Trouble> {
        self.have_no_helpers(run).await
    }
    async fn dial(&self, container: &str, network: &str, port: u16) -> Result<Box<dyn Stream>, Trouble> {
        self.connect_to(container, network, port).await
    }
    async fn dial_inside(&self, container: &str, port: u16) -> Result<Box<dyn Stream>, Trouble> {
        self.tunnel(container, port).await
    }
}
