//! A view of the data that stays as it is: one read-only transaction a database, and what of it can be compared.
//!
//! Compared are rows as text (a physical copy has the same types and settings) of tables and materialised views, and
//! large objects. Not compared: sequences (no view holds them still: V2's clients draw from them meanwhile), unlogged
//! tables (no log carries them), temporary and foreign ones, and catalogs.

use std::collections::BTreeMap;
use std::rc::Rc;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use super::checks::Method;
use super::connect;
use super::names::{ident, literal};
use super::session::{Session, Timeouts};
use crate::engine::{Fingerprint, Place, Snapshot, Table};
use crate::trouble::Trouble;

/// Databases beyond this are not looked into: each takes a session for as long as the comparison lasts.
const MOST: usize = 64;

/// Text must not depend on what either side's defaults are.
const PINS: &str = "SET TimeZone = 'UTC'; SET extra_float_digits = 3; SET IntervalStyle = 'postgres'; \
    SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET max_parallel_workers_per_gather = 2; SET jit = off";

/// A number over all of a row.
const ROW: &str = "hashtextextended(ROW(t.*)::text COLLATE \"C\", 0)::numeric";

/// Larger tables of two servers that were filled by themselves are counted, where not everything is asked for.
const COUNTED: u64 = 32 << 30;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";

/// Sessions, one a database, opened beforehand; the view begins later.
pub(super) struct Views {
    method: Method,
    sessions: Vec<(String, Session)>,
}

impl Views {
    pub(super) async fn open(place: &Place) -> Result<Views, Trouble> {
        let first = connect::admin(place, "switchover verify", Timeouts::NONE).await?;
        let list = "SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database \
                    WHERE datallowconn AND datname <> 'template0'";
        let mut names: Vec<String> = first.json(list).await?;
        if names.len() > MOST {
            place.tell.warning(format!("{} databases are not compared: more than {MOST}", names.len() - MOST));
            names.truncate(MOST);
        }
        let mut sessions = Vec::new();
        for name in names {
            let session = connect::admin_in(place, &name, "switchover verify", Timeouts::NONE).await?;
            session.run(PINS).await?;
            sessions.push((name, session));
        }
        Ok(Views { method: Method::of(&place.plan), sessions })
    }

    pub(super) fn are_alive(&self) -> bool {
        self.sessions.iter().all(|(_, session)| session.is_alive())
    }

    /// From now on they see what there is now. One round trip.
    pub(super) async fn begin(self) -> Result<Kept, Trouble> {
        try_join_all(self.sessions.iter().map(|(_, session)| session.run(BEGIN))).await?;
        Ok(Kept {
            method: self.method,
            sessions: self.sessions.into_iter().map(|(name, session)| (name, Rc::new(session))).collect(),
        })
    }
}

/// A view that has begun.
pub(super) struct Kept {
    method: Method,
    sessions: Vec<(String, Rc<Session>)>,
}

impl Kept {
    /// Finds out what can be compared. The same names on both sides.
    pub(super) async fn listed(self) -> Result<Box<dyn Snapshot>, Trouble> {
        let mut things = BTreeMap::new();
        for (database, session) in &self.sessions {
            let things_there = session.json::<Vec<Listed>>(LIST).await?;
            // Filled on each side at another time.
            let comparable = |thing: &Listed| self.method == Method::Physical || !thing.materialised;
            for thing in things_there.into_iter().filter(comparable) {
                let name = format!("{}.{}", shown(database), thing.shown());
                things.insert(name, (Rc::clone(session), thing));
            }
        }
        Ok(Box::new(PgSnapshot { method: self.method, things }))
    }
}

#[derive(serde::Deserialize)]
struct Listed {
    schema: String,
    name: String,
    bytes: u64,
    materialised: bool,
    /// Quoted; empty: only the whole row identifies a row.
    key: Vec<String>,
}

const LIST: &str = "SELECT coalesce(json_agg(json_build_object('schema', n.nspname, 'name', c.relname, \
        'bytes', pg_table_size(c.oid), 'materialised', c.relkind = 'm', \
        'key', (SELECT coalesce(json_agg(quote_ident(a.attname) ORDER BY array_position(i.indkey::int2[], a.attnum)), '[]') \
            FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey) \
            WHERE i.indrelid = c.oid AND i.indisprimary))), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relpersistence = 'p' AND (c.relkind IN ('r', 'm') \
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
        AND (c.relkind <> 'm' OR c.relispopulated) \
        OR c.relname = 'pg_largeobject' AND n.nspname = 'pg_catalog' \
        AND EXISTS (SELECT 1 FROM pg_largeobject_metadata))";

impl Listed {
    fn shown(&self) -> String {
        format!("{}.{}", shown(&self.schema), shown(&self.name))
    }

    /// `ROW(t.*)`: a column may be called like the table. `ONLY`: a parent's children are compared by themselves. Both
    /// sides are block for block the same, so that a sample of blocks is the same on both; blocks that were added since
    /// hold no row this view can see.
    fn statement(&self, percent: f64) -> String {
        let sample =
            if percent < 100.0 { format!(" TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)") } else { String::new() };
        format!("SELECT count(*) || ' ' || coalesce(sum({ROW}), 0) FROM {}{sample}", self.from())
    }

