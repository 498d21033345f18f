//! One client's connection to a PostgreSQL server.

use std::cell::Cell;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Config, Error, NoTls};

use super::Recorder;
use crate::scenario::history::{Change, End, Op, Record, Side};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// A connection that is not there after this time is tried again.
const CONNECT: Limit<'_> = Limit { name: "connect-timeout", value: Duration::from_secs(2) };

/// The ledger has no key on purpose: a transaction that is applied twice must show, not fail.
const TABLES: &str = "
    create schema if not exists scenario;
    create table if not exists scenario.rows (writer int, n bigint, value bigint not null, serial bigint not null,
        primary key (writer, n));
    create table if not exists scenario.ledger (writer int not null, n bigint not null);
    alter table scenario.ledger replica identity full;
    create sequence if not exists scenario.serial;
    truncate scenario.rows, scenario.ledger";

/// The server's start names the side: a promoted replica keeps its own, and nobody else has it.
const ANSWER: &str = "returning serial, (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";
const SIDE: &str = "select (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";

pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) database: String,
}

/// A transaction that did not end well.
pub(super) struct Failed {
    pub(super) end: End,
    pub(super) why: String,
}

pub(super) struct Client {
    server: tokio_postgres::Client,
    driver: JoinHandle<Result<(), Error>>,
    /// What a failure at this moment would mean.
    stage: Cell<End>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Client {
    /// Resolves the name anew each time.
    pub(super) async fn connect(address: &Address) -> Result<Self, Trouble> {
        let mut config = Config::new();
        config.host(&address.host).port(address.port).user(&address.user).password(&address.password);
        config.dbname(&address.database).application_name("switchover-scenario");
        let connecting = async { config.connect(NoTls).await.map_err(|e| Trouble::failed(short(&e))) };
        let (server, connection) = wait::within(CONNECT, "connecting", connecting).await?;
        Ok(Client { server, driver: tokio::spawn(connection), stage: Cell::new(End::Refused) })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.server.is_closed()
    }

    pub(super) fn clear_stage(&self) {
        self.stage.set(End::Refused);
    }

    pub(super) fn stage(&self) -> End {
        self.stage.get()
    }

    pub(super) async fn make_tables(&mut self) -> Result<(), Error> {
        self.server.batch_execute(TABLES).await
    }

    /// Begin, change one row and the ledger, commit; answers who did it and the number from the sequence.
    pub(super) async fn transact(&self, op: &Op) -> Result<(Side, i64), Failed> {
        self.server.batch_execute("begin").await.map_err(|error| self.failed(&error))?;
        self.stage.set(End::Middle);
        let change = match op.change {
            Change::Insert => "insert into scenario.rows values ($1, $3, $2, nextval('scenario.serial'))",
            Change::Update => "update scenario.rows set value = $2 where writer = $1 and n = $3",
            Change::Delete => "delete from scenario.rows where writer = $1 and n = $3",
        };
        let sql = format!("with ledger as (insert into scenario.ledger values ($1, $2)) {change} {ANSWER}");
        let values = [(&op.writer as _, Type::INT4), (&op.n as _, Type::INT8), (&op.row as _, Type::INT8)];
        let rows = self.server.query_typed(&sql, &values).await.map_err(|error| self.failed(&error))?;
        let Some(row) = rows.first() else {
            return Err(Failed { end: End::Middle, why: format!("row {} is gone", op.row) });
        };
        let (serial, side) = (row.get(0), Side(row.get(1)));
        // From here on only an answer tells: an error, too, can come after the commit.
        self.stage.set(End::Unknown);
        self.server.batch_execute("commit").await.map_err(|error| self.failed(&error))?;
        Ok((side, serial))
    }

    /// Whether the row is there.
    pub(super) async fn find(&self, writer: i32, row: i64) -> Result<bool, Failed> {
        let sql = "select 1 from scenario.rows where writer = $1 and n = $2";
        let values = [(&writer as _, Type::INT4), (&row as _, Type::INT8)];
        let rows = self.server.query_typed(sql, &values).await.map_err(|error| self.failed(&error))?;
        Ok(!rows.is_empty())
    }

    /// Tells every row of the final tables, of one snapshot.
    pub(super) async fn read_all(&self, recorder: &Recorder) -> Result<Side, Error> {
        self.server.batch_execute("begin isolation level repeatable read, read only").await?;
        for row in self.server.query("select writer, n, value, serial from scenario.rows", &[]).await? {
            let [n, value, serial] = [1, 2, 3].map(|at| row.get(at));
            recorder.tell(Record::Row { writer: row.get(0), n, value, serial });
        }
        let ledger = "select writer, n, count(*) from scenario.ledger group by writer, n";
        for row in self.server.query(ledger, &[]).await? {
            recorder.tell(Record::Ledger { writer: row.get(0), n: row.get(1), times: row.get(2) });
        }
        let row = self.server.query_one(SIDE, &[]).await?;
        self.server.batch_execute("commit").await?;
        Ok(Side(row.get(0)))
    }

    fn failed(&self, error: &Error) -> Failed {
        Failed { end: self.stage.get(), why: short(error) }
    }
}

/// An error in a few words: the server's own, or what happened to the connection.
fn short(error: &Error) -> String {
    match error.as_db_error() {
        Some(answer) => format!("{} {}", answer.code().code(), answer.message()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}
