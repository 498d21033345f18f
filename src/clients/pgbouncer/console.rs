//! PgBouncer's console: a connection to a database that is not one. It knows the simple protocol only, and answers with
//! tables. Its words are PgBouncer's own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::net::TcpStream;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::plan::{BouncerConsole, ConsoleAt};
use crate::runtime::{Runtime, State, Stream};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// One answer, but for a pause, which waits for transactions.
const ANSWER: Limit<'static> = Limit { name: "PgBouncer's patience", value: Duration::from_secs(3) };

/// A line of a table, by the names of its columns.
pub(super) type Row = BTreeMap<String, String>;

pub(super) struct Console {
    at: BouncerConsole,
    runtime: Rc<dyn Runtime>,
    kept: RefCell<Option<Client>>,
}

impl Console {
    pub(super) fn new(at: BouncerConsole, runtime: Rc<dyn Runtime>) -> Console {
        Console { at, runtime, kept: RefCell::default() }
    }

    /// As a person would say where it is.
    pub(super) fn name(&self) -> String {
        match &self.at.at {
            ConsoleAt::Tcp { host, port } => format!("{host}:{port}"),
            ConsoleAt::Container { container, .. } => container.clone(),
        }
    }

    pub(super) fn forget(&self) {
        self.kept.take();
    }

    pub(super) async fn ensure_open(&self) -> Result<(), Trouble> {
        self.ask("SHOW VERSION").await.map(drop)
    }

    /// The answer to a command, which may be repeated: a connection that has died is opened anew.
    pub(super) async fn ask(&self, command: &str) -> Result<Vec<Row>, Trouble> {
        self.ask_if_it_runs(command)
            .await?
            .ok_or_else(|| Trouble::failed(format!("PgBouncer does not run: nobody answers at {}", self.name())))
    }

    /// `None`: there is no PgBouncer that could answer.
    pub(super) async fn ask_if_it_runs(&self, command: &str) -> Result<Option<Vec<Row>>, Trouble> {
        let kept = self.kept.take().filter(|client| !client.is_closed());
        let client = match kept {
            Some(client) => client,
            None => match self.connect().await? {
                Some(client) => client,
                None => return Ok(None),
            },
        };
        let what = format!("PgBouncer's answer at {}", self.name());
        let rows = wait::within(ANSWER, &what, async { self.rows(&client, command).await }).await?;
        self.kept.replace(Some(client));
        Ok(Some(rows))
    }

    /// Over a connection of its own, as its answer may come late: whoever gives up has dropped it.
    pub(super) async fn ask_patiently(&self, command: &str) -> Result<(), Trouble> {
        let client = match self.kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?.ok_or_else(|| Trouble::failed("PgBouncer does not run"))?,
        };
        self.rows(&client, command).await?;
        self.kept.replace(Some(client));
        Ok(())
    }

    async fn rows(&self, client: &Client, command: &str) -> Result<Vec<Row>, Trouble> {
        let answer = client.simple_query(command).await;
        let answer = answer.map_err(|error| self.trouble(&format!("PgBouncer refuses `{command}`"), &error))?;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => {
                let columns = row.columns().iter().enumerate();
                let column = |(at, column): (usize, &tokio_postgres::SimpleColumn)| {
                    Some((column.name().to_owned(), row.get(at)?.to_owned()))
                };
                Some(columns.filter_map(column).collect())
            }
            _ => None,
        };
        Ok(answer.into_iter().filter_map(row).collect())
    }

    async fn connect(&self) -> Result<Option<Client>, Trouble> {
        let stream = match self.dial().await? {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
            Err(error) => {
                return Err(Trouble::failed(format!("cannot reach PgBouncer at {}", self.name())).because(error));
            }
        };
        let mut config = tokio_postgres::Config::new();
        config.user(&self.at.user).dbname("pgbouncer").application_name("switchover");
        if let Some(password) = &self.at.password {
            config.password(password.read()?.expose_secret());
        }
        let what = format!("logging in to PgBouncer at {}", self.name());
        let connected = wait::within(ANSWER, &what, async { Ok(config.connect_raw(stream, NoTls).await) }).await?;
        let (client, connection) =
            connected.map_err(|error| self.trouble("PgBouncer's console lets nobody in", &error))?;
        tokio::spawn(async move {
            // The error reaches whoever asks next.
            let _ended = connection.await;
        });
        Ok(Some(client))
    }

    async fn dial(&self) -> Result<io::Result<Box<dyn Stream>>, Trouble> {
        match &self.at.at {
            ConsoleAt::Tcp { host, port } => {
                let what = format!("connecting to {}", self.name());
                let dialled = async { Ok(TcpStream::connect((host.as_str(), *port)).await) };
                let stream = wait::within(ANSWER, &what, dialled).await?;
                Ok(stream.map(|stream| {
                    let _only_slower = stream.set_nodelay(true);
                    Box::new(stream) as Box<dyn Stream>
                }))
            }
            ConsoleAt::Container { container, network, port } => {
                let found = self.runtime.container(container).await?;
                if found.is_none_or(|found| found.state != State::Running) {
                    return Ok(Err(io::ErrorKind::ConnectionRefused.into()));
                }
                self.runtime.dial(container, network, *port).await.map(Ok)
            }
        }
    }

    /// The console's own words hold no secret: of what was said to it, they repeat the command's name.
    fn trouble(&self, what: &str, error: &tokio_postgres::Error) -> Trouble {
        let why = match (error.as_db_error(), std::error::Error::source(error)) {
            (Some(said), _) => said.message().to_owned(),
            (None, Some(cause)) => cause.to_string(),
            (None, None) => error.to_string(),
        };
        Trouble::failed(format!("{what} ({})", self.name())).because(Trouble::failed(why))
    }
}
