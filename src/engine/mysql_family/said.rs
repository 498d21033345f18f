//! One look at a server: what the prechecks need to know of it, as far as it is alike.

use std::collections::BTreeMap;
use std::time::Duration;

use super::machine::Machine;
use super::upgrade::Doubtful;
use crate::config::quantity::Bytes;
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// Schemas of the server's own.
pub(in crate::engine) const OWN_SCHEMAS: &str = "'mysql', 'sys', 'information_schema', 'performance_schema'";

/// A transaction that is open for longer than this is worth a word.
const LONG_SECONDS: u64 = 60;

#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Said {
    pub(in crate::engine) version: String,
    pub(in crate::engine) variables: BTreeMap<String, String>,
    pub(in crate::engine) bytes: u64,
    pub(in crate::engine) schemas: u64,
    /// Base tables of other engines, with the engine.
    pub(in crate::engine) not_innodb: Vec<String>,
    pub(in crate::engine) keyless: Vec<String>,
    pub(in crate::engine) events_enabled: u64,
    /// Accounts, and the plugin that checks their passwords.
    pub(in crate::engine) accounts: Vec<(String, String)>,
    pub(in crate::engine) prepared: u64,
    /// Connection and age in seconds.
    pub(in crate::engine) long: Vec<(u64, u64)>,
    /// Connections that wait for a table: a change of its schema, or LOCK TABLES, stands in their way.
    pub(in crate::engine) blocked: Vec<String>,
    /// Hosts and ids of those that follow it.
    pub(in crate::engine) replicas: Vec<String>,
    /// Servers that it follows itself.
    pub(in crate::engine) channels: u64,
    /// Tables that the server encrypts.
    pub(in crate::engine) encrypted: u64,
    pub(in crate::engine) connected: Option<u64>,
    /// Bytes of base tables of other engines than InnoDB.
    pub(in crate::engine) others_bytes: u64,
    /// What the data directory takes on V1's disk, where that was asked.
    pub(in crate::engine) files_bytes: Option<u64>,
    /// Files or tables outside the data directory.
    pub(in crate::engine) elsewhere: Vec<String>,
    /// What a copy by statements would leave out, where that was asked.
    pub(in crate::engine) not_carried: Vec<String>,
    /// What a newer version may take otherwise, where that was asked.
    pub(in crate::engine) doubtful: Doubtful,
    /// Has every right we need.
    pub(in crate::engine) may_all: bool,
}

impl Said {
    pub(in crate::engine) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    pub(in crate::engine) fn number(&self, name: &str) -> Option<u64> {
        self.variable(name).parse().ok()
    }

    pub(in crate::engine) fn is_on(&self, name: &str) -> bool {
        matches!(self.variable(name), "ON" | "1" | "YES")
    }

    /// One that must be there: it is put back by, so that a guess would do harm.
    pub(in crate::engine) fn needed(&self, name: &str) -> Result<u64, Trouble> {
        self.number(name).ok_or_else(|| Trouble::failed(format!("V1 does not say its {name}")))
    }
}

/// All but whom it follows and what it encrypts, which each engine keeps in a place of its own.
pub(in crate::engine) async fn said(session: &Session) -> Result<Said, Trouble> {
    let tables = format!(
        "information_schema.tables AS t WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
         AND t.table_schema NOT IN ({OWN_SCHEMAS})"
    );
    if !session.is_mariadb() {
        // Statistics as they are now, not as they were cached.
        let _unknown_before_8 = session.run("SET SESSION information_schema_stats_expiry = 0").await;
    }
    Ok(Said {
        version: session.version().to_owned(),
        variables: super::settings::in_force(session).await?,
        bytes: count(session, &format!("SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS UNSIGNED) FROM {tables}"))
            .await?,
        schemas: count(
            session,
            &format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name NOT IN ({OWN_SCHEMAS})"),
        )
        .await?,
        not_innodb: session
            .list(&format!("SELECT CONCAT(table_schema, '.', table_name, ' (', engine, ')') FROM {tables} AND engine <> 'InnoDB' ORDER BY 1"))
            .await?,
        elsewhere: session.list(&elsewhere(session, &tables)).await?,
        others_bytes: count(session, &others_bytes(&tables)).await?,
        files_bytes: None,
        keyless: session.list(&keyless(&tables)).await?,
        events_enabled: count(
            session,
            &format!("SELECT COUNT(*) FROM information_schema.events WHERE status = 'ENABLED' AND event_schema NOT IN ({OWN_SCHEMAS})"),
        )
        .await?,
        accounts: session.pairs(&accounts(session)).await?,
        prepared: u64::try_from(session.rows("XA RECOVER").await?.len()).unwrap_or(u64::MAX),
        long: long(session).await?,
        blocked: session
            .list("SELECT id FROM information_schema.processlist WHERE state LIKE 'Waiting for%metadata lock' ORDER BY 1")
            .await?,
        replicas: session
            .list("SELECT CONCAT(user, ' from ', host) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")
            .await?,
        connected: session.pairs("SHOW GLOBAL STATUS LIKE 'Threads_connected'").await?.first().and_then(|(_, n)| n.parse().ok()),
        may_all: may_all(session).await?,
        channels: 0,
        encrypted: 0,
        not_carried: Vec::new(),
        doubtful: Doubtful::default(),
    })
}

