//! A view of the data that stays as it is: one read-only transaction, and what of it can be compared.
//!
//! Compared are the rows of tables, by the values of their columns and not by how either side prints or stores them.
//! Values that the server makes from others are left out. Of tables whose engine keeps no versions (MyISAM and the like)
//! the view is that of the moment when they are read.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::columns::Column;
use super::copy::inventory::{columns, fields, keys};
use super::copy::{BEGIN, Name, OWN_SCHEMAS, fit_reader, fit_teller};
use super::quote::{ident, literal, printable};
use super::session::Session;
use crate::engine::{Fingerprint, Snapshot, Table};
use crate::trouble::Trouble;

/// A session opened beforehand; its view begins later.
pub(in crate::engine) struct View {
    session: Session,
    leave_out: Vec<String>,
}

impl View {
    /// The schemas of `leave_out` are as if they were not there.
    pub(in crate::engine) async fn open(session: Session, leave_out: &[&str]) -> Result<View, Trouble> {
        fit_reader(&session).await?;
        fit_teller(&session).await?;
        session.run("SET NAMES utf8mb4").await?;
        Ok(View { session, leave_out: leave_out.iter().map(|name| (*name).to_owned()).collect() })
    }

    pub(in crate::engine) fn is_alive(&self) -> bool {
        self.session.is_alive()
    }

    /// From now on it sees what there is now. One round trip.
    pub(in crate::engine) async fn begin(self) -> Result<Kept, Trouble> {
        self.session.run(BEGIN).await?;
        Ok(Kept(self))
    }
}

/// A view that has begun.
pub(in crate::engine) struct Kept(View);

impl Kept {
    /// Finds out what can be compared. The same names on both sides.
    pub(in crate::engine) async fn listed(self) -> Result<Box<dyn Snapshot>, Trouble> {
        let View { session, leave_out } = self.0;
        let own = OWN_SCHEMAS.iter().map(|own| (*own).to_owned());
        let not: Vec<String> = own.chain(leave_out).map(|schema| literal(&schema)).collect();
        let all = format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, DATA_LENGTH + INDEX_LENGTH FROM information_schema.TABLES \
             WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN ({})",
            not.join(", ")
        );
        let tables: Vec<[String; 3]> = session.rows(&all).await?.into_iter().map(fields).collect();
        let mut schemas: Vec<String> = tables.iter().map(|[schema, ..]| literal(schema)).collect();
        schemas.sort();
        schemas.dedup();
        let mut things = BTreeMap::new();
        if !schemas.is_empty() {
            let schemas = schemas.join(", ");
            let (mut columns, mut keys) = (columns(&session, &schemas).await?, keys(&session, &schemas).await?);
            for [schema, name, bytes] in tables {
                let name = Name { schema, name };
                let thing = Listed {
                    bytes: bytes.parse().unwrap_or(0),
                    columns: columns.remove(&name).unwrap_or_default(),
                    key: keys.remove(&name).unwrap_or_default(),
                    name,
                };
                things.insert(thing.shown(), thing);
            }
        }
        Ok(Box::new(Seen { session, things }))
    }
}

struct Listed {
    name: Name,
    bytes: u64,
    /// Without those whose values the server makes.
    columns: Vec<Column>,
    /// Empty: only the whole row identifies a row.
    key: Vec<String>,
}

impl Listed {
    fn shown(&self) -> String {
        format!("{}.{}", shown(&self.name.schema), shown(&self.name.name))
    }

    /// A number of 60 bits over all of a row.
    fn row(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(Column::compared).collect();
        let text = format!("CONCAT_WS(',', {})", columns.join(", "));
        format!("CAST(CONV(LEFT(SHA2({text}, 256), 15), 16, 10) AS UNSIGNED)")
    }

    /// The columns that identify a row, or none where a value of theirs is made by the server.
    fn key(&self) -> Vec<&Column> {
        let of = |name: &String| self.columns.iter().find(|column| column.name == *name);
        self.key.iter().map(of).collect::<Option<_>>().unwrap_or_default()
    }

    /// What identifies a row, as text.
    fn identity(&self) -> String {
        let key = self.key();
        if key.is_empty() {
            // What is in a row without a key is nobody's to read in a log.
            return format!("CAST({} AS CHAR)", self.row());
        }
        let parts: Vec<String> = key.into_iter().map(Column::shown).collect();
        // The bytes decide: texts that a collation holds for the same are not.
        format!("CONVERT(CONCAT('(', CONCAT_WS(',', {}), ')') USING utf8mb4) COLLATE utf8mb4_bin", parts.join(", "))
    }

    /// The number of the part that a row is in, of so many.
    fn part(&self, parts: u32) -> String {
        format!("CRC32({}) % {parts}", self.identity())
    }

    fn sums(&self) -> String {
        format!("COUNT(*), COALESCE(SUM({}), 0)", self.row())
    }

    /// A share of the rows, the same on both sides.
    fn sample(&self, percent: f64) -> String {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a hundred per cent")]
        let share = (percent.clamp(0.0, 100.0) * 10_000.0).ceil() as u32;
        format!("{} < {share}", self.part(1_000_000))
    }

