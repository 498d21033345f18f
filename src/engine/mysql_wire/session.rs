//! One connection to one server, pinned so that nothing of the user's settings reaches into it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder, Row, Value};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::quote::literal;
use crate::runtime::Stream;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// The largest row that any server sends. The driver would go by the server's setting, which binds what is sent to it only.
const LARGEST: usize = 1 << 30;

/// How much is carried at a time: rows in bulk come in packets of many kilobytes.
const BLOCK: usize = 128 << 10;

/// Who connects.
pub(in crate::engine) struct Login<'a> {
    pub(in crate::engine) user: &'a str,
    pub(in crate::engine) password: Option<&'a SecretString>,
}

/// Limits of a session. Zero means none.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Timeouts {
    pub(in crate::engine) statement: Duration,
    pub(in crate::engine) lock: Duration,
}

impl Timeouts {
    /// For statements that are short by nature.
    pub(in crate::engine) fn short(statement: Duration) -> Self {
        Timeouts { statement, lock: statement.min(Duration::from_secs(2)) }
    }
    /// For long reads, which have limits of their own.
    pub(in crate::engine) const NONE: Timeouts = Timeouts { statement: Duration::ZERO, lock: Duration::ZERO };
}

pub(in crate::engine) struct Session {
    conn: Mutex<Conn>,
    /// The server's number for it.
    id: u32,
    /// As in `9.7.4-2`, `10.11.18-MariaDB-…`.
    version: String,
    alive: Arc<AtomicBool>,
    /// Longer than the server's own limit: catches a server that is frozen or gone without a word.
    patience: Option<Duration>,
}

impl Session {
    /// Connects over `stream` and pins the session.
    pub(in crate::engine) async fn open(
        stream: Box<dyn Stream>,
        login: &Login<'_>,
        timeouts: Timeouts,
    ) -> Result<Session, Trouble> {
        let limit = Limit { name: "limits.statement", value: timeouts.statement.max(Duration::from_secs(5)) };
        let alive = Arc::new(AtomicBool::new(true));
        let port = carried(stream, Arc::clone(&alive)).await?;
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .user(Some(login.user))
            .pass(login.password.map(ExposeSecret::expose_secret))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .max_allowed_packet(Some(LARGEST))
            .stmt_cache_size(0);
        let connecting = async { Conn::new(opts).await.map_err(|error| cannot_connect(login, error)) };
        let conn = wait::within(limit, "connecting to the server", connecting).await?;
        let patience = (!timeouts.statement.is_zero()).then(|| timeouts.statement + Duration::from_secs(1));
        let id = conn.id();
        let mut session = Session { conn: Mutex::new(conn), id, version: String::new(), alive, patience };
        session.version = session.text("SELECT VERSION()").await?.unwrap_or_default();
        for pin in pins(timeouts, session.is_mariadb()) {
            session.run(&pin).await?;
        }
        Ok(session)
    }

    pub(in crate::engine) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    pub(in crate::engine) fn id(&self) -> u32 {
        self.id
    }

    pub(in crate::engine) fn version(&self) -> &str {
        &self.version
    }