    fn from(&self) -> String {
        format!("ONLY {}.{} AS t", ident(&self.schema), ident(&self.name))
    }

    /// What identifies a row, as text.
    fn identity(&self) -> String {
        if self.key.is_empty() {
            // What is in a row without a key is nobody's to read in a log.
            return format!("({ROW})::text");
        }
        format!("ROW({})::text", self.key.iter().map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", "))
    }

    /// The number of the part that a row is in.
    fn part(&self, parts: u32) -> String {
        format!("(hashtextextended({} COLLATE \"C\", 0) & 2147483647) % {parts}", self.identity())
    }

    /// Of some rows, by what identifies them. Rows that are alike count.
    fn rows(&self, which: &str) -> String {
        format!(
            "SELECT coalesce(json_object_agg(k, h), '{{}}') FROM (SELECT {} AS k, count(*) || ' ' || sum({ROW}) AS h \
             FROM {} WHERE {which} GROUP BY 1) AS rows",
            self.identity(),
            self.from()
        )
    }
}

/// As in messages: quoted only where it must be.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { ident(name).escape_debug().to_string() }
}

struct PgSnapshot {
    method: Method,
    things: BTreeMap<String, (Rc<Session>, Listed)>,
}

impl PgSnapshot {
    /// One table that cannot be read must not end the view of the others.
    async fn ask(&self, table: &str, statement: impl FnOnce(&Listed) -> String) -> Result<String, Trouble> {
        let (session, listed) =
            self.things.get(table).ok_or_else(|| Trouble::bug(format!("{table} is not in this view")))?;
        session.run("SAVEPOINT one").await?;
        let said = session.text(&statement(listed)).await;
        session.run("ROLLBACK TO SAVEPOINT one; RELEASE SAVEPOINT one").await?;
        Ok(said?.unwrap_or_default())
    }
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|error| Trouble::bug("a view's answer cannot be read").because(error))
}

#[async_trait(?Send)]
impl Snapshot for PgSnapshot {
    async fn tables(&self) -> Result<Vec<Table>, Trouble> {
        let table = |(name, (_, listed)): (&String, &(_, Listed))| Table {
            name: name.clone(),
            bytes: listed.bytes,
            keyed: !listed.key.is_empty(),
        };
        Ok(self.things.iter().map(table).collect())
    }

    async fn fingerprint(&self, table: &str, percent: f64) -> Result<Fingerprint, Trouble> {
        let all = percent >= 100.0;
        // Two servers that were filled by themselves have the same rows in different blocks.
        let logical = self.method == Method::Logical;
        let counted = logical && !all && self.things.get(table).is_some_and(|(_, listed)| listed.bytes > COUNTED);
        let said = self.ask(table, |listed| match counted {
            true => format!("SELECT count(*) FROM {}", listed.from()),
            false => listed.statement(if logical { 100.0 } else { percent }),
        });
        let said = said.await?;
        let (rows, hash) = match said.split_once(' ') {
            Some((rows, hash)) => (rows, Some(hash.to_owned())),
            None => (said.as_str(), None),
        };
        let rows = rows.parse().map_err(|_| Trouble::bug("a number of rows that is no number"))?;
        Ok(Fingerprint { rows, hash, whole: all || logical && !counted })
    }

    async fn parts(&self, table: &str, parts: u32) -> Result<BTreeMap<u32, Fingerprint>, Trouble> {
        let said = self.ask(table, |listed| {
            format!(
                "SELECT coalesce(json_agg(json_build_array(part, rows, hash)), '[]') FROM (SELECT {} AS part, \
                 count(*) AS rows, sum({ROW})::text AS hash FROM {} GROUP BY 1) AS parts",
                listed.part(parts),
                listed.from()
            )
        });
        let all: Vec<(u32, u64, String)> = json(&said.await?)?;
        Ok(all
            .into_iter()
            .map(|(part, rows, hash)| (part, Fingerprint { rows, hash: Some(hash), whole: true }))
            .collect())
    }

    async fn rows(&self, table: &str, part: u32, parts: u32) -> Result<BTreeMap<String, String>, Trouble> {
        json(&self.ask(table, |listed| listed.rows(&format!("{} = {part}", listed.part(parts)))).await?)
    }

    async fn these(&self, table: &str, keys: &[String]) -> Result<BTreeMap<String, String>, Trouble> {
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = keys.iter().map(|key| literal(key)).collect::<Vec<_>>().join(", ");
        json(&self.ask(table, |listed| listed.rows(&format!("{} IN ({list})", listed.identity()))).await?)
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        // Closing the sessions ends their transactions.
        drop(self.things);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        let listed = Listed {
            schema: "s\"x".into(),
            name: "t; --\n".into(),
            bytes: 1,
            materialised: false,
            key: vec!["\"k; --\"".into()],
        };
        assert!(listed.statement(100.0).ends_with("FROM ONLY \"s\"\"x\".\"t; --\n\" AS t"));
        assert!(listed.statement(2.5).ends_with(" AS t TABLESAMPLE SYSTEM (2.5) REPEATABLE (0)"));
        assert_eq!(listed.shown(), r#"\"s\"\"x\".\"t; --\n\""#);
        assert_eq!(shown("plain_1"), "plain_1");
        assert!(listed.rows("true").contains("SELECT ROW(t.\"k; --\")::text AS k"));
    }
}
