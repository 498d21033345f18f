//! What one pair of sessions copies at a time: a table, or a part of a large one.

use super::super::super::columns::{Column, Kind};
use super::super::super::quote::ident;
use super::super::super::session::Session;
use super::super::inventory::Table;
use crate::trouble::Trouble;

/// A table that is larger is parted. As large as this are the parts, where the numbers of the key are evenly spread.
const PIECE: u64 = 64 << 20;

/// No more parts of one table than this.
const MOST: u64 = 1024;

pub(super) struct Piece<'a> {
    pub(super) table: &'a Table,
    /// Of the numbers that the table is parted by: from (with it) and to (without it).
    range: (Option<i128>, Option<i128>),
    /// Its share of the table's bytes.
    pub(super) weight: u64,
}

/// All tables, the heaviest pieces first.
pub(super) async fn cut<'a>(reader: &Session, tables: &'a [Table], pairs: usize) -> Result<Vec<Piece<'a>>, Trouble> {
    let mut pieces = Vec::new();
    for table in tables {
        let mut bounds = Vec::new();
        if let Some(column) = table.parted_by().filter(|_| pairs > 1 && table.bytes > PIECE) {
            let column = ident(&column.name);
            let ends = format!("SELECT MIN({column}), MAX({column}) FROM {}", table.name.quoted());
            reader.run("SAVEPOINT piece").await?;
            let ends = reader.rows(&ends).await?;
            reader.run("ROLLBACK TO SAVEPOINT piece").await?;
            let number = |at: usize| ends.first()?.get(at)?.as_deref()?.parse::<i128>().ok();
            if let (Some(least), Some(most)) = (number(0), number(1)) {
                bounds = parted(least, most, table.bytes.div_ceil(PIECE).min(MOST));
            }
        }
        let parts = bounds.len() as u64 + 1;
        let mut from = None;
        for to in bounds.into_iter().map(Some).chain([None]) {
            pieces.push(Piece { table, range: (from, to), weight: table.bytes / parts });
            from = to;
        }
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.weight));
    Ok(pieces)
}

/// Where one part ends and the next begins.
fn parted(least: i128, most: i128, parts: u64) -> Vec<i128> {
    let parts = i128::from(parts);
    let mut bounds: Vec<i128> = (1..parts).map(|n| least + (most - least + 1) * n / parts).collect();
    bounds.retain(|bound| *bound > least);
    bounds.dedup();
    bounds
}

impl Piece<'_> {
    pub(super) fn select(&self) -> String {
        let columns: Vec<String> = self.table.columns.iter().map(Column::read).collect();
        let mut sql = format!("SELECT {} FROM {}", columns.join(", "), self.table.name.quoted());
        if self.table.has_versions() && !self.table.key.is_empty() {
            // In the order of the rows themselves, which is also the quickest for writing them.
            sql.push_str(" FORCE INDEX (PRIMARY)");
        }
        if let Some(column) = self.table.parted_by() {
            let column = ident(&column.name);
            let from = self.range.0.map(|from| format!("{column} >= {from}"));
            let to = self.range.1.map(|to| format!("{column} < {to}"));
            let ends: Vec<String> = from.into_iter().chain(to).collect();
            if !ends.is_empty() {
                sql.push_str(&format!(" WHERE {}", ends.join(" AND ")));
            }
        }
        sql
    }

    pub(super) fn load(&self) -> String {
        let plain = |(field, column): (usize, &Column)| column.written(field).1.is_none();
        let written = match self.table.columns.iter().enumerate().all(plain) {
            true => Column::written,
            false => Column::written_among,
        };
        let columns = self.table.columns.iter().enumerate().map(|(field, column)| written(column, field));
        let (into, sets): (Vec<String>, Vec<Option<String>>) = columns.unzip();
        let sets: Vec<String> = sets.into_iter().flatten().collect();
        let set = if sets.is_empty() { String::new() } else { format!(" SET {}", sets.join(", ")) };
        format!(
            "LOAD DATA LOCAL INFILE 'rows' INTO TABLE {} CHARACTER SET binary ({}){set}",
            self.table.name.quoted(),
            into.join(", ")
        )
    }

    /// Which of the values read are numbers of ENUM members.
    pub(super) fn enumerated(&self) -> Vec<usize> {
        let columns = self.table.columns.iter().enumerate();
        columns.filter(|(_, column)| column.kind == Kind::Enumerated).map(|(at, _)| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::inventory::Name;
    use super::*;

    #[test]
    fn parts_miss_nothing_and_overlap_nowhere() {
        assert_eq!(parted(1, 100, 4), [26, 51, 76]);
        assert_eq!(parted(i128::from(i64::MIN), i128::from(i64::MAX), 2), [0]);
        assert_eq!(parted(0, i128::from(u64::MAX), 2), [1 << 63]);
        assert_eq!(parted(7, 7, 4), [0; 0]);
        assert_eq!(parted(7, 8, 4), [8]);
    }

    #[test]
    fn a_piece_names_its_columns_and_its_ends() {
        let column = |name: &str, kind: &str| Column::described(name.into(), kind, kind, "");
        let table = Table {
            name: Name { schema: "s`x".into(), name: "t".into() },
            engine: "InnoDB".into(),
            columns: vec![column("id", "bigint"), column("e`", "enum"), column("f", "float")],
            key: vec!["id".into()],
            bytes: 1,
        };
        let piece = Piece { table: &table, range: (Some(-5), None), weight: 1 };
        let from = "FROM `s``x`.`t` FORCE INDEX (PRIMARY) WHERE `id` >= -5";
        assert_eq!(piece.select(), format!("SELECT `id`, CAST(`e``` AS UNSIGNED), `f` * 1e0 {from}"));
        let into = "INTO TABLE `s``x`.`t` CHARACTER SET binary (`id`, @f1, `f`) SET `e``` = CAST(@f1 AS UNSIGNED)";
        assert_eq!(piece.load(), format!("LOAD DATA LOCAL INFILE 'rows' {into}"));
        assert_eq!(piece.enumerated(), [1]);
    }
}
