//! The servers of a scenario, seen from outside: which engine they are, how to get in, how to ask.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::command::{Call, docker};
use super::file;
use super::history::Side;
use crate::trouble::Trouble;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    Postgres,
    Mysql,
    Mariadb,
}

/// What tells the engine, first the versions that images name. What an image does not say its user's settings do.
const SIGNS: [(&str, Engine); 5] = [
    ("PG_VERSION", Engine::Postgres),
    ("MARIADB_VERSION", Engine::Mariadb),
    ("MYSQL_VERSION", Engine::Mysql),
    ("MARIADB_ROOT_PASSWORD", Engine::Mariadb),
    ("MYSQL_ROOT_PASSWORD", Engine::Mysql),
];

/// A server's start is what no copy of its data takes along. It is unique among the servers of a scenario to the
/// microsecond here: a promoted replica keeps its own.
const PG_SIDE: &str = "select (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";

/// These engines tell the second of their start only, as the upper part of every short UUID, beside the id that the
/// server was started with. The name of the host makes it unique: that of a container is its own id, and where a
/// compose file gives both sides one name they were not started in one second. `server_uuid` does not serve: a copy of
/// the volume brings it along, and MariaDB has none. No MD5: MySQL 9 does not have it any more.
const MYSQL_SIDE: &str =
    "select cast(conv(left(sha2(concat_ws(' ', @@hostname, @@port, uuid_short() >> 24), 256), 15), 16, 10) as signed)";

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "postgres",
            Engine::Mysql => "mysql",
            Engine::Mariadb => "mariadb",
        }
    }

    /// The statement whose answer is a [`Side`]: asked by a client in the transaction it names, and by the runner.
    pub(super) fn side(self) -> &'static str {
        match self {
            Engine::Postgres => PG_SIDE,
            Engine::Mysql | Engine::Mariadb => MYSQL_SIDE,
        }
    }

    /// Of a container as `docker inspect` shows it.
    fn of(container: &Value) -> Engine {
        let sign = SIGNS.iter().find(|(name, _)| variable(container, name).is_some());
        let port = &container["Config"]["ExposedPorts"]["3306/tcp"];
        match sign {
            Some((_, engine)) => *engine,
            None if port.is_object() => Engine::Mysql,
            None => Engine::Postgres,
        }
    }
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let all = container["Config"]["Env"].as_array()?;
    all.iter().filter_map(Value::as_str).find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

/// How the scenario's clients and its runner get into a server. V1 and V2 have the same accounts.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) engine: Engine,
    pub(super) user: String,
    pub(super) password: String,
    /// PostgreSQL has one for every connection; the others need none.
    pub(super) name: Option<String>,
    pub(super) port: u16,
}

impl Database {
    /// What the scenario says goes before what V1's container does.
    pub(super) fn of(container: &Value, said: &file::Database) -> Self {
        let engine = said.engine.unwrap_or_else(|| Engine::of(container));
        let from = |names: &[&str]| names.iter().find_map(|name| variable(container, name)).map(str::to_owned);
        let (user, port, name, password) = match engine {
            Engine::Postgres => ("postgres", 5432, Some("postgres".to_owned()), None),
            Engine::Mysql | Engine::Mariadb => {
                let name = from(&["MARIADB_DATABASE", "MYSQL_DATABASE"]);
                ("root", 3306, name, from(&["MARIADB_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD"]))
            }
        };
        Database {
            engine,
            user: said.user.clone().unwrap_or_else(|| user.to_owned()),
            password: said.password.clone().or(password).unwrap_or_else(|| "secret".to_owned()),
            name: said.name.clone().or(name),
            port: said.port.unwrap_or(port),
        }
    }

    /// The answer to a statement through the server's own socket: rows as lines, without a heading, columns apart by `|`
    /// (PostgreSQL) or a tab.
    pub(super) async fn ask(&self, container: &str, sql: &str) -> Result<String, Trouble> {
        self.client(container, &[]).stdin(sql).ok().await
    }

