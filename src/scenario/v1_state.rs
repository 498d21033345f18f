//! Everything about a server and its container that a refused or aborted switchover must leave as it was.

mod mysql;
mod postgres;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::command::docker;
use super::database::{Database, Engine};
use super::file;
use crate::trouble::Trouble;

/// What is compared, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State(BTreeMap<String, String>);

impl State {
    /// Of any container, with the accounts that a scenario would assume there.
    pub async fn of(container: &str) -> Result<Self, Trouble> {
        let found = inspect(container).await?;
        State::take(container, &Database::of(&found, &file::Database::default())).await
    }

    /// Of a container that does not run, only what the engine says of it.
    pub(super) async fn take(container: &str, database: &Database) -> Result<Self, Trouble> {
        let mut state = container_state(&inspect(container).await?);
        let runs = state.get(RUNS).is_some_and(|runs| runs == "\"running\"");
        if runs && database.ask(container, "select 1").await.is_ok() {
            match database.engine {
                Engine::Postgres => postgres::note(&mut state, container, database).await?,
                Engine::Mysql | Engine::Mariadb => mysql::note(&mut state, container, database).await?,
            }
        }
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

async fn inspect(container: &str) -> Result<Value, Trouble> {
    let text = docker(["container", "inspect", container]).ok().await?;
    let all: Value = serde_json::from_str(&text).map_err(|e| Trouble::bug("docker inspect is not JSON").because(e))?;
    Ok(all[0].clone())
}

fn container_state(found: &Value) -> BTreeMap<String, String> {
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
    state
}
