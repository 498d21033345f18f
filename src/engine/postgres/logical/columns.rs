//! Columns that were added on the leader, with what old rows have in them.

use std::time::Duration;

use serde::Deserialize;

use super::databases::Open;
use super::schema::{self, Change, How};
use crate::engine::Place;
use crate::engine::postgres::names::{ident, literal};
use crate::engine::postgres::session::Session;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Column {
    name: String,
    of: String,
    not_null: bool,
    default: Option<String>,
    collation: Option<String>,
    privileges: Option<String>,
    /// Generated, or an identity.
    special: bool,
    /// What rows from before have in it, as a literal; `None`: nothing.
    missing: Option<String>,
}

/// A partitioned table has no rows of its own: its partitions know.
const COLUMNS: &str = "SELECT coalesce(json_agg(json_build_object('name', a.attname, 'of', format_type(a.atttypid, a.atttypmod),
    'not_null', a.attnotnull, 'default', pg_get_expr(d.adbin, d.adrelid),
    'collation', CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
    'privileges', a.attacl::text, 'special', a.attgenerated <> '' OR a.attidentity <> '',
    'missing', CASE WHEN a.atthasmissing THEN quote_literal((a.attmissingval::text::text[])[1])
      WHEN c.relkind = 'p' THEN (SELECT CASE WHEN count(DISTINCT m.attmissingval::text) = 1
          THEN quote_literal((min(m.attmissingval::text)::text[])[1]) END FROM pg_partition_tree(c.oid) AS p
        JOIN pg_attribute AS m ON m.attrelid = p.relid AND m.attname = a.attname WHERE m.atthasmissing) END) ORDER BY a.attnum), '[]')
  FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid JOIN pg_class AS c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = to_regclass(:table) AND a.attnum > 0 AND NOT a.attisdropped";

/// Columns that the leader has at the end of the table and V2 has not. Any other change of a table is refused. None where
/// they are there already: from a parent, or from before a crash.
pub(super) async fn add_columns(place: &Place, from: &Open, to: &Open, table: &str) -> Result<Vec<String>, Trouble> {
    let columns = async |session: &Session| -> Result<Vec<Column>, Trouble> {
        session.json(&COLUMNS.replace(":table", &literal(table))).await
    };
    let (theirs, ours) = (columns(&from.session).await?, columns(&to.session).await?);
    let Some(new) = new_columns(&theirs, &ours) else {
        let object = format!("columns of {table}");
        return Err(schema::changed(&[Change { database: from.name.clone(), object, how: How::Changed }]));
    };
    if new.is_empty() {
        return Ok(Vec::new());
    }
    // Partitions and heirs get it with their parent.
    let alter: Vec<String> = new.iter().flat_map(|column| acts(table, column)).collect();
    let alter = format!("BEGIN; {}; COMMIT", alter.join("; "));
    let wait = Wait {
        what: "a column to be added on V2",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(200),
        kind: Kind::NotReady,
    };
    wait::until(wait, &place.tell, async || match to.session.run(&alter).await {
        Ok(()) => Ok(Look::Done(())),
        Err(trouble) => {
            to.session.run("ROLLBACK").await?;
            match trouble.what.contains("(55P03)") {
                true => Ok(Look::NotYet("the table is in use there".into())),
                false => Err(trouble),
            }
        }
    })
    .await?;
    Ok(new.iter().map(|column| format!("{table}.{}", ident(&column.name))).collect())
}

/// `None`: something else has changed, or what old rows have in a new one cannot be said.
fn new_columns<'a>(theirs: &'a [Column], ours: &[Column]) -> Option<&'a [Column]> {
    let old = theirs.get(..ours.len())?;
    let same = |(a, b): (&Column, &Column)| {
        let without = |column: &Column| Column { missing: None, ..column.clone() };
        without(a) == without(b)
    };
    let new = &theirs[ours.len()..];
    // A default that came later than the column is nothing to old rows, and one that is computed was computed for each.
    let known = |column: &Column| {
        !column.special && column.privileges.is_none() && (column.missing.is_some() || column.default.is_none())
    };
    (old.iter().zip(ours).all(same) && new.iter().all(known)).then_some(new)
}

/// Old rows get what V1's have, by its value; then the default is what it is there.
fn acts(table: &str, column: &Column) -> Vec<String> {
    let name = ident(&column.name);
    let mut text = format!("ALTER TABLE {table} ADD COLUMN {name} {}", column.of);
    if let Some(collation) = &column.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(missing) = &column.missing {
        text.push_str(&format!(" DEFAULT {missing}"));
    }
    if column.not_null {
        text.push_str(" NOT NULL");
    }
    let mut acts = vec![text];
    if column.missing.is_some() {
        acts.push(match &column.default {
            Some(default) => format!("ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {default}"),
            None => format!("ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT"),
        });
    }
    acts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str) -> Column {
        Column {
            name: name.into(),
            of: "integer".into(),
            not_null: false,
            default: None,
            collation: None,
            privileges: None,
            special: false,
            missing: None,
        }
    }

    #[test]
    fn only_columns_at_the_end_whose_old_values_are_known_are_added() {
        let ours = [column("a")];
        let with = |new: Column| [column("a"), new];
        assert_eq!(new_columns(&with(column("b")), &ours), Some(&[column("b")][..]));
        assert_eq!(new_columns(&ours, &ours), Some(&[][..]), "added already");
        assert_eq!(new_columns(&[], &ours), None, "one was dropped");
        let retyped = Column { of: "bigint".into(), ..column("a") };
        assert_eq!(new_columns(&[retyped, column("b")], &ours), None, "hides no other change");
        let later = Column { default: Some("5".into()), ..column("b") };
        assert_eq!(new_columns(&with(later), &ours), None, "old rows may have anything");
        let generated = Column { special: true, ..column("b") };
        assert_eq!(new_columns(&with(generated), &ours), None);
    }

    #[test]
    fn old_rows_get_what_v1s_have() {
        let mut new =
            Column { not_null: true, default: Some("now()".into()), missing: Some("'x'".into()), ..column("a b") };
        new.collation = Some("\"C\"".into());
        assert_eq!(
            acts("s.t", &new),
            [
                "ALTER TABLE s.t ADD COLUMN \"a b\" integer COLLATE \"C\" DEFAULT 'x' NOT NULL",
                "ALTER TABLE s.t ALTER COLUMN \"a b\" SET DEFAULT now()"
            ]
        );
        new.default = None;
        assert_eq!(acts("s.t", &new)[1], "ALTER TABLE s.t ALTER COLUMN \"a b\" DROP DEFAULT");
    }
}