    /// Whether it answers over TCP: the temporary server of an image's first start listens on its socket only.
    pub(super) async fn answers(&self, container: &str) -> Result<(), Trouble> {
        let over_tcp: &[&str] = match self.engine {
            Engine::Postgres => &["-h", "127.0.0.1"],
            Engine::Mysql | Engine::Mariadb => &["--protocol=tcp", "--host=127.0.0.1"],
        };
        self.client(container, over_tcp).stdin("select 1").ok().await.map(drop)
    }

    /// A record a line, its columns as `name: value`, for statements that let no columns be chosen. Not PostgreSQL.
    pub(super) async fn ask_upright(&self, container: &str, sql: &str) -> Result<String, Trouble> {
        self.client(container, &["--vertical", "--column-names"]).stdin(sql).ok().await
    }

    pub(super) async fn side(&self, container: &str) -> Result<Side, Trouble> {
        let answer = self.ask(container, self.engine.side()).await?;
        answer.parse().map(Side).map_err(|_| Trouble::failed(format!("`{answer}` names no server")))
    }

    /// The server's own client inside its container: as new as the server, and it knows the socket.
    fn client(&self, container: &str, more: &[&str]) -> Call {
        let (variable, command): (&str, &[&str]) = match self.engine {
            Engine::Postgres => ("PGPASSWORD", &["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U"]),
            Engine::Mysql => ("MYSQL_PWD", &["mysql", "--batch", "--raw", "--skip-column-names", "-u"]),
            Engine::Mariadb => ("MYSQL_PWD", &["mariadb", "--batch", "--raw", "--skip-column-names", "-u"]),
        };
        let words = ["exec", "-i", "-e", variable, container].into_iter().chain(command.iter().copied());
        let words = words.chain([self.user.as_str()]).chain(more.iter().copied());
        let option = if self.engine == Engine::Postgres { "-d" } else { "-D" };
        let name = self.name.iter().flat_map(|name| [option, name.as_str()]);
        let password = BTreeMap::from([(variable.to_owned(), self.password.clone())]);
        docker(words.chain(name)).env(&password)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(env: &[&str], said: &file::Database) -> Database {
        Database::of(&json!({ "Config": { "Env": env } }), said)
    }

    #[test]
    fn the_engine_and_the_way_in_are_the_containers_own() {
        let nothing = file::Database::default();
        let postgres = found(&["PG_VERSION=15.20", "MYSQL_ROOT_PASSWORD=for a foreign table"], &nothing);
        assert_eq!(
            (postgres.engine, postgres.name.as_deref(), postgres.port),
            (Engine::Postgres, Some("postgres"), 5432)
        );
        assert_eq!((postgres.user.as_str(), postgres.password.as_str()), ("postgres", "secret"));
        let mysql = found(&["MYSQL_VERSION=9.7.4", "MYSQL_ROOT_PASSWORD=a=b"], &nothing);
        assert_eq!((mysql.engine, mysql.name, mysql.port), (Engine::Mysql, None, 3306));
        assert_eq!((mysql.user.as_str(), mysql.password.as_str()), ("root", "a=b"));
        // MariaDB's image takes the other one's variables, too.
        let mariadb = ["MYSQL_ROOT_PASSWORD=x", "MARIADB_VERSION=11.8.9", "MYSQL_DATABASE=shop"];
        let mariadb = found(&mariadb, &nothing);
        assert_eq!((mariadb.engine, mariadb.name.as_deref()), (Engine::Mariadb, Some("shop")));
        let port = Database::of(&json!({ "Config": { "ExposedPorts": { "3306/tcp": {} } } }), &nothing);
        assert_eq!((port.engine, port.password.as_str()), (Engine::Mysql, "secret"));
        assert_eq!(found(&[], &nothing).engine, Engine::Postgres);
    }

    #[test]
    fn what_the_scenario_says_goes_before() {
        let said = serde_saphyr::from_str("{ engine: mariadb, user: app, password: mine, name: shop, port: 3307 }");
        let database = found(&["MYSQL_VERSION=9.7.4", "MYSQL_ROOT_PASSWORD=x"], &said.unwrap());
        let Database { engine, user, password, name, port } = &database;
        assert_eq!((*engine, *port, name.as_deref()), (Engine::Mariadb, 3307, Some("shop")));
        assert_eq!((user.as_str(), password.as_str()), ("app", "mine"));
    }
}
