//! One look at a server: what the prechecks need to know of it.

use std::collections::BTreeMap;

use super::connect::Session;
use crate::trouble::Trouble;

/// Schemas of the server's own.
pub(super) const OWN_SCHEMAS: &str = "'mysql', 'sys', 'information_schema', 'performance_schema'";

/// A transaction that is open for longer than this is worth a word.
const LONG_SECONDS: u64 = 60;

#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) version: String,
    pub(super) variables: BTreeMap<String, String>,
    /// Name and value of what was set for good (SET PERSIST).
    pub(super) persisted: Vec<(String, String)>,
    pub(super) bytes: u64,
    pub(super) schemas: u64,
    /// Base tables of other engines, with the engine.
    pub(super) not_innodb: Vec<String>,
    pub(super) keyless: Vec<String>,
    pub(super) events_enabled: u64,
    /// Accounts, and the plugin that checks their passwords.
    pub(super) accounts: Vec<(String, String)>,
    pub(super) prepared: u64,
    /// Connection and age in seconds.
    pub(super) long: Vec<(u64, u64)>,
    pub(super) channels: u64,
    pub(super) group_members: u64,
    /// Hosts and ids of those that follow it.
    pub(super) replicas: Vec<String>,
    pub(super) encrypted: u64,
    /// The server's own means of copying is installed.
    pub(super) has_clone: bool,
    /// Has every right we need.
    pub(super) may_all: bool,
}

impl Said {
    pub(super) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.variable(name).parse().ok()
    }

    pub(super) fn is_on(&self, name: &str) -> bool {
        matches!(self.variable(name), "ON" | "1" | "YES")
    }
}

pub(super) async fn said(session: &Session) -> Result<Said, Trouble> {
    let tables =
        format!("information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ({OWN_SCHEMAS})");
    // Statistics as they are now, not as they were cached.
    let _unknown_before_8 = session.run("SET SESSION information_schema_stats_expiry = 0").await;
    let count = async |sql: &str| {
        session.number(sql).await?.ok_or_else(|| Trouble::failed("the server does not count what it is asked for"))
    };
    Ok(Said {
        version: session.version().to_owned(),
        variables: pairs(session, "SHOW GLOBAL VARIABLES").await?.into_iter().collect(),
        persisted: persisted(session).await?,
        bytes: count(&format!("SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS UNSIGNED) FROM {tables}")).await?,
        schemas: count(&format!(
            "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name NOT IN ({OWN_SCHEMAS})"
        ))
        .await?,
        not_innodb: list(
            session,
            &format!("SELECT CONCAT(table_schema, '.', table_name, ' (', engine, ')') FROM {tables} AND engine <> 'InnoDB' ORDER BY 1"),
        )
        .await?,
        keyless: list(session, &keyless(&tables)).await?,
        events_enabled: count(&format!(
            "SELECT COUNT(*) FROM information_schema.events WHERE status = 'ENABLED' AND event_schema NOT IN ({OWN_SCHEMAS})"
        ))
        .await?,
        accounts: pairs(
            session,
            "SELECT CONCAT(user, '@', host), plugin FROM mysql.user \
             WHERE user NOT IN ('mysql.sys', 'mysql.session', 'mysql.infoschema') ORDER BY 1",
        )
        .await?,
        prepared: u64::try_from(session.rows("XA RECOVER").await?.len()).unwrap_or(u64::MAX),
        long: long(session).await?,
        channels: count("SELECT COUNT(*) FROM performance_schema.replication_connection_configuration WHERE host <> ''").await?,
        group_members: count(
            "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_state <> 'OFFLINE' AND member_id <> ''",
        )
        .await?,
        replicas: list(
            session,
            "SELECT CONCAT(user, ' from ', host) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'",
        )
        .await?,
        encrypted: count(&format!("SELECT COUNT(*) FROM {tables} AND create_options LIKE '%ENCRYPTION=%Y%'")).await?,
        has_clone: count("SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'").await? > 0,
        may_all: may_all(session).await?,
    })
}

fn keyless(tables: &str) -> String {
    format!(
        "SELECT CONCAT(t.table_schema, '.', t.table_name) FROM {} AND NOT EXISTS (SELECT 1 \
         FROM information_schema.statistics AS s WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name \
         AND s.index_name = 'PRIMARY') ORDER BY 1",
        tables
            .replacen("information_schema.tables", "information_schema.tables AS t", 1)
            .replace("table_type", "t.table_type")
            .replace("table_schema NOT", "t.table_schema NOT"),
    )
}

/// Only where the server has them; which are ours to leave out is the reader's business.
async fn persisted(session: &Session) -> Result<Vec<(String, String)>, Trouble> {
    pairs(session, "SELECT variable_name, variable_value FROM performance_schema.persisted_variables ORDER BY 1").await
}

async fn long(session: &Session) -> Result<Vec<(u64, u64)>, Trouble> {
    let sql = format!(
        "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) FROM information_schema.innodb_trx \
         WHERE trx_mysql_thread_id <> 0 AND TIMESTAMPDIFF(SECOND, trx_started, NOW()) > {LONG_SECONDS}"
    );
    let numbers = |(id, age): (String, String)| Some((id.parse().ok()?, age.parse().ok()?));
    Ok(pairs(session, &sql).await?.into_iter().filter_map(numbers).collect())
}

async fn may_all(session: &Session) -> Result<bool, Trouble> {
    let needed = ["SUPER", "CREATE USER", "RELOAD", "REPLICATION SLAVE", "PROCESS", "SHUTDOWN", "EVENT"];
    let has = list(
        session,
        "SELECT privilege_type FROM information_schema.user_privileges WHERE is_grantable = 'YES' AND grantee = \
        CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))",
    )
    .await?;
    Ok(needed.iter().all(|right| has.iter().any(|has| has == right)))
}

pub(super) async fn pairs(session: &Session, sql: &str) -> Result<Vec<(String, String)>, Trouble> {
    let rows = session.rows(sql).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let mut values = row.into_iter();
            Some((values.next().flatten()?, values.next().flatten().unwrap_or_default()))
        })
        .collect())
}

pub(super) async fn list(session: &Session, sql: &str) -> Result<Vec<String>, Trouble> {
    Ok(session.rows(sql).await?.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}
