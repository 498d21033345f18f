//! An engine on another machine, over ssh: one ssh for the whole run, which carries the engine's socket to a private
//! one here. Every request is then one round trip (an ssh each would cost half a second).

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const LIMIT: Limit<'static> = Limit { name: "20 s", value: Duration::from_secs(20) };

/// Ends with this value, and with the tool however it ends: ssh's remote `cat` reads our end of a pipe.
pub(super) struct Forward {
    ssh: Child,
    directory: PathBuf,
}

impl Drop for Forward {
    fn drop(&mut self) {
        // A socket and a directory in the place for temporary things, if it fails.
        let _removed = std::fs::remove_dir_all(&self.directory);
    }
}

impl Forward {
    /// `address` as in `ssh://user@host:port/path/of/socket`, of which only the host is needed.
    pub(super) async fn open(address: &str) -> Result<Forward, Trouble> {
        let to = Destination::parse(address).ok_or_else(|| {
            Trouble::usage(format!("`{address}` is no address of an engine over ssh"))
                .hint("as in ssh://user@host:22/var/run/docker.sock, of which only the host is needed")
        })?;
        let act = || format!("the container engine at {address} cannot be reached");
        let directory = std::env::temp_dir().join(format!("switchover-{}", uuid::Uuid::new_v4()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&directory);
        made.map_err(|error| Trouble::failed(act()).because(error))?;
        let socket = directory.join("engine.sock");
        let ssh = Command::new("ssh")
            .args(["-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "ServerAliveInterval=15"])
            .args(to.arguments())
            .arg("-L")
            .arg(format!("{}:{}", socket.display(), to.socket))
            .args(["--", to.host, "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A Ctrl-C at the terminal is the tool's to handle; the way to the engine must outlast it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let ssh = ssh.map_err(|error| Trouble::failed(act()).because(error).hint("is ssh installed here?"))?;
        let mut forward = Forward { ssh, directory };
        forward.wait_until_open().await.map_err(|why| {
            Trouble::failed(act())
                .because(why)
                .hint(format!("`ssh {}` must work without a question, and may use {} there", to.host, to.socket))
        })?;
        Ok(forward)
    }

    pub(super) fn socket(&self) -> String {
        self.directory.join("engine.sock").display().to_string()
    }

    async fn wait_until_open(&mut self) -> Result<(), Trouble> {
        let every = Duration::from_millis(10);
        let wait = Wait { what: "ssh to connect", limit: LIMIT, every, kind: Kind::Failed };
        let socket = self.directory.join("engine.sock");
        wait::until(wait, &Teller::silent(), async || {
            if let Ok(Some(_)) = self.ssh.try_wait() {
                return Err(Trouble::failed(self.said().await));
            }
            Ok(if socket.exists() { Look::Done(()) } else { Look::NotYet("it has not yet".into()) })
        })
        .await
    }

    async fn said(&mut self) -> String {
        let mut text = String::new();
        if let Some(stderr) = &mut self.ssh.stderr {
            let _as_far_as_it_goes = stderr.read_to_string(&mut text).await;
        }
        text.trim().to_owned()
    }
}

struct Destination<'a> {
    user: Option<&'a str>,
    host: &'a str,
    port: Option<u16>,
    socket: &'a str,
}

impl Destination<'_> {
    fn parse(address: &str) -> Option<Destination<'_>> {
        let rest = address.strip_prefix("ssh://")?;
        let (place, socket) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, place) = place.rsplit_once('@').map_or((None, place), |(user, place)| (Some(user), place));
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse).transpose().ok()?;
        let odd = |text: &str| text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace);
        if odd(host) || user.is_some_and(odd) {
            return None;
        }
        let socket = if socket.len() > 1 { socket } else { "/var/run/docker.sock" };
        Some(Destination { user, host, port, socket })
    }

    fn arguments(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| ["-l".to_owned(), (*user).to_owned()]);
        let port = self.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]);
        user.chain(port).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Option<(Vec<String>, String, String)> {
        let to = Destination::parse(address)?;
        Some((to.arguments(), to.host.to_owned(), to.socket.to_owned()))
    }

    #[test]
    fn addresses_are_taken_apart() {
        let usual = "/var/run/docker.sock".to_owned();
        assert_eq!(read("ssh://host"), Some((vec![], "host".into(), usual.clone())));
        let full = read("ssh://me@[fe80::1]:2222/run/d.sock").unwrap();
        assert_eq!(
            full,
            (["-l", "me", "-p", "2222"].map(str::to_owned).to_vec(), "fe80::1".into(), "/run/d.sock".into())
        );
        assert_eq!(read("ssh://me@host:22/").unwrap().2, usual);
    }

    #[test]
    fn what_could_be_an_option_is_no_host() {
        for odd in ["ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://a b", "ssh://host:x", "unix:///x"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
