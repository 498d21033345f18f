//! Everything about a server and its container that a refused or aborted switchover must leave as it was.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::command::docker;
use crate::trouble::Trouble;

/// What is compared, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(BTreeMap<String, String>);

/// How to get in: a superuser over the container's own socket.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    pub container: &'a str,
    pub user: &'a str,
    pub database: &'a str,
}

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

impl State {
    /// Of a container that does not run, only what the engine says of it.
    pub async fn take(access: Access<'_>) -> Result<Self, Trouble> {
        let Access { container, user, database } = access;
        let mut state = container_state(container).await?;
        if state.get(RUNS).is_none_or(|runs| runs != "\"running\"") || !has_server(access).await? {
            return Ok(State(state));
        }
        for (name, query) in QUERIES {
            let psql = ["exec", container, "psql", "-XAtq", "-U", user, "-d", database, "-c", query];
            state.insert(name.to_owned(), docker(psql).ok().await?);
        }
        let directory = ["exec", container, "psql", "-XAtq", "-U", user, "-d", database, "-c", "show data_directory"];
        let directory = docker(directory).ok().await?;
        let files = docker(["exec", container, "sh", "-c", FILES, "sh", &directory]).ok().await?;
        state.insert("files".to_owned(), files);
        Ok(State(state))
    }

    /// What is not as it was, one line each: name, before, after.
    pub fn changes(&self, after: &State) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        let mut changes = Vec::new();
        for name in names {
            let [old, new] = [self, after].map(|state| state.0.get(name).map_or("", String::as_str));
            if old != new {
                let gone: Vec<&str> = old.lines().filter(|line| !new.lines().any(|other| other == *line)).collect();
                let come: Vec<&str> = new.lines().filter(|line| !old.lines().any(|other| other == *line)).collect();
                changes.push(format!("{name}: was {gone:?}, is {come:?}"));
            }
        }
        changes
    }
}

const RUNS: &str = "container: status";

async fn has_server(Access { container, user, database }: Access<'_>) -> Result<bool, Trouble> {
    let psql = ["exec", container, "psql", "-XAtq", "-U", user, "-d", database, "-c", "select 1"];
    Ok(docker(psql).end().await?.ok)
}

async fn container_state(container: &str) -> Result<BTreeMap<String, String>, Trouble> {
    let text = docker(["container", "inspect", container]).ok().await?;
    let all: Value = serde_json::from_str(&text).map_err(|e| Trouble::bug("docker inspect is not JSON").because(e))?;
    let found = &all[0];
    let mut state = BTreeMap::new();
    let mut note = |name: &str, value: &Value| state.insert(format!("container: {name}"), format!("{value:#}"));
    note("name", &found["Name"]);
    note("configuration", &found["Config"]);
    note("host configuration, restart policy", &found["HostConfig"]);
    note("mounts", &found["Mounts"]);
    note("ports", &found["NetworkSettings"]["Ports"]);
    note("status", &found["State"]["Status"]);
    note("started", &found["State"]["StartedAt"]);
    for (name, network) in found["NetworkSettings"]["Networks"].as_object().into_iter().flatten() {
        let address = json!([network["Aliases"], network["IPAddress"], network["IPAMConfig"], network["DriverOpts"]]);
        note(&format!("network {name}"), &address);
    }
    Ok(state)
}
