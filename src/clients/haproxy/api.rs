//! HAProxy's runtime API: a line each way. By itself it hangs up after one answer; asked for a prompt it stays.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::plan::HaproxyApi;
use crate::runtime::{Runtime, State, Stream};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// What ends an answer.
const PROMPT: &[u8] = b"\n> ";

/// One answer: HAProxy has it ready.
const ANSWER: Limit<'static> = Limit { name: "HAProxy's patience", value: Duration::from_secs(3) };

/// How long the connection may be silent, in seconds: longer than anybody waits between `ready` and the window's end.
const IDLE: u32 = 86_400;

pub(super) struct Api {
    at: HaproxyApi,
    runtime: Rc<dyn Runtime>,
    /// Taken out while it is used: one that was dropped half-way is never used again.
    kept: RefCell<Option<Box<dyn Stream>>>,
}

impl Api {
    pub(super) fn new(at: HaproxyApi, runtime: Rc<dyn Runtime>) -> Api {
        Api { at, runtime, kept: RefCell::default() }
    }

    /// As a person would say where it is.
    pub(super) fn name(&self) -> String {
        match &self.at {
            HaproxyApi::Socket(path) => path.display().to_string(),
            HaproxyApi::Tcp(address) => address.clone(),
            HaproxyApi::Container { container, .. } => container.clone(),
        }
    }

    /// Nothing is asked over what was opened so far: HAProxy may have been read anew, and its old process still answers.
    pub(super) fn forget(&self) {
        self.kept.take();
    }

    /// A connection is open, and to the process that takes clients.
    pub(super) async fn ensure_open(&self) -> Result<(), Trouble> {
        let info = self.ask("show info").await?;
        if info.lines().any(|line| line.trim_end() == "Stopping: 1") {
            self.forget();
            self.ask("show info").await?;
        }
        Ok(())
    }

    /// The answer to a command. A connection that has died is opened anew, as every command may be repeated.
    pub(super) async fn ask(&self, command: &str) -> Result<String, Trouble> {
        match self.ask_if_it_runs(command).await? {
            Some(answer) => Ok(answer),
            None => Err(Trouble::failed(format!("HAProxy does not run: nobody answers at {}", self.name()))),
        }
    }

    /// `None`: there is no HAProxy that could answer.
    pub(super) async fn ask_if_it_runs(&self, command: &str) -> Result<Option<String>, Trouble> {
        if let Some(mut kept) = self.kept.take()
            && let Ok(answer) = self.answer(&mut kept, command).await
        {
            self.kept.replace(Some(kept));
            return Ok(Some(answer));
        }
        let Some(mut stream) = self.connect().await? else { return Ok(None) };
        let answer = self.answer(&mut stream, command).await?;
        self.kept.replace(Some(stream));
        Ok(Some(answer))
    }

    async fn answer(&self, stream: &mut Box<dyn Stream>, command: &str) -> Result<String, Trouble> {
        let asked = async {
            stream.write_all(command.as_bytes()).await?;
            stream.write_all(b"\n").await?;
            stream.flush().await?;
            let mut answer = Vec::new();
            while !answer.ends_with(PROMPT) {
                if stream.read_buf(&mut answer).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            answer.truncate(answer.len() - PROMPT.len());
            Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        let what = format!("HAProxy's answer at {}", self.name());
        let answered = wait::within(ANSWER, &what, async { Ok(asked.await) }).await?;
        answered.map_err(|error| Trouble::failed(format!("HAProxy at {} hung up", self.name())).because(error))
    }

    async fn connect(&self) -> Result<Option<Box<dyn Stream>>, Trouble> {
        let cannot =
            |error| Trouble::failed(format!("cannot reach HAProxy's runtime API at {}", self.name())).because(error);
        let mut stream = match self.dial().await? {
            Ok(stream) => stream,
            Err(error) if nobody(&error) => return Ok(None),
            Err(error) => return Err(cannot(error)),
        };
        self.answer(&mut stream, "prompt").await?;
        // One that does not know it says so, and is as patient as it is.
        self.answer(&mut stream, &format!("set timeout cli {IDLE}")).await?;
        Ok(Some(stream))
    }

    async fn dial(&self) -> Result<io::Result<Box<dyn Stream>>, Trouble> {
        let boxed = |stream| Box::new(stream) as Box<dyn Stream>;
        let what = format!("connecting to {}", self.name());
        match &self.at {
            HaproxyApi::Socket(path) => {
                let dialled = async { Ok(UnixStream::connect(path).await) };
                Ok(wait::within(ANSWER, &what, dialled).await?.map(|stream| Box::new(stream) as Box<dyn Stream>))
            }
            HaproxyApi::Tcp(address) => {
                let dialled = async { Ok(TcpStream::connect(address.as_str()).await) };
                let stream = wait::within(ANSWER, &what, dialled).await?;
                Ok(stream.map(|stream| {
                    let _only_slower = stream.set_nodelay(true);
                    boxed(stream)
                }))
            }
            HaproxyApi::Container { container, network, port } => {
                let found = self.runtime.container(container).await?;
                if found.is_none_or(|found| found.state != State::Running) {
                    return Ok(Err(io::ErrorKind::ConnectionRefused.into()));
                }
                match self.runtime.dial(container, network, *port).await {
                    Ok(stream) => Ok(Ok(stream)),
                    // It may listen on its loopback only.
                    Err(first) => self.runtime.dial_inside(container, *port).await.map(Ok).map_err(|_| first),
                }
            }
        }
    }
}

/// Nothing is there, as against: it cannot be told.
fn nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}
