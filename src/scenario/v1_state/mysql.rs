//! What a MySQL or MariaDB server must have as it was.

use std::collections::BTreeMap;

use super::super::command::docker;
use super::super::database::{Database, Engine};
use crate::trouble::Trouble;

const QUERIES: [(&str, &str); 5] = [
    (
        "schemas",
        "select schema_name, default_character_set_name, default_collation_name from information_schema.schemata",
    ),
    (
        "tables",
        "select table_schema, table_name, table_type, engine, create_options from information_schema.tables
            where table_schema not in ('information_schema', 'performance_schema')",
    ),
    (
        "plugins",
        "select plugin_name, plugin_version, plugin_status, plugin_library, load_option from information_schema.plugins",
    ),
    (
        "events",
        "select event_schema, event_name, definer, status, originator, interval_value, interval_field, execute_at, starts,
            ends, event_definition from information_schema.events",
    ),
    (
        "triggers",
        "select trigger_schema, trigger_name, action_statement, definer from information_schema.triggers",
    ),
];

/// The accounts with their passwords and all they may, as the server keeps them.
const MYSQL_ONLY: [(&str, &str); 10] = [
    ("persisted variables", "select variable_name, variable_value from performance_schema.persisted_variables"),
    ("components", "select component_urn from mysql.component"),
    ("accounts", "select * from mysql.user"),
    ("what accounts may everywhere", "select * from mysql.global_grants"),
    ("what accounts may in schemas", "select * from mysql.db"),
    ("what accounts may with tables", "select * from mysql.tables_priv"),
    ("what accounts may with columns", "select * from mysql.columns_priv"),
    ("what accounts may run", "select * from mysql.procs_priv"),
    ("roles", "select * from mysql.role_edges"),
    ("channels", "select * from performance_schema.replication_connection_configuration"),
];
const MARIADB_ONLY: [(&str, &str); 6] = [
    ("accounts", "select * from mysql.global_priv"),
    ("what accounts may in schemas", "select * from mysql.db"),
    ("what accounts may with tables", "select * from mysql.tables_priv"),
    ("what accounts may with columns", "select * from mysql.columns_priv"),
    ("what accounts may run", "select * from mysql.procs_priv"),
    ("roles", "select * from mysql.roles_mapping"),
];

/// All variables but those that move with every write, and one that MariaDB makes of its network card's address.
const MOVING: [&str; 8] = [
    "server_uid",
    "gtid_executed",
    "gtid_purged",
    "gtid_owned",
    "gtid_binlog_pos",
    "gtid_binlog_state",
    "gtid_current_pos",
    "gtid_slave_pos",
];

/// Whom V1 itself follows, out of a status of which the rest moves.
const FOLLOWS: [&str; 8] = [
    "Connection_name",
    "Channel_Name",
    "Master_Host",
    "Master_User",
    "Source_Host",
    "Source_User",
    "Slave_IO_Running",
    "Replica_IO_Running",
];

/// How the server starts, and what bears the tool's name: files anywhere, and processes. Names of binary logs and of
/// temporary files in the data directory come and go by themselves. The name comes as a variable: in the text it would be
/// found in the script's own process.
const FILES: &str = r#"
for f in /etc/my.cnf /etc/my.cnf.d/* /etc/mysql/*.cnf /etc/mysql/*/*.cnf "$1/auto.cnf"; do
  [ ! -f "$f" ] || { echo "== $f"; cat "$f"; }
done
echo '== of the tool'
find / "$1" -xdev -name "*$MARK*" 2>/dev/null
for p in /proc/[0-9]*; do
  line=$(tr '\0' ' ' 2>/dev/null <"$p/cmdline") && case $line in *"$MARK"*) echo "$line" ;; esac
done
true"#;

/// Adds what the server says, and what lies beside it.
pub(super) async fn note(
    state: &mut BTreeMap<String, String>,
    container: &str,
    database: &Database,
) -> Result<(), Trouble> {
    let own: &[_] = if database.engine == Engine::Mariadb { &MARIADB_ONLY } else { &MYSQL_ONLY };
    for (name, query) in QUERIES.iter().chain(own) {
        state.insert((*name).to_owned(), sorted(&database.ask(container, query).await?));
    }
    let variables = database.ask(container, "show global variables").await?;
    let lasting = variables.lines().filter(|line| !line.split('\t').next().is_some_and(|name| MOVING.contains(&name)));
    state.insert("variables".to_owned(), lasting.collect::<Vec<_>>().join("\n"));
    let status = if database.engine == Engine::Mariadb { "show all slaves status" } else { "show replica status" };
    let status = database.ask_upright(container, status).await?;
    let follows = status.lines().map(str::trim).filter(|line| FOLLOWS.iter().any(|name| line.starts_with(name)));
    state.insert("whom it follows".to_owned(), follows.collect::<Vec<_>>().join("\n"));
    let directory = database.ask(container, "select @@datadir").await?;
    let shell = ["exec", "-e", "MARK=switchover", container, "sh", "-c", FILES, "sh"];
    let files = docker(shell.into_iter().chain([directory.trim_end_matches('/')])).ok().await?;
    state.insert("files and processes".to_owned(), files);
    Ok(())
}

/// These engines give rows in the order they please.
fn sorted(answer: &str) -> String {
    let mut lines: Vec<&str> = answer.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}
