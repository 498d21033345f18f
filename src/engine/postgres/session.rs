//! One connection to one server, pinned so that nothing of the user's can reach into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio_postgres::error::DbError;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, NoTls, Row, SimpleQueryMessage, Statement, ToStatement};

use super::names::literal;
use crate::runtime::Stream;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Who connects, to which database.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: Option<&'a SecretString>,
    pub(super) database: &'a str,
    /// Shown in V1's list of sessions.
    pub(super) application: &'a str,
}

/// Limits of a session. Zero means none, as in PostgreSQL.
#[derive(Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) statement: Duration,
    pub(super) lock: Duration,
}

impl Timeouts {
    /// For statements that are short by nature.
    pub(super) fn short(statement: Duration) -> Self {
        Timeouts { statement, lock: statement.min(Duration::from_secs(2)) }
    }
    /// For the dead-man's switch and for long reads, which have limits of their own.
    pub(super) const NONE: Timeouts = Timeouts { statement: Duration::ZERO, lock: Duration::ZERO };
}

pub(super) struct Session {
    client: Client,
    alive: Arc<AtomicBool>,
    /// Longer than the server's own limit: catches a server that is frozen or gone without a word.
    patience: Option<Duration>,
}

impl Session {
    /// Connects over `stream` and pins the session: `search_path`, timeouts, connection checks off.
    pub(super) async fn open(
        stream: Box<dyn Stream>,
        login: &Login<'_>,
        timeouts: Timeouts,
    ) -> Result<Session, Trouble> {
        let mut config = tokio_postgres::Config::new();
        config.user(login.user).dbname(login.database).application_name(login.application);
        if let Some(password) = login.password {
            config.password(password.expose_secret());
        }
        let limit = Limit { name: "limits.statement", value: timeouts.statement.max(Duration::from_secs(5)) };
        let connecting =
            async { config.connect_raw(stream, NoTls).await.map_err(|error| cannot_connect(login, error)) };
        let (client, connection) = wait::within(limit, "connecting to PostgreSQL", connecting).await?;
        let alive = Arc::new(AtomicBool::new(true));
        let flag = Arc::clone(&alive);
        tokio::spawn(async move {
            // The error reaches whoever uses the client next.
            let _ended = connection.await;
            flag.store(false, Ordering::Release);
        });
        let patience = (!timeouts.statement.is_zero()).then(|| timeouts.statement + Duration::from_secs(1));
        let session = Session { client, alive, patience };
        session.run(&pins(timeouts)).await?;
        Ok(session)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) && !self.client.is_closed()
    }

    /// One or more statements, no result.
    pub(super) async fn run(&self, sql: &str) -> Result<(), Trouble> {
        self.patiently(async { self.client.batch_execute(sql).await.map_err(failed) }).await
    }

    /// One value of one row.
    pub(super) async fn value<T: FromSqlOwned>(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<T, Trouble> {
        column(&self.row(sql, params).await?, 0)
    }

    /// One row. `statement`: as text, or prepared.
    pub(super) async fn row<S: ?Sized + ToStatement>(
        &self,
        statement: &S,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Trouble> {
        self.patiently(async { self.client.query_one(statement, params).await.map_err(failed) }).await
    }

    /// For a statement that is to take no time when its moment has come.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, Trouble> {
        self.patiently(async { self.client.prepare(sql).await.map_err(failed) }).await
    }

    /// One value as text over the simple protocol: one round trip, nothing prepared. For use inside the window.
    pub(super) async fn text(&self, sql: &str) -> Result<Option<String>, Trouble> {
        self.patiently(async {
            let messages = self.client.simple_query(sql).await.map_err(failed)?;
            Ok(messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            }))
        })
        .await
    }

    /// One JSON value, read into `T`: how a whole look at a server is one statement.
    pub(super) async fn json<T: DeserializeOwned>(&self, sql: &str) -> Result<T, Trouble> {
        let text = self.text(sql).await?.unwrap_or_else(|| "null".into());
        serde_json::from_str(&text)
            .map_err(|error| Trouble::bug("PostgreSQL's answer was not understood").because(error))
    }

    /// 13, 17 …
    pub(super) async fn major(&self) -> Result<u32, Trouble> {
        let text = self.text("SELECT current_setting('server_version_num')::int / 10000").await?.unwrap_or_default();
        text.parse().map_err(|_| Trouble::bug("a version that is no number"))
    }

    async fn patiently<T>(&self, act: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        match self.patience {
            None => act.await,
            Some(value) => {
                wait::within(Limit { name: "limits.statement", value }, "a statement on PostgreSQL", act).await
            }
        }
    }
}

/// A value of a row.
pub(super) fn column<T: FromSqlOwned>(row: &Row, number: usize) -> Result<T, Trouble> {
    row.try_get(number).map_err(failed)
}

/// Nothing of the user's settings applies: superuser sessions have resolved planted operators before
/// (CVE-2026-55769 of another tool), and role or database settings may carry timeouts.
fn pins(timeouts: Timeouts) -> String {
    let ms = |time: Duration| time.as_millis();
    format!(
        "SET search_path = pg_catalog, pg_temp; SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = 0; SET default_transaction_read_only = off; \
         SET default_transaction_isolation = 'read committed'; SET synchronous_commit = local; \
         SET DateStyle = ISO; SET client_min_messages = warning; SET row_security = off; \
         SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings \
          WHERE name IN ('idle_session_timeout', 'transaction_timeout', 'client_connection_check_interval')",
        ms(timeouts.statement),
        ms(timeouts.lock),
    )
}

/// The server's own words, with its detail and hint; these name objects, never rows' content, for what we run.
fn failed(error: tokio_postgres::Error) -> Trouble {
    match error.as_db_error() {
        Some(db) => {
            let mut trouble = Trouble::failed(format!("PostgreSQL says: {} ({})", db.message(), db.code().code()));
            if let Some(hint) = db.hint() {
                trouble = trouble.hint(hint);
            }
            trouble
        }
        None => Trouble::failed("the session with PostgreSQL broke").because(error),
    }
}

fn cannot_connect(login: &Login<'_>, error: tokio_postgres::Error) -> Trouble {
    let trouble =
        Trouble::failed(format!("cannot log in as {} to database {}", literal(login.user), literal(login.database)));
    // "db error" says nothing; the server's words are underneath.
    match error.as_db_error().cloned() {
        Some(db) => trouble.because(db),
        None => trouble.because(error),
    }
}

/// What a server said when it did not let us in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    /// No such role, wrong password, no rule for us, or a password is asked for that we do not have.
    Away,
    NoSuchDatabase,
    /// It starts, stops, or is not yet consistent: worth another try.
    Later,
}

/// Why a login failed; `None`: nothing was said (no connection, or another kind of error).
pub(super) fn turned(trouble: &Trouble) -> Option<Turned> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = trouble.source.as_deref().map(|error| error as _);
    while let Some(error) = next {
        if let Some(db) = error.downcast_ref::<DbError>() {
            return match db.code().code() {
                "28000" | "28P01" => Some(Turned::Away),
                "3D000" => Some(Turned::NoSuchDatabase),
                "57P03" | "57P01" | "57P02" => Some(Turned::Later),
                _ => None,
            };
        }
        if error.to_string() == "password missing" {
            return Some(Turned::Away);
        }
        next = error.source();
    }
    None
}
