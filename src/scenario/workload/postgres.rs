//! One client's connection to a PostgreSQL server.

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;
use tokio_postgres::{Config, Error, NoTls};

use super::{Address, Client, Failed, Recorder};
use crate::scenario::database::Engine;
use crate::scenario::history::{Change, End, Op, Record, Side};
use crate::trouble::Trouble;

const TABLES: &str = "
    create schema if not exists scenario;
    create table if not exists scenario.rows (writer int, n bigint, value bigint not null, serial bigint not null,
        primary key (writer, n));
    create table if not exists scenario.ledger (writer int not null, n bigint not null);
    alter table scenario.ledger replica identity full;
    create sequence if not exists scenario.serial;
    truncate scenario.rows, scenario.ledger";

struct Connection {
    server: tokio_postgres::Client,
    driver: JoinHandle<Result<(), Error>>,
    /// What a failure at this moment would mean.
    stage: End,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

pub(super) async fn connect(address: &Address) -> Result<Box<dyn Client>, Trouble> {
    let mut config = Config::new();
    config.host(&address.host).port(address.port).user(&address.user).password(&address.password);
    config.dbname(address.database.as_ref().unwrap_or(&address.user)).application_name("switchover-scenario");
    let (server, connection) = config.connect(NoTls).await.map_err(|e| Trouble::failed(short(&e)))?;
    Ok(Box::new(Connection { server, driver: tokio::spawn(connection), stage: End::Refused }))
}

#[async_trait(?Send)]
impl Client for Connection {
    fn is_closed(&self) -> bool {
        self.server.is_closed()
    }

    fn stage(&self) -> End {
        self.stage
    }

    fn clear_stage(&mut self) {
        self.stage = End::Refused;
    }

    async fn make_tables(&mut self) -> Result<(), Trouble> {
        self.server.batch_execute(TABLES).await.map_err(|error| Trouble::failed(short(&error)))
    }

    async fn transact(&mut self, op: &Op) -> Result<(Side, Option<i64>), Failed> {
        self.server.batch_execute("begin").await.map_err(|error| self.failed(&error))?;
        self.stage = End::Middle;
        let change = match op.change {
            Change::Insert => "insert into scenario.rows values ($1, $3, $2, nextval('scenario.serial'))",
            Change::Update => "update scenario.rows set value = $2 where writer = $1 and n = $3",
            Change::Delete => "delete from scenario.rows where writer = $1 and n = $3",
        };
        let (ledger, side) = ("insert into scenario.ledger values ($1, $2)", Engine::Postgres.side());
        let sql = format!("with ledger as ({ledger}) {change} returning serial, ({side})");
        let values = [(&op.writer as _, Type::INT4), (&op.n as _, Type::INT8), (&op.row as _, Type::INT8)];
        let rows = self.server.query_typed(&sql, &values).await.map_err(|error| self.failed(&error))?;
        let Some(row) = rows.first() else {
            return Err(Failed { end: End::Middle, why: format!("row {} is gone", op.row) });
        };
        let (serial, side) = (row.get(0), Side(row.get(1)));
        // From here on only an answer tells: an error, too, can come after the commit.
        self.stage = End::Unknown;
        self.server.batch_execute("commit").await.map_err(|error| self.failed(&error))?;
        Ok((side, (op.change == Change::Insert).then_some(serial)))
    }

    async fn find(&mut self, writer: i32, row: i64) -> Result<bool, Failed> {
        let sql = "select 1 from scenario.rows where writer = $1 and n = $2";
        let values = [(&writer as _, Type::INT4), (&row as _, Type::INT8)];
        let rows = self.server.query_typed(sql, &values).await.map_err(|error| self.failed(&error))?;
        Ok(!rows.is_empty())
    }

    async fn read_all(&mut self, recorder: &Recorder) -> Result<Side, Trouble> {
        self.tell_all(recorder).await.map_err(|error| Trouble::failed(short(&error)))
    }
}

impl Connection {
    async fn tell_all(&self, recorder: &Recorder) -> Result<Side, Error> {
        self.server.batch_execute("begin isolation level repeatable read, read only").await?;
        for row in self.server.query("select writer, n, value, serial from scenario.rows", &[]).await? {
            let [n, value, serial] = [1, 2, 3].map(|at| row.get(at));
            recorder.tell(Record::Row { writer: row.get(0), n, value, serial });
        }
        let ledger = "select writer, n, count(*) from scenario.ledger group by writer, n";
        for row in self.server.query(ledger, &[]).await? {
            recorder.tell(Record::Ledger { writer: row.get(0), n: row.get(1), times: row.get(2) });
        }
        let row = self.server.query_one(Engine::Postgres.side(), &[]).await?;
        self.server.batch_execute("commit").await?;
        Ok(Side(row.get(0)))
    }

    fn failed(&self, error: &Error) -> Failed {
        Failed { end: self.stage, why: short(error) }
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