    /// Of some rows, by what identifies them. Rows that are alike count.
    fn rows(&self, which: &str) -> String {
        format!("SELECT {}, {} FROM {} WHERE {which} GROUP BY 1", self.identity(), self.sums(), self.name.quoted())
    }
}

/// As in messages: quoted only where it must be.
fn shown(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { printable(&ident(name)) }
}

struct Seen {
    session: Session,
    things: BTreeMap<String, Listed>,
}

impl Seen {
    fn listed(&self, table: &str) -> Result<&Listed, Trouble> {
        self.things.get(table).ok_or_else(|| Trouble::bug(format!("{table} is not in this view")))
    }

    /// A value that a function gave up on would be taken for NULL: what the server warns of is an error. The table's lock
    /// is let go, so that others may alter it.
    async fn ask(&self, statement: &str) -> Result<Vec<Vec<Option<String>>>, Trouble> {
        self.session.run("SAVEPOINT one").await?;
        let said = self.session.rows(statement).await;
        let warned = self.session.rows("SHOW WARNINGS").await;
        self.session.run("ROLLBACK TO SAVEPOINT one").await?;
        let said = said?;
        match warned?.first().and_then(|row| row.get(1).cloned().flatten()) {
            None => Ok(said),
            Some(code) => Err(Trouble::failed(format!("values cannot be compared: the server warns ({code})"))),
        }
    }

    async fn by_identity(&self, statement: &str) -> Result<BTreeMap<String, String>, Trouble> {
        let rows = self.ask(statement).await?.into_iter().map(fields);
        Ok(rows.map(|[identity, rows, hash]| (identity, format!("{rows} {hash}"))).collect())
    }
}

fn fingerprint(rows: &str, hash: String, whole: bool) -> Result<Fingerprint, Trouble> {
    let rows = rows.parse().map_err(|_| Trouble::bug("a number of rows that is no number"))?;
    Ok(Fingerprint { rows, hash: Some(hash), whole })
}

#[async_trait(?Send)]
impl Snapshot for Seen {
    async fn tables(&self) -> Result<Vec<Table>, Trouble> {
        let table = |(name, listed): (&String, &Listed)| Table {
            name: name.clone(),
            bytes: listed.bytes,
            keyed: !listed.key().is_empty(),
        };
        Ok(self.things.iter().map(table).collect())
    }

    async fn fingerprint(&self, table: &str, percent: f64) -> Result<Fingerprint, Trouble> {
        let listed = self.listed(table)?;
        // Without a key a row is not found by less than all of it, and nothing is saved.
        let whole = percent >= 100.0 || listed.key().is_empty();
        let which = if whole { String::new() } else { format!(" WHERE {}", listed.sample(percent)) };
        let said = self.ask(&format!("SELECT {} FROM {}{which}", listed.sums(), listed.name.quoted())).await?;
        let [rows, hash] = said.into_iter().next().map(fields).unwrap_or_default();
        fingerprint(&rows, hash, whole)
    }

    async fn parts(&self, table: &str, parts: u32) -> Result<BTreeMap<u32, Fingerprint>, Trouble> {
        let listed = self.listed(table)?;
        let statement =
            format!("SELECT {}, {} FROM {} GROUP BY 1", listed.part(parts), listed.sums(), listed.name.quoted());
        let mut all = BTreeMap::new();
        for row in self.ask(&statement).await? {
            let [part, rows, hash] = fields(row);
            let part = part.parse().map_err(|_| Trouble::bug("a part that is no number"))?;
            all.insert(part, fingerprint(&rows, hash, true)?);
        }
        Ok(all)
    }

    async fn rows(&self, table: &str, part: u32, parts: u32) -> Result<BTreeMap<String, String>, Trouble> {
        let listed = self.listed(table)?;
        self.by_identity(&listed.rows(&format!("{} = {part}", listed.part(parts)))).await
    }

    async fn these(&self, table: &str, keys: &[String]) -> Result<BTreeMap<String, String>, Trouble> {
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let listed = self.listed(table)?;
        let list = keys.iter().map(|key| literal(key)).collect::<Vec<_>>().join(", ");
        self.by_identity(&listed.rows(&format!("{} IN ({list})", listed.identity()))).await
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        // Closing the session ends its transaction.
        drop(self.session);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        let column = |name: &str, kind: &str| Column::described(name.into(), kind, kind, "");
        let listed = Listed {
            name: Name { schema: "s`x".into(), name: "t; --\n".into() },
            bytes: 1,
            columns: vec![column("k`; --", "varchar"), column("n", "int")],
            key: vec!["k`; --".into()],
        };
        assert_eq!(listed.shown(), r"`s``x`.`t; --\n`");
        assert_eq!(shown("plain_1"), "plain_1");
        assert!(listed.row().contains("CONCAT_WS(',', COALESCE(HEX(`k``; --`), 'N'), COALESCE(`n`, 'N'))"));
        assert!(listed.identity().contains("QUOTE(CONVERT(`k``; --` USING utf8mb4))"));
        assert!(listed.sample(2.5).ends_with("% 1000000 < 25000"));
        assert!(listed.rows("true").ends_with("FROM `s``x`.`t; --\n` WHERE true GROUP BY 1"));
    }
}
