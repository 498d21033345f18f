//! What the engine says when it says no, in the user's words. Bollard's own errors are not made for people.

use std::io;

use bollard::errors::Error;

use super::Engine;
use crate::trouble::Trouble;

/// The engine's answer, as it was.
#[derive(Debug, thiserror::Error)]
#[error("the engine says: {0}")]
struct Said(String);

/// The status of an answer; `None`: there was no answer.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the engine said, empty if it said nothing.
pub(super) fn message(error: &Error) -> &str {
    match error {
        Error::DockerResponseServerError { message, .. } => message,
        Error::DockerStreamError { error } => error,
        _ => "",
    }
}

impl Engine {
    /// `act` is what we could not do, as in "cannot start shop-db".
    pub(super) fn trouble(&self, act: impl Into<String>, error: Error) -> Trouble {
        let act = act.into();
        match error {
            Error::DockerResponseServerError { message, .. } => said(act, &message),
            Error::DockerStreamError { error } => said(act, &error),
            Error::RequestTimeoutError => {
                Trouble::failed(act).because(Trouble::failed(format!("{} did not answer in time", self.address)))
            }
            other => Trouble::failed(act).because(self.no_answer(&other)),
        }
    }

    /// The engine did not answer at all: why, and what to do about it.
    pub(super) fn no_answer(&self, error: &Error) -> Trouble {
        let why = Trouble::failed(root(error));
        let at = &self.address;
        let socket = at.strip_prefix("unix://");
        match (io_kind(error), socket) {
            (Some(io::ErrorKind::PermissionDenied), Some(socket)) => {
                Trouble::failed(format!("no permission to use the container engine's socket {socket}"))
                    .because(why)
                    .hint("run as root, or as a member of the group that owns the socket (usually `docker`)")
            }
            (Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused), Some(socket)) => {
                no_engine(socket).because(why)
            }
            _ => Trouble::failed(format!("the container engine at {at} cannot be reached"))
                .because(why)
                .hint("is it running, and is `--docker` (or DOCKER_HOST) right?"),
        }
    }
}

pub(super) fn no_engine(socket: &str) -> Trouble {
    Trouble::failed(format!("no container engine listens on {socket}"))
        .hint("start it (`systemctl start docker`), or say where it is with `--docker` or DOCKER_HOST")
}

fn said(act: String, message: &str) -> Trouble {
    let trouble = Trouble::failed(act).because(Said(message.trim().to_owned()));
    let has = |part| message.contains(part);
    if has("port is already allocated") || has("address already in use") {
        trouble.hint("another container or program on the engine's host holds that port: `docker ps`, `ss -ltnp`")
    } else if has("no space left on device") {
        trouble.hint("the engine's disk is full: `docker system df`")
    } else if has("pool overlaps") || has("non-overlapping IPv4 address pool") {
        trouble.hint("the engine has no free subnet left: remove unused networks (`docker network prune`)")
    } else {
        trouble
    }
}

/// The cause beneath all others: what is above it names the libraries in between.
pub(super) fn root(error: &Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = cause.source();
    }
    None
}
