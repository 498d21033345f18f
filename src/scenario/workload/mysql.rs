//! One client's connection to a MySQL or MariaDB server.

use async_trait::async_trait;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder};

use super::{Address, Client, Failed, Recorder};
use crate::scenario::database::Engine;
use crate::scenario::history::{Change, End, Op, Record, Side};
use crate::trouble::Trouble;

/// The serial has an index, as the server demands, and no unique one: a number that is given twice must show, not fail.
const TABLES: [&str; 5] = [
    "create database if not exists scenario",
    "create table if not exists scenario.rows (writer int not null, n bigint not null, value bigint not null,
        serial bigint not null auto_increment, primary key (writer, n), key (serial)) engine = innodb",
    "create table if not exists scenario.ledger (writer int not null, n bigint not null) engine = innodb",
    "truncate scenario.rows",
    "truncate scenario.ledger",
];

struct Connection {
    server: Conn,
    engine: Engine,
    /// What a failure at this moment would mean.
    stage: End,
}

pub(super) async fn connect(address: &Address) -> Result<Box<dyn Client>, Trouble> {
    let options = OptsBuilder::default()
        .ip_or_hostname(&address.host)
        .tcp_port(address.port)
        .user(Some(&address.user))
        .pass(Some(&address.password))
        .db_name(address.database.as_ref())
        // The path of the server's socket may mean another server on this machine.
        .prefer_socket(false);
    let server = Conn::new(options).await.map_err(|error| Trouble::failed(short(&error)))?;
    Ok(Box::new(Connection { server, engine: address.engine, stage: End::Refused }))
}

#[async_trait(?Send)]
impl Client for Connection {
    fn is_closed(&self) -> bool {
        self.server.is_disconnected()
    }

    fn stage(&self) -> End {
        self.stage
    }

    fn clear_stage(&mut self) {
        self.stage = End::Refused;
    }

    async fn make_tables(&mut self) -> Result<(), Trouble> {
        for table in TABLES {
            self.server.query_drop(table).await.map_err(|error| Trouble::failed(short(&error)))?;
        }
        Ok(())
    }

    async fn transact(&mut self, op: &Op) -> Result<(Side, Option<i64>), Failed> {
        let Op { writer, n, row, .. } = op;
        self.run("begin").await?;
        self.stage = End::Middle;
        self.run(&match op.change {
            Change::Insert => format!("insert into scenario.rows (writer, n, value) values ({writer}, {row}, {n})"),
            Change::Update => format!("update scenario.rows set value = {n} where writer = {writer} and n = {row}"),
            Change::Delete => format!("delete from scenario.rows where writer = {writer} and n = {row}"),
        })
        .await?;
        if self.server.affected_rows() == 0 {
            return Err(Failed { end: End::Middle, why: format!("row {row} is gone") });
        }
        let serial = self.server.last_insert_id().and_then(|id| i64::try_from(id).ok());
        self.run(&format!("insert into scenario.ledger values ({writer}, {n})")).await?;
        let side = self.side().await.map_err(|error| self.failed(&error))?;
        // From here on only an answer tells: an error, too, can come after the commit.
        self.stage = End::Unknown;
        self.run("commit").await?;
        Ok((side, serial.filter(|_| op.change == Change::Insert)))
    }

    async fn find(&mut self, writer: i32, row: i64) -> Result<bool, Failed> {
        let sql = format!("select 1 from scenario.rows where writer = {writer} and n = {row}");
        let found: Option<i64> = self.server.query_first(sql).await.map_err(|error| self.failed(&error))?;
        Ok(found.is_some())
    }

    async fn read_all(&mut self, recorder: &Recorder) -> Result<Side, Trouble> {
        self.tell_all(recorder).await.map_err(|error| Trouble::failed(short(&error)))
    }
}

impl Connection {
    async fn tell_all(&mut self, recorder: &Recorder) -> Result<Side, Error> {
        self.server.query_drop("set transaction isolation level repeatable read").await?;
        self.server.query_drop("start transaction with consistent snapshot, read only").await?;
        let rows = "select writer, n, value, serial from scenario.rows";
        for (writer, n, value, serial) in self.server.query(rows).await? {
            recorder.tell(Record::Row { writer, n, value, serial });
        }
        let ledger = "select writer, n, count(*) from scenario.ledger group by writer, n";
        for (writer, n, times) in self.server.query(ledger).await? {
            recorder.tell(Record::Ledger { writer, n, times });
        }
        let side = self.side().await?;
        self.server.query_drop("commit").await?;
        Ok(side)
    }

    async fn run(&mut self, sql: &str) -> Result<(), Failed> {
        self.server.query_drop(sql).await.map_err(|error| self.failed(&error))
    }

    async fn side(&mut self) -> Result<Side, Error> {
        let answer: Option<i64> = self.server.query_first(self.engine.side()).await?;
        answer.map(Side).ok_or_else(|| Error::Other("no answer to who it is".into()))
    }

    fn failed(&self, error: &Error) -> Failed {
        Failed { end: self.stage, why: short(error) }
    }
}

/// An error in a few words: the server's own, or what happened to the connection.
fn short(error: &Error) -> String {
    match error {
        Error::Server(answer) => format!("{} {}", answer.code, answer.message),
        _ => match std::error::Error::source(error) {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        },
    }
}