    pub(in crate::engine) fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }

    /// One statement, whatever it answers.
    pub(in crate::engine) async fn run(&self, sql: &str) -> Result<(), Trouble> {
        self.patiently(async { self.conn.lock().await.query_drop(sql).await }).await
    }

    /// The first value of the first row.
    pub(in crate::engine) async fn text(&self, sql: &str) -> Result<Option<String>, Trouble> {
        Ok(self.rows(sql).await?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// A number, where there is one.
    pub(in crate::engine) async fn number(&self, sql: &str) -> Result<Option<u64>, Trouble> {
        Ok(self.text(sql).await?.and_then(|text| text.parse().ok()))
    }

    /// All rows, as texts; what is no UTF-8 is shown by its nearest form.
    pub(in crate::engine) async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Trouble> {
        let rows: Vec<Row> = self.patiently(async { self.conn.lock().await.query(sql).await }).await?;
        Ok(rows.into_iter().map(|row| values(row).map(text_of).collect()).collect())
    }

    /// The first two columns of all rows; rows without a first are left out, and a second that is not there is empty.
    pub(in crate::engine) async fn pairs(&self, sql: &str) -> Result<Vec<(String, String)>, Trouble> {
        let pair = |row: Vec<Option<String>>| {
            let mut values = row.into_iter();
            Some((values.next().flatten()?, values.next().flatten().unwrap_or_default()))
        };
        Ok(self.rows(sql).await?.into_iter().filter_map(pair).collect())
    }

    /// The first column of all rows, where there is something in it.
    pub(in crate::engine) async fn list(&self, sql: &str) -> Result<Vec<String>, Trouble> {
        Ok(self.rows(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
    }

    /// The first row, by the names of its columns: for statements that are no SELECT.
    pub(in crate::engine) async fn named(&self, sql: &str) -> Result<Option<BTreeMap<String, String>>, Trouble> {
        let rows: Vec<Row> = self.patiently(async { self.conn.lock().await.query(sql).await }).await?;
        Ok(rows.into_iter().next().map(|row| {
            let names: Vec<String> = row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
            let values = values(row).map(text_of);
            names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect()
        }))
    }

    /// The first row, by the names of its columns, with its values as the server has them: texts of others' making need
    /// not be in UTF-8.
    pub(in crate::engine) async fn bytes(&self, sql: &str) -> Result<Option<BTreeMap<String, Vec<u8>>>, Trouble> {
        let rows: Vec<Row> = self.patiently(async { self.conn.lock().await.query(sql).await }).await?;
        Ok(rows.into_iter().next().map(|row| {
            let names: Vec<String> = row.columns_ref().iter().map(|column| column.name_str().into_owned()).collect();
            let values = values(row);
            let bytes = |(name, value)| match value {
                Value::Bytes(bytes) => Some((name, bytes)),
                other => Some((name, text_of(other)?.into_bytes())),
            };
            names.into_iter().zip(values).filter_map(bytes).collect()
        }))
    }

    /// One statement that need not be in UTF-8.
    pub(in crate::engine) async fn run_bytes(&self, sql: &[u8]) -> Result<(), Trouble> {
        self.patiently(async { self.conn.lock().await.query_drop(sql).await }).await
    }

    /// For what moves rows in bulk: the connection itself, with no limit but the caller's.
    pub(in crate::engine) async fn raw(&self) -> tokio::sync::MutexGuard<'_, Conn> {
        self.conn.lock().await
    }

    async fn patiently<T>(&self, act: impl Future<Output = Result<T, Error>>) -> Result<T, Trouble> {
        let act = async { act.await.map_err(|error| self.failed(error)) };
        match self.patience {
            None => act.await,
            Some(value) => {
                let done = wait::within(Limit { name: "limits.statement", value }, "a statement", act).await;
                // An answer that may still come would be taken for that of the next statement.
                if done.as_ref().is_err_and(|trouble| code_of(trouble).is_none()) {
                    self.alive.store(false, Ordering::Release);
                }
                done
            }
        }
    }

    /// The server's own words; for what we run these name objects, never a row's content.
    pub(in crate::engine) fn failed(&self, error: Error) -> Trouble {
        if let Error::Server(server) = &error {
            let what = format!("the server says: {} ({})", server.message, server.code);
            return Trouble::failed(what).because(Silent(error));
        }
        self.alive.store(false, Ordering::Release);
        Trouble::failed("the session with the server broke").because(error)
    }
}

/// An error that was told already: kept for its code.
#[derive(Debug)]
struct Silent(Error);

impl std::fmt::Display for Silent {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}
impl std::error::Error for Silent {}

/// All of a row's values: it is whole, as nothing was taken out of it.
pub(in crate::engine) fn values(row: Row) -> impl Iterator<Item = Value> {
    row.unwrap_raw().into_iter().map(|value| value.unwrap_or(Value::NULL))
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

/// The driver connects to addresses only: one of our own, on loopback, for one connection, carried on over `stream`.
/// Whoever got in before the driver would meet nothing but the server's own question for a password.
async fn carried(mut stream: Box<dyn Stream>, alive: Arc<AtomicBool>) -> Result<u16, Trouble> {
    let no_loopback = |error| Trouble::failed("cannot listen on loopback").because(error);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_loopback)?;
    let port = listener.local_addr().map_err(no_loopback)?.port();
    tokio::spawn(async move {
        if let Ok((mut near, _)) = listener.accept().await {
            drop(listener);
            let _no_delay = near.set_nodelay(true);
            // The error reaches whoever uses the session next.
            let _ended = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut stream, BLOCK, BLOCK).await;
        }
        alive.store(false, Ordering::Release);
    });
    Ok(port)
}

/// Nothing of the user's settings applies: modes, time zone, character set, limits.
fn pins(timeouts: Timeouts, mariadb: bool) -> Vec<String> {
    /// In seconds: the most that every version takes for a session's idle time, and longer than any run rests.
    const LONG: u64 = 2_147_483;
    let lock = if timeouts.lock.is_zero() { LONG } else { timeouts.lock.as_secs().max(1) };
    let limit = match mariadb {
        true => format!("max_statement_time = {}", timeouts.statement.as_secs_f64()),
        false => format!("max_execution_time = {}", timeouts.statement.as_millis()),
    };
    // What goes into a log with our statements every version knows.
    let names = if mariadb { "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci" } else { "SET NAMES utf8mb4" };
    vec![
        names.into(),
        format!(
            "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00', autocommit = 1, \
             lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}, wait_timeout = {LONG}, \
             interactive_timeout = {LONG}, net_read_timeout = 600, net_write_timeout = 600, {limit}"
        ),
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".into(),
    ]
}

fn cannot_connect(login: &Login<'_>, error: Error) -> Trouble {
    let who = literal(login.user);
    match &error {
        Error::Server(server) => {
            Trouble::failed(format!("cannot log in as {who}: {} ({})", server.message, server.code))
                .because(Silent(error))
        }
        _ => Trouble::failed(format!("cannot log in as {who}")).because(error),
    }
}

/// The server's number of an error; `None`: it was none of the server's.
pub(in crate::engine) fn code_of(trouble: &Trouble) -> Option<u16> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = trouble.source.as_deref().map(|error| error as _);
    while let Some(error) = next {
        let known = error.downcast_ref::<Silent>().map(|silent| &silent.0).or_else(|| error.downcast_ref::<Error>());
        if let Some(Error::Server(server)) = known {
            return Some(server.code);
        }
        next = error.source();
    }
    None
}

/// What a server said when it did not let us in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Turned {
    /// No such account, a wrong password, or none for where we come from.
    Away,
    /// No connection left.
    Full,
    /// It stops.
    Later,
}

pub(in crate::engine) fn turned(trouble: &Trouble) -> Option<Turned> {
    match code_of(trouble)? {
        1044 | 1045 | 1130 | 1698 | 1862 | 3118 | 4151 => Some(Turned::Away),
        1040 | 1203 => Some(Turned::Full),
        1053 | 3032 => Some(Turned::Later),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_written_as_each_server_knows_them() {
        let short = Timeouts::short(Duration::from_secs(5));
        assert!(pins(short, false)[1].contains("max_execution_time = 5000"));
        assert!(pins(short, true)[1].contains("max_statement_time = 5"));
        assert!(pins(Timeouts::NONE, true)[1].contains("max_statement_time = 0"));
        assert!(pins(short, false)[1].contains("lock_wait_timeout = 2,"));
    }
}
