//! Streams to a server: by its address where the engine's networks are ours, else through a program inside its
//! container that copies between its standard streams and the server's port.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bollard::container::LogOutput;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::bytes::Bytes;

use super::exec::Attached;
use super::lifecycle::no_container;
use super::{Call, Docker, Stream};
use crate::runtime::State;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// `$1` is the port. Says `open` when it is connected, then copies both ways until either side ends. The official
/// images have bash (Debian and its like) or nc (Alpine).
///
/// The last `wait` is vital: a child that outlives its shell is inherited by process 1, and a PostgreSQL that is
/// process 1 takes the end of a strange child by a signal for the crash of one of its own: it ends every session.
const COPY: &str = r#"
if command -v bash >/dev/null 2>&1; then
  exec bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    echo open
    cat <&3 & down=$!
    cat <&0 >&3 & up=$!
    wait -n "$down" "$up"
    kill "$down" "$up" 2>/dev/null
    wait' switchover "$1"
fi
command -v nc >/dev/null 2>&1 || { echo "neither bash nor nc is in this container" >&2; exit 1; }
echo open
exec nc 127.0.0.1 "$1"
"#;

/// What an engine that is near answers in; beyond it the network counts as out of reach.
const TRY: Limit<'static> = Limit { name: "1 s", value: Duration::from_secs(1) };

impl Docker {
    pub(super) async fn connect_to(
        &self,
        container: &str,
        network: &str,
        port: u16,
    ) -> Result<Box<dyn Stream>, Trouble> {
        if !self.local || self.always_tunnel || self.reachable.get() == Some(false) {
            return self.tunnel(container, port).await;
        }
        let found = self.look_at_container(container).await?.ok_or_else(|| no_container(container))?;
        if found.state != State::Running {
            return Err(Trouble::failed(format!("container {} does not run", found.name)));
        }
        let at = found.networks.into_iter().find(|at| at.network == network);
        let Some(address) = at.and_then(|at| at.address) else {
            return Err(Trouble::failed(format!("container {} has no address on network {network}", found.name)));
        };
        let target = format!("port {port} of container {} on network {network}", found.name);
        let tcp = wait::within(TRY, &format!("connecting to {target}"), async {
            Ok(TcpStream::connect((address.as_str(), port)).await)
        })
        .await;
        match tcp {
            Ok(Ok(stream)) => {
                self.reachable.set(Some(true));
                // Small packets each way, and each is waited for.
                let _only_slower = stream.set_nodelay(true);
                Ok(Box::new(stream))
            }
            Ok(Err(error)) if answers(&error) => {
                self.reachable.set(Some(true));
                Err(Trouble::failed(format!("nothing listens on {target}")).because(error))
            }
            Ok(Err(_)) | Err(_) if self.reachable.get().is_none() => {
                let stream = self.tunnel(container, port).await?;
                self.reachable.set(Some(false));
                Ok(stream)
            }
            Ok(Err(error)) => Err(Trouble::failed(format!("cannot connect to {target}")).because(error)),
            Err(late) => Err(late),
        }
    }

    pub(super) async fn tunnel(&self, container: &str, port: u16) -> Result<Box<dyn Stream>, Trouble> {
        let number = port.to_string();
        let call = Call { argv: &["sh", "-c", COPY, "switchover", &number], ..Call::default() };
        let act = format!("cannot reach port {port} inside container {container}");
        let (_, attached) =
            self.attach_exec(container, &call, true).await.map_err(|error| self.engine.trouble(&act, error))?;
        let mut tunnel = Tunnel { ends: attached, read: Bytes::new(), stderr: Vec::new() };
        let mut first = [0; 5];
        let limit = Limit { name: "the engine's patience", value: Duration::from_secs(10) };
        let opened = async { Ok(tunnel.read_exact(&mut first).await) };
        match wait::within(limit, &act, opened).await? {
            Ok(_) if first == *b"open\n" => Ok(Box::new(tunnel)),
            // An engine that cannot run `sh` says so in the place of its output.
            Ok(_) => {
                let mut rest = first.to_vec();
                let _as_far_as_it_goes = tunnel.read_to_end(&mut rest).await;
                Err(Trouble::failed(act).because(Trouble::failed(text(&rest))))
            }
            Err(_) if !tunnel.stderr.is_empty() => {
                Err(Trouble::failed(act).because(Trouble::failed(text(&tunnel.stderr))))
            }
            Err(error) => Err(Trouble::failed(act).because(error)),
        }
    }
}

/// The host is there and says no.
fn answers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// The program's standard streams as one byte stream. Cannot be closed by halves: closing the writing side ends it.
struct Tunnel {
    ends: Attached,
    /// Arrived, not read yet.
    read: Bytes,
    stderr: Vec<u8>,
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(self.ends.output.poll_next_unpin(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                Some(Ok(LogOutput::StdErr { message })) => self.stderr.extend_from_slice(&message),
                Some(Ok(part)) => self.read = part.into_bytes(),
            }
        }
        let n = self.read.len().min(into.remaining());
        into.put_slice(&self.read.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.ends.input.as_mut().poll_write(cx, from)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ends.input.as_mut().poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ends.input.as_mut().poll_shutdown(cx)
    }
}
