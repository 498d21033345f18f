//! Triggers that fire for replicated changes, too (`ENABLE ALWAYS`, `ENABLE REPLICA`). On a follower they would do again
//! what the leader's did, whose work is replicated. They are off there, and on again before it serves.
//!
//! Which ones, is written down in a file beside the copy.

use serde::{Deserialize, Serialize};

use super::databases::Open;
use crate::engine::Place;
use crate::engine::postgres::files;
use crate::engine::postgres::names::ident;
use crate::trouble::Trouble;

const FILE: &str = files::TRIGGERS;

/// A trigger of a table, or of DDL events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Trigger {
    /// Quoted, with its schema; `None`: an event trigger.
    table: Option<String>,
    name: String,
    /// `ALWAYS` or `REPLICA`.
    mode: String,
}

const ON: &str = "SELECT coalesce(json_agg(x), '[]') FROM (
  SELECT format('%I.%I', n.nspname, c.relname) AS table, t.tgname AS name,
    CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END AS mode
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('A', 'R')
  UNION ALL SELECT NULL, evtname, CASE evtenabled WHEN 'A' THEN 'ALWAYS' ELSE 'REPLICA' END
    FROM pg_event_trigger WHERE evtenabled IN ('A', 'R')) AS x";

type ByDatabase = std::collections::BTreeMap<String, Vec<Trigger>>;

/// None fires on this side. Written down first.
pub(super) async fn ensure_off(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    let mut known = known(place).await?;
    let mut new = Vec::new();
    for open in all {
        let on: Vec<Trigger> = open.session.json(ON).await?;
        let of = known.entry(open.name.clone()).or_default();
        of.extend(on.iter().filter(|it| !of.contains(it)).cloned().collect::<Vec<_>>());
        new.extend(on.into_iter().map(|trigger| (open, trigger)));
    }
    if new.is_empty() {
        return Ok(());
    }
    let text =
        serde_json::to_vec(&known).map_err(|error| Trouble::bug("triggers do not become text").because(error))?;
    files::write(place, FILE, &text).await?;
    for (open, trigger) in new {
        open.session.run(&trigger.set("DISABLE")).await?;
    }
    Ok(())
}

/// As they are on the leader.
pub(super) async fn ensure_on(all: &[Open], known: &Known) -> Result<(), Trouble> {
    for open in all {
        for trigger in known.0.get(&open.name).into_iter().flatten() {
            open.session.run(&trigger.set(&format!("ENABLE {}", trigger.mode))).await?;
        }
    }
    Ok(())
}

/// Read beforehand, for use inside the window.
#[derive(Default)]
pub(super) struct Known(ByDatabase);

pub(super) async fn read(place: &Place) -> Result<Known, Trouble> {
    known(place).await.map(Known)
}

async fn known(place: &Place) -> Result<ByDatabase, Trouble> {
    match files::read(place, FILE).await? {
        None => Ok(ByDatabase::new()),
        Some(text) => serde_json::from_slice(&text)
            .map_err(|error| Trouble::failed("which triggers are to be enabled again cannot be read").because(error)),
    }
}

impl Trigger {
    fn set(&self, how: &str) -> String {
        match &self.table {
            Some(table) => format!("ALTER TABLE ONLY {table} {how} TRIGGER {}", ident(&self.name)),
            None => format!("ALTER EVENT TRIGGER {} {how}", ident(&self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_named_as_they_must_be() {
        let of_table = Trigger { table: Some("public.t".into()), name: "a b".into(), mode: "ALWAYS".into() };
        assert_eq!(of_table.set("DISABLE"), "ALTER TABLE ONLY public.t DISABLE TRIGGER \"a b\"");
        assert_eq!(of_table.set("ENABLE ALWAYS"), "ALTER TABLE ONLY public.t ENABLE ALWAYS TRIGGER \"a b\"");
        let of_events = Trigger { table: None, name: "e".into(), mode: "REPLICA".into() };
        assert_eq!(of_events.set("ENABLE REPLICA"), "ALTER EVENT TRIGGER \"e\" ENABLE REPLICA");
    }
}
