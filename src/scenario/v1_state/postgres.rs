//! What a PostgreSQL server must have as it was.

use std::collections::BTreeMap;

use super::super::command::docker;
use super::super::database::Database;
use crate::trouble::Trouble;

const QUERIES: [(&str, &str); 9] = [
    (
        "settings",
        "select name, setting, source, pending_restart from pg_settings where source not in ('client', 'session') order by 1",
    ),
    ("settings by role", "select setdatabase, setrole, setconfig from pg_db_role_setting order by 1, 2"),
    (
        "roles",
        "select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
            rolconnlimit, md5(rolpassword), rolvaliduntil from pg_authid order by 1",
    ),
    ("memberships", "select roleid::regrole, member::regrole, admin_option from pg_auth_members order by 1, 2"),
    ("slots", "select slot_name, plugin, slot_type, database from pg_replication_slots order by 1"),
    (
        "publications and subscriptions",
        "select 'p', pubname from pg_publication union select 's', subname from pg_subscription order by 1, 2",
    ),
    (
        "how rows are told apart",
        "select oid::regclass, relreplident from pg_class where relkind = 'r' and oid >= 16384 order by 1",
    ),
    ("databases", "select datname, datallowconn, datconnlimit, datacl from pg_database order by 1"),
    (
        "schemas and extensions",
        "select 's', nspname from pg_namespace where nspname !~ '^pg_(toast_)?temp' union select 'e', extname from pg_extension order by 1, 2",
    ),
];

/// The files that decide who gets in and how the server starts, and what else lies beside them.
const FILES: &str = r#"cd "$1" && ls -A && for f in postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf; do echo "== $f"; cat "$f"; done"#;

/// Adds what the server says, and what lies in its data directory.
pub(super) async fn note(
    state: &mut BTreeMap<String, String>,
    container: &str,
    database: &Database,
) -> Result<(), Trouble> {
    for (name, query) in QUERIES {
        state.insert(name.to_owned(), database.ask(container, query).await?);
    }
    let directory = database.ask(container, "show data_directory").await?;
    let files = docker(["exec", container, "sh", "-c", FILES, "sh", &directory]).ok().await?;
    state.insert("files".to_owned(), files);
    Ok(())
}
