//! What acts on rows, made when they are there: routines, views, triggers and events, each under the settings that it was
//! made with, and as their definers' own.

use std::collections::BTreeMap;

use super::super::quote::{ident, literal};
use super::super::session::Session;
use super::inventory::{Inventory, Name};
use super::{fit_teller, fit_writer};
use crate::trouble::Trouble;

/// Modes that made accounts or tables another thing in the past and are unknown to MySQL today.
const GONE: [&str; 1] = ["NO_AUTO_CREATE_USER"];

/// What acts on rows, as it was at one moment of `v1`.
pub(in crate::engine) struct Objects {
    routines: Vec<Object>,
    views: Vec<Object>,
    triggers: Vec<Object>,
    events: Vec<Object>,
    /// Collations of schemas, by name.
    collations: BTreeMap<String, String>,
}

struct Object {
    kind: String,
    name: Name,
    shown: Shown,
}

/// Reads the definitions of what is in the inventory.
pub(in crate::engine) async fn objects(v1: &Session, inventory: &Inventory) -> Result<Objects, Trouble> {
    fit_teller(v1).await?;
    let mut routines = Vec::new();
    for routine in &inventory.routines {
        routines.push(read(v1, &routine.kind, &routine.name).await?);
    }
    let (mut views, mut triggers, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for view in &inventory.views {
        views.push(read(v1, "VIEW", view).await?);
    }
    for trigger in &inventory.triggers {
        triggers.push(read(v1, "TRIGGER", trigger).await?);
    }
    for event in &inventory.events {
        events.push(read(v1, "EVENT", event).await?);
    }
    let collations = inventory.schemas.iter().map(|schema| (schema.name.clone(), schema.collation.clone())).collect();
    Ok(Objects { routines, views, triggers, events, collations })
}

async fn read(v1: &Session, kind: &str, name: &Name) -> Result<Object, Trouble> {
    let what = kind.to_lowercase();
    // As the server has it: in the character set of whoever made it.
    v1.run("SET SESSION character_set_results = binary").await?;
    let shown = v1.bytes(&format!("SHOW CREATE {kind} {}", name.quoted())).await;
    v1.run("SET SESSION character_set_results = utf8mb4").await?;
    let shown = shown?.and_then(Shown::of).ok_or_else(|| {
        Trouble::failed(format!("the definition of {what} {name} is not to be had"))
            .hint("it went away while it was copied, or we may not read it")
    })?;
    Ok(Object { kind: kind.to_owned(), name: name.clone(), shown })
}

impl Objects {
    /// All of them are on `v2`. To be run after rows and accounts are there, whose rights views may need. Says which views were
    /// not made, as they cannot be used on `v1` either.
    pub(in crate::engine) async fn make(self, v1: &Session, v2: &Session) -> Result<Vec<String>, Trouble> {
        let play = Play { v1, v2, collations: &self.collations };
        for routine in &self.routines {
            play.one(routine).await?;
        }
        let broken = play.views(&self.views).await?;
        for object in self.triggers.iter().chain(&self.events) {
            play.one(object).await?;
        }
        Ok(broken)
    }
}

struct Play<'a> {
    v1: &'a Session,
    v2: &'a Session,
    collations: &'a BTreeMap<String, String>,
}

