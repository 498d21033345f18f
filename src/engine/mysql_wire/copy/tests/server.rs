//! A server in a container that goes with the test.

use std::process::Command;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpStream;

use super::super::super::quote::{account, ident, literal};
use super::super::super::session::{Login, Session, Timeouts};
use super::super::super::snapshot::View;
use super::super::inventory::Inventory;
use super::super::inventory::fields;
use super::super::{BEGIN, Name, fit_reader, fit_writer};
use crate::engine::Snapshot;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

pub(super) struct Server {
    pub(super) id: String,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        docker(&["rm", "-fv", &self.id]);
    }
}

pub(super) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Server {
    /// Begins to start.
    pub(super) fn start(image: &str, options: &[&str]) -> Server {
        let id = docker(
            &[
                &["run", "-d", "--label", "switchover.test=1", "-p", "127.0.0.1::3306"],
                &["-e", "MYSQL_ROOT_PASSWORD=secret", image][..],
                options,
            ]
            .concat(),
        );
        let address = docker(&["port", &id, "3306/tcp"]);
        let mut server = Server { id, port: 0 };
        server.port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port is published");
        server
    }

    pub(super) async fn login(&self, user: &str, password: &str) -> Result<Session, Trouble> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .map_err(|error| Trouble::failed("no connection").because(error))?;
        let password: SecretString = password.into();
        let login = Login { user, password: Some(&password) };
        Session::open(Box::new(stream), &login, Timeouts::NONE).await
    }

    /// A session of root's, once the server runs.
    pub(super) async fn session(&self) -> Session {
        let wait = Wait {
            what: "the server",
            limit: Limit { name: "test", value: Duration::from_secs(120) },
            every: Duration::from_millis(100),
            kind: Kind::Failed,
        };
        let look = async || {
            Ok(self.login("root", "secret").await.map_or_else(|trouble| Look::NotYet(trouble.one_line()), Look::Done))
        };
        wait::until(wait, &Teller::silent(), look).await.unwrap()
    }

    pub(super) async fn writers(&self, count: usize) -> Vec<Session> {
        let mut all = Vec::new();
        for _ in 0..count {
            let session = self.session().await;
            fit_writer(&session).await.unwrap();
            all.push(session);
        }
        all
    }

    /// Readers and a view of one and the same moment.
    pub(super) async fn readers(&self, count: usize) -> (Vec<Session>, Box<dyn Snapshot>) {
        let mut all = Vec::new();
        for _ in 0..count {
            let session = self.session().await;
            fit_reader(&session).await.unwrap();
            all.push(session);
        }
        let view = View::open(self.session().await, &[]).await.unwrap();
        let lock = self.session().await;
        lock.run("FLUSH TABLES WITH READ LOCK").await.unwrap();
        for session in &all {
            session.run(BEGIN).await.unwrap();
        }
        let kept = view.begin().await.unwrap();
        lock.run("UNLOCK TABLES").await.unwrap();
        (all, kept.listed().await.unwrap())
    }

    pub(super) async fn view(&self) -> Box<dyn Snapshot> {
        View::open(self.session().await, &[]).await.unwrap().begin().await.unwrap().listed().await.unwrap()
    }
}

/// The same tables with the same rows; says how many tables and rows.
pub(super) async fn assert_alike(v1: &dyn Snapshot, v2: &dyn Snapshot) -> (usize, u64) {
    let tables = v1.tables().await.unwrap();
    let names = |tables: &[crate::engine::Table]| tables.iter().map(|table| table.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&tables), names(&v2.tables().await.unwrap()));
    let mut rows = 0;
    for table in &tables {
        let (one, two) = (v1.fingerprint(&table.name, 100.0).await, v2.fingerprint(&table.name, 100.0).await);
        let (one, two) = (one.unwrap(), two.unwrap());
        if one != two {
            let (one, two) = (v1.rows(&table.name, 0, 1).await.unwrap(), v2.rows(&table.name, 0, 1).await.unwrap());
            let differing: Vec<_> = one.iter().filter(|(key, hash)| two.get(*key) != Some(*hash)).take(5).collect();
            panic!("{} differs: {differing:?}; {} and {} rows", table.name, one.len(), two.len());
        }
        rows += one.rows;
        assert_parts(v1, v2, table, one.rows).await;
    }
    (tables.len(), rows)
}

/// Parts, samples and single rows of a table that is alike are alike, and none is missed.
async fn assert_parts(v1: &dyn Snapshot, v2: &dyn Snapshot, table: &crate::engine::Table, rows: u64) {
    let name = &table.name;
    let parts = v1.parts(name, 3).await.unwrap();
    assert_eq!(parts, v2.parts(name, 3).await.unwrap());
    assert_eq!(parts.values().map(|part| part.rows).sum::<u64>(), rows);
    let sample = v1.fingerprint(name, 50.0).await.unwrap();
    assert_eq!(sample, v2.fingerprint(name, 50.0).await.unwrap());
    assert!(if table.keyed { sample.rows <= rows } else { sample.rows == rows && sample.whole });
    let mut seen = 0;
    for (part, of) in parts {
        let all = v1.rows(name, part, 3).await.unwrap();
        let counts = all.values().map(|row| row.split(' ').next().unwrap().parse::<u64>().unwrap());
        assert_eq!(counts.sum::<u64>(), of.rows);
        let keys: Vec<String> = all.keys().cloned().collect();
        assert_eq!(v2.these(name, &keys).await.unwrap(), all);
        seen += all.len() as u64;
    }
    assert!(if table.keyed { seen == rows } else { seen <= rows });
}

