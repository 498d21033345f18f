//! Finding the engine: `--docker`, else DOCKER_HOST, else the usual socket.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error;

use super::ssh::Forward;
use super::{Docker, Engine, said};
use crate::trouble::Trouble;

const USUAL_SOCKET: &str = "unix:///var/run/docker.sock";

/// Seconds for one answer. Acts that may take longer (a stop) set their own.
const PATIENCE: u64 = 120;

impl Docker {
    /// Connects and agrees on an API version. `docker` is what the user said (`unix://`, `tcp://`, `http://`,
    /// `ssh://`, or a socket's path), `docker_host` the environment's DOCKER_HOST.
    ///
    /// Every request makes its own connection: on a socket that costs 0.05 ms against a kept one, and an engine that
    /// was restarted in between is no trouble.
    ///
    /// Fails as *usage* where the address makes no sense, and as *failed* where nobody answers.
    pub async fn connect(docker: Option<&str>, docker_host: Option<&str>) -> Result<Docker, Trouble> {
        let given = docker.or(docker_host).filter(|address| !address.is_empty()).unwrap_or(USUAL_SOCKET);
        let address = if given.starts_with('/') { format!("unix://{given}") } else { given.to_owned() };
        let forward = if address.starts_with("ssh://") { Some(Forward::open(&address).await?) } else { None };
        let api = match &forward {
            Some(forward) => client(&format!("unix://{}", forward.socket()))?,
            None => client(&address)?,
        };
        let engine = Engine { api: api.clone(), address: address.clone() };
        let api = api.negotiate_version().await.map_err(|error| match said::status(&error) {
            Some(_) => engine.trouble(format!("{address} does not answer like a container engine"), error),
            None => engine.no_answer(&error),
        })?;
        Ok(Docker {
            local: address.starts_with("unix://"),
            engine: Engine { api, address },
            always_tunnel: false,
            reachable: Cell::new(None),
            run: RefCell::new(None),
            made: RefCell::new(HashMap::new()),
            _forward: forward,
        })
    }
}

impl Engine {
    /// From API 1.42 on (Docker 23) `stop` takes a signal.
    pub(super) fn stops_with_any_signal(&self) -> bool {
        let version = self.api.client_version();
        (version.major_version, version.minor_version) >= (1, 42)
    }
}

fn client(address: &str) -> Result<bollard::Docker, Trouble> {
    let scheme = address.split("://").next().unwrap_or_default();
    let made = match scheme {
        "unix" => bollard::Docker::connect_with_unix(address, PATIENCE, API_DEFAULT_VERSION),
        "tcp" | "http" => bollard::Docker::connect_with_http(address, PATIENCE, API_DEFAULT_VERSION),
        _ => return Err(unknown_address(address)),
    };
    made.map_err(|error| match error {
        Error::SocketNotFoundError(socket) => said::no_engine(&socket),
        other => unknown_address(address).because(Trouble::usage(said::root(&other))),
    })
}

fn unknown_address(address: &str) -> Trouble {
    Trouble::usage(format!("`{address}` is no address of a container engine that we can use"))
        .hint("use unix:///path/to/docker.sock, tcp://host:2375, or ssh://user@host (for an engine behind TLS too)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trouble::Kind;

    #[tokio::test]
    async fn what_cannot_be_reached_says_why_and_what_to_do() {
        let trouble = |docker| async move { Docker::connect(docker, None).await.err().map(|t| (t.kind, t.what)) };
        let (kind, what) = trouble(Some("unix:///nowhere/docker.sock")).await.unwrap();
        assert_eq!((kind, what.as_str()), (Kind::Failed, "no container engine listens on /nowhere/docker.sock"));
        let (kind, what) = trouble(Some("tcp://127.0.0.1:1")).await.unwrap();
        assert_eq!(
            (kind, what.as_str()),
            (Kind::Failed, "the container engine at tcp://127.0.0.1:1 cannot be reached")
        );
        let (kind, _) = trouble(Some("https://engine")).await.unwrap();
        assert_eq!(kind, Kind::Usage);
    }
}