impl Play<'_> {
    /// Views use each other, and nothing says in which order: whichever can be made is, until all are.
    async fn views(&self, all: &[Object]) -> Result<Vec<String>, Trouble> {
        let mut left: Vec<&Object> = all.iter().collect();
        loop {
            let before = left.len();
            let mut failed = Vec::new();
            for view in std::mem::take(&mut left) {
                if let Err(trouble) = self.one(view).await {
                    left.push(view);
                    failed.push(trouble);
                }
                if !self.v2.is_alive() {
                    return Err(failed.pop().unwrap_or_else(|| Trouble::failed("the session with the server broke")));
                }
            }
            if left.len() == before || left.is_empty() {
                return self.broken(left, failed).await;
            }
        }
    }

    /// A view that is of no use on V1 is no reason to stop.
    async fn broken(&self, left: Vec<&Object>, failed: Vec<Trouble>) -> Result<Vec<String>, Trouble> {
        let mut broken = Vec::new();
        for (view, trouble) in left.into_iter().zip(failed) {
            let used = format!("SELECT 1 FROM {} LIMIT 0", view.name.quoted());
            if self.v1.run(&used).await.is_ok() {
                return Err(trouble);
            }
            broken.push(format!("view {}", view.name));
        }
        Ok(broken)
    }

    async fn one(&self, object: &Object) -> Result<(), Trouble> {
        let (what, name) = (object.kind.to_lowercase(), &object.name);
        let made = self.made(&object.shown, name).await;
        fit_writer(self.v2).await?;
        made.map_err(|trouble| Trouble::failed(format!("{what} {name} was not made")).because(trouble))
    }

    async fn made(&self, shown: &Shown, name: &Name) -> Result<(), Trouble> {
        let schema = ident(&name.schema);
        self.v2.run(&format!("USE {schema}")).await?;
        // What a routine takes its parameters' collation from is noted with it when it is made.
        let now = self.collations.get(&name.schema).map(String::as_str);
        let other = shown.of_schema.as_deref().filter(|then| Some(*then) != now).zip(now);
        if let Some((then, _)) = other {
            self.v2.run(&format!("ALTER DATABASE {schema} COLLATE {}", literal(then))).await?;
        }
        let made = async {
            self.v2.run(&shown.settings(self.v2.is_mariadb())).await?;
            self.v2.run_bytes(&shown.statement).await
        };
        let made = made.await;
        if let Some((_, now)) = other {
            self.v2.run("SET NAMES utf8mb4").await?;
            self.v2.run(&format!("ALTER DATABASE {schema} COLLATE {}", literal(now))).await?;
        }
        made
    }
}

/// What `SHOW CREATE …` says.
struct Shown {
    statement: Vec<u8>,
    client: String,
    collation: String,
    sql_mode: Option<String>,
    time_zone: Option<String>,
    /// The collation of its schema when it was made.
    of_schema: Option<String>,
}

impl Shown {
    fn of(mut shown: BTreeMap<String, Vec<u8>>) -> Option<Shown> {
        let statement = shown.keys().find(|name| name.starts_with("Create ") || *name == "SQL Original Statement");
        let statement = shown.remove(&statement.cloned()?)?;
        let mut text = |name: &str| shown.remove(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Some(Shown {
            statement,
            client: text("character_set_client").unwrap_or_else(|| "utf8mb4".to_owned()),
            collation: text("collation_connection").unwrap_or_else(|| "utf8mb4_general_ci".to_owned()),
            sql_mode: text("sql_mode"),
            time_zone: text("time_zone"),
            of_schema: text("Database Collation"),
        })
    }

    fn settings(&self, mariadb: bool) -> String {
        let mut sql = format!(
            "SET SESSION character_set_client = {}, collation_connection = {}",
            literal(&self.client),
            literal(&self.collation)
        );
        if let Some(mode) = &self.sql_mode {
            let modes: Vec<&str> = mode.split(',').filter(|mode| mariadb || !GONE.contains(mode)).collect();
            sql.push_str(&format!(", sql_mode = {}", literal(&modes.join(","))));
        }
        if let Some(zone) = &self.time_zone {
            sql.push_str(&format!(", time_zone = {}", literal(zone)));
        }
        sql
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_played_under_its_own_settings() {
        let shown = [
            ("Procedure", "p"),
            ("sql_mode", "ANSI_QUOTES,NO_AUTO_CREATE_USER"),
            ("Create Procedure", "CREATE PROCEDURE …"),
            ("character_set_client", "latin1"),
            ("collation_connection", "latin1_swedish_ci"),
            ("Database Collation", "utf8mb4_bin"),
        ];
        let shown = shown.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        let shown = Shown::of(shown).unwrap();
        assert_eq!(shown.statement, "CREATE PROCEDURE …".as_bytes());
        assert_eq!(
            shown.settings(false),
            "SET SESSION character_set_client = 'latin1', collation_connection = 'latin1_swedish_ci', sql_mode = 'ANSI_QUOTES'"
        );
        assert_eq!(shown.of_schema.as_deref(), Some("utf8mb4_bin"));
        assert!(Shown::of(BTreeMap::new()).is_none());
    }
}