/// All that `SHOW …` says, alike on both.
pub(super) async fn assert_shown(v1: &Session, v2: &Session, what: &str, but: &[&str]) {
    let shown = async |session: &Session| {
        let mut shown = session.bytes(what).await.unwrap_or_else(|trouble| panic!("{what}: {}", trouble.one_line()));
        for (name, value) in shown.iter_mut().flatten() {
            if but.contains(&name.as_str()) {
                value.clear();
            }
        }
        shown
    };
    let (one, two) = (shown(v1).await, shown(v2).await);
    let text = |shown: &Option<std::collections::BTreeMap<String, Vec<u8>>>| {
        let all = shown.iter().flatten();
        all.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value))).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(text(&one), text(&two), "{what}");
    assert_eq!(one, two, "{what}");
}

/// Every table as it was made, but for how far its counter is, and for a character set that is said beside its collation.
pub(super) async fn assert_tables(v1: &Session, v2: &Session, all: &Inventory) {
    let shown = async |session: &Session, name: &Name| {
        let shown = session.bytes(&format!("SHOW CREATE TABLE {}", name.quoted())).await.unwrap().unwrap();
        let mut shown = String::from_utf8_lossy(&shown["Create Table"]).into_owned();
        for charset in ["utf8mb4", "latin1"] {
            shown = shown.replace(&format!(" CHARACTER SET {charset} COLLATE"), " COLLATE");
        }
        // MariaDB 11 spells bytes, and has another order.
        let shown = shown.replace("x'610062'", "'a\\0b'").replace("DEFAULT 3 INVISIBLE", "INVISIBLE DEFAULT 3");
        let counts = |word: &&str| !(name.name == "orders" && word.starts_with("AUTO_INCREMENT="));
        shown.split(' ').filter(counts).collect::<Vec<_>>().join(" ")
    };
    for schema in &all.schemas {
        assert_shown(v1, v2, &format!("SHOW CREATE DATABASE {}", ident(&schema.name)), &[]).await;
    }
    for table in &all.tables {
        assert_eq!(shown(v1, &table.name).await, shown(v2, &table.name).await);
    }
    for sequence in &all.sequences {
        assert_eq!(shown(v1, sequence).await, shown(v2, sequence).await);
    }
}

/// Every definition of the inventory, but for the views that cannot be used.
pub(super) async fn assert_programs(v1: &Session, v2: &Session, all: &Inventory) {
    for session in [v1, v2] {
        session.run("SET SESSION character_set_results = binary").await.unwrap();
    }
    for name in all.views.iter().filter(|view| view.name != "broken") {
        assert_shown(v1, v2, &format!("SHOW CREATE VIEW {}", name.quoted()), &[]).await;
    }
    for routine in &all.routines {
        assert_shown(v1, v2, &format!("SHOW CREATE {} {}", routine.kind, routine.name.quoted()), &[]).await;
    }
    for name in &all.triggers {
        assert_shown(v1, v2, &format!("SHOW CREATE TRIGGER {}", name.quoted()), &["Created"]).await;
    }
    for event in &all.events {
        assert_shown(v1, v2, &format!("SHOW CREATE EVENT {}", event.quoted()), &[]).await;
    }
    for session in [v1, v2] {
        session.run("SET SESSION character_set_results = utf8mb4").await.unwrap();
    }
    let triggers = "SELECT GROUP_CONCAT(TRIGGER_NAME ORDER BY ACTION_ORDER) FROM information_schema.TRIGGERS \
                    WHERE TRIGGER_SCHEMA = 'shop'";
    assert_eq!(v1.rows(triggers).await.unwrap(), v2.rows(triggers).await.unwrap());
}

/// Every account with what it may do.
pub(super) async fn assert_accounts(v1: &Session, v2: &Session) {
    let list =
        format!("SELECT User, Host, {} FROM mysql.user ORDER BY 1, 2", if v1.is_mariadb() { "is_role" } else { "'N'" });
    let all = v1.rows(&list).await.unwrap();
    assert_eq!(all, v2.rows(&list).await.unwrap());
    for [user, host, role] in all.into_iter().map(fields) {
        let who = if role == "Y" { literal(&user) } else { account(&user, &host) };
        if role != "Y" {
            assert_shown(v1, v2, &format!("SHOW CREATE USER {who}"), &[]).await;
        }
        let who = if user == "PUBLIC" { user } else { who };
        let grants = format!("SHOW GRANTS FOR {who}");
        let sorted = async |session: &Session| {
            let mut lines = session.rows(&grants).await.unwrap();
            lines.sort();
            lines
        };
        assert_eq!(sorted(v1).await, sorted(v2).await, "{grants}");
    }
}

pub(super) async fn filled(session: &Session, statements: &[&str]) {
    let mut failed = String::new();
    for statement in statements {
        if let Err(trouble) = session.run(statement).await {
            failed.push_str(&format!("{statement}: {}\n", trouble.one_line()));
        }
    }
    assert!(failed.is_empty(), "{failed}");
}