pub(in crate::engine) async fn count(session: &Session, sql: &str) -> Result<u64, Trouble> {
    session.number(sql).await?.ok_or_else(|| Trouble::failed("the server does not count what it is asked for"))
}

/// MySQL says the paths of its files; MariaDB what a table was made with.
fn elsewhere(session: &Session, tables: &str) -> String {
    if session.is_mariadb() {
        return format!(
            "SELECT CONCAT(t.table_schema, '.', t.table_name) FROM {tables} AND t.create_options LIKE '% DIRECTORY=%' ORDER BY 1"
        );
    }
    "SELECT CONVERT(path USING utf8mb4) FROM information_schema.innodb_datafiles WHERE LEFT(path, 1) = '/' \
     AND LEFT(path, LENGTH(@@GLOBAL.datadir)) <> @@GLOBAL.datadir ORDER BY 1"
        .to_owned()
}

fn others_bytes(tables: &str) -> String {
    format!(
        "SELECT CAST(COALESCE(SUM(t.data_length + t.index_length), 0) AS UNSIGNED) FROM {tables} AND t.engine <> 'InnoDB'"
    )
}

fn keyless(tables: &str) -> String {
    format!(
        "SELECT CONCAT(t.table_schema, '.', t.table_name) FROM {tables} AND NOT EXISTS (SELECT 1 \
         FROM information_schema.statistics AS s WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name \
         AND s.index_name = 'PRIMARY') ORDER BY 1"
    )
}

fn accounts(session: &Session) -> String {
    let roles = if session.is_mariadb() { "AND is_role = 'N'" } else { "" };
    format!(
        "SELECT CONCAT(user, '@', host), plugin FROM mysql.user \
         WHERE user NOT IN ('mysql.sys', 'mysql.session', 'mysql.infoschema', 'mariadb.sys') {roles} ORDER BY 1"
    )
}

async fn long(session: &Session) -> Result<Vec<(u64, u64)>, Trouble> {
    let sql = format!(
        "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) FROM information_schema.innodb_trx \
         WHERE trx_mysql_thread_id <> 0 AND TIMESTAMPDIFF(SECOND, trx_started, NOW()) > {LONG_SECONDS}"
    );
    let numbers = |(id, age): (String, String)| Some((id.parse().ok()?, age.parse().ok()?));
    Ok(session.pairs(&sql).await?.into_iter().filter_map(numbers).collect())
}

/// By the rights of the account alone: those of a role do not count.
async fn may_all(session: &Session) -> Result<bool, Trouble> {
    let needed = ["SUPER", "CREATE USER", "RELOAD", "REPLICATION SLAVE", "PROCESS", "SHUTDOWN", "EVENT"];
    let has = session
        .list(
            "SELECT privilege_type FROM information_schema.user_privileges WHERE is_grantable = 'YES' AND grantee = \
             CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))",
        )
        .await?;
    Ok(needed.iter().all(|right| has.iter().any(|has| has == right)))
}

/// What is worth showing of both sides.
pub(in crate::engine) fn facts(
    v1: &Said,
    v2: &Machine,
    v1_free: Option<u64>,
    rate: Option<u64>,
) -> BTreeMap<String, String> {
    let unknown = || "unknown".to_owned();
    [
        ("size", Bytes(v1.bytes).to_string()),
        ("schemas", v1.schemas.to_string()),
        ("writes", rate.map_or_else(unknown, |rate| format!("{}/s", Bytes(rate)))),
        ("free on V1's disk", v1_free.map_or_else(unknown, |free| Bytes(free).to_string())),
        ("free on V2's disk", v2.free.map_or_else(unknown, |free| Bytes(free).to_string())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Bytes a second, from two places in a log: within one file, what lies between two offsets. Nothing where the file changed
/// meanwhile.
pub(in crate::engine) fn rate(
    first: Option<(String, u64)>,
    second: Option<(String, u64)>,
    between: Duration,
) -> Option<u64> {
    let ((file, from), (same, to)) = (first?, second?);
    if file != same || between < Duration::from_millis(50) {
        return None;
    }
    Some(to.checked_sub(from)?.saturating_mul(1000) / u64::try_from(between.as_millis()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_places_in_one_file() {
        let half = Duration::from_millis(500);
        let at = |file: &str, offset| Some((file.to_owned(), offset));
        assert_eq!(rate(at("b.1", 1000), at("b.1", 3000), half), Some(4000));
        assert_eq!(rate(at("b.1", 1000), at("b.2", 3000), half), None);
        assert_eq!(rate(None, at("b.1", 3000), half), None);
    }
}
