//! The rows: all tables of all databases, several at a time, by the snapshots of the slots.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::cluster::jobs;
use super::loader::Loader;
use super::{APPLICATION, Snapshot};
use crate::engine::Place;
use crate::engine::orders::what_to_do;
use crate::engine::postgres::connect;
use crate::engine::postgres::logical::databases::Open;
use crate::engine::postgres::logical::found::OF_USERS;
use crate::engine::postgres::wire;
use crate::tell::Unit;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A table of more pages is copied in pieces, so that several work on it. By row address, which is quick from 14 on.
const PIECE: u64 = 64 << 10;

#[derive(Clone, Debug, Deserialize)]
struct Table {
    oid: u32,
    /// Quoted, with its schema.
    name: String,
    /// Quoted; without generated ones.
    columns: Vec<String>,
    /// Every column's binary form means the same on both servers.
    binary: bool,
    pages: u64,
    bytes: u64,
}

/// Types of our own numbering (composite, arrays of such, `reg…`) hold numbers of the server's own in their binary form.
const TABLES: &str = "SELECT coalesce(json_agg(json_build_object('oid', t.oid::bigint, 'name', t.name,
    'columns', t.columns, 'binary', t.binary, 'pages', pg_relation_size(t.oid) / 8192, 'bytes', pg_table_size(t.oid))
  ORDER BY pg_table_size(t.oid) DESC), '[]') FROM (
  SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name,
    coalesce((SELECT json_agg(quote_ident(a.attname) ORDER BY a.attnum) FROM pg_attribute AS a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '[]') AS columns,
    NOT EXISTS (SELECT 1 FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid
      LEFT JOIN pg_type AS b ON b.oid = y.typbasetype
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND (
        coalesce(b.oid, y.oid) >= 16384 AND coalesce(b.typtype, y.typtype) <> 'e'
        OR coalesce(b.oid, y.oid) < 16384 AND coalesce(b.typtype, y.typtype) NOT IN ('b', 'r', 'm')
        OR coalesce(b.oid, y.oid)::regtype::text ~ '^(reg|aclitem|pg_|_?(oid)?vector|record|_reg)'
        OR (coalesce(b.typsend, y.typsend)::oid = 0 OR coalesce(b.typreceive, y.typreceive)::oid = 0))) AS binary
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE :of_users) AS t";

/// What one worker does at a time.
struct Piece {
    database: usize,
    table: Table,
    /// Pages from and to; `None`: the whole table.
    range: Option<(u64, Option<u64>)>,
}

/// Everything is copied when this returns. Says how many bytes went over.
pub(super) async fn copy(
    place: &Place,
    leader: &Place,
    loader: &Loader,
    databases: &[Open],
    snapshots: &[Snapshot],
) -> Result<u64, Trouble> {
    let mut pieces = Vec::new();
    for open in databases {
        let tables: Vec<Table> = open.session.json(&TABLES.replace(":of_users", OF_USERS)).await?;
        let by_address = open.session.major().await? >= 14;
        pieces.extend(tables.into_iter().flat_map(|table| cut(open.number, table, by_address, jobs())));
    }
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.weight()));
    let total = pieces.iter().map(Piece::weight).sum();
    let work = Work {
        place,
        leader,
        loader,
        names: databases.iter().map(|open| open.name.clone()).collect(),
        snapshots: snapshots.iter().map(|snapshot| snapshot.name.clone()).collect(),
        left: RefCell::new(pieces.into()),
        began: Instant::now(),
        passed: Cell::new(0),
        told: Cell::new(Instant::now()),
        total,
    };
    try_join_all((0..jobs()).map(|_| work.work())).await?;
    Ok(work.passed.get())
}

/// A table that is larger than a piece: in as many as there are workers, or more.
fn cut(database: usize, table: Table, by_address: bool, jobs: usize) -> Vec<Piece> {
    if !by_address || table.pages <= PIECE || jobs < 4 {
        return vec![Piece { database, table, range: None }];
    }
    let count = table.pages.div_ceil(PIECE);
    let bounds = (0..count).map(|n| (n * PIECE, (n + 1 < count).then(|| (n + 1) * PIECE)));
    bounds.map(|range| Piece { database, table: table.clone(), range: Some(range) }).collect()
}

impl Piece {
    fn weight(&self) -> u64 {
        match self.range {
            None => self.table.bytes,
            Some((from, to)) => {
                let pages = to.unwrap_or(self.table.pages).saturating_sub(from);
                self.table.bytes / self.table.pages.max(1) * pages
            }
        }
    }

    /// The same rows out of the one and into the other. A whole table is made anew in the transaction that fills it: its
    /// rows need no log, and are frozen from the beginning.
    fn statements(&self) -> [String; 2] {
        let (name, columns) = (&self.table.name, self.table.columns.join(", "));
        let list = if columns.is_empty() { String::new() } else { format!(" ({columns})") };
        let binary = if self.table.binary { "FORMAT binary" } else { "FORMAT text" };
        match self.range {
            None => [
                format!("COPY {name}{list} TO STDOUT ({binary})"),
                format!("COPY {name}{list} FROM STDIN ({binary}, FREEZE)"),
            ],
            Some((from, to)) => {
                let end = to.map_or(String::new(), |to| format!(" AND ctid < '({to},0)'"));
                [
                    format!(
                        "COPY (SELECT {columns} FROM ONLY {name} WHERE ctid >= '({from},0)'{end}) TO STDOUT ({binary})"
                    ),
                    format!("COPY {name}{list} FROM STDIN ({binary})"),
                ]
            }
        }
    }
}

struct Work<'a> {
    place: &'a Place,
    leader: &'a Place,
    loader: &'a Loader,
    names: Vec<String>,
    snapshots: Vec<String>,
    left: RefCell<VecDeque<Piece>>,
    began: Instant,
    passed: Cell<u64>,
    told: Cell<Instant>,
    total: u64,
}

impl Work<'_> {
    /// One worker: keeps its two connections for as long as the pieces are of one database.
    async fn work(&self) -> Result<(), Trouble> {
        let mut open: Option<(usize, wire::Wire, wire::Wire)> = None;
        loop {
            let Some(piece) = self.left.borrow_mut().pop_front() else { return Ok(()) };
            let (from, to) = match &mut open {
                Some((database, from, to)) if *database == piece.database => (from, to),
                _ => {
                    let (from, to) = self.connect(piece.database).await?;
                    let (_, from, to) = open.insert((piece.database, from, to));
                    (from, to)
                }
            };
            self.one(&piece, from, to).await.map_err(|trouble| {
                let hint = what_to_do(&trouble.one_line());
                Trouble::failed(format!("table {} was not copied", piece.table.name)).because(trouble).hint(hint)
            })?;
        }
    }

    async fn connect(&self, database: usize) -> Result<(wire::Wire, wire::Wire), Trouble> {
        let (name, snapshot) = (&self.names[database], &self.snapshots[database]);
        let stream = connect::stream(self.leader).await?;
        let mut from = connect::wire(self.leader, stream, name, APPLICATION, false).await?;
        from.ask(&format!(
            "{PINS}; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'"
        ))
        .await?;
        let mut to = self.loader.wire(name).await?;
        to.ask(&format!("{PINS}; SET session_replication_role = replica")).await?;
        Ok((from, to))
    }

    async fn one(&self, piece: &Piece, from: &mut wire::Wire, to: &mut wire::Wire) -> Result<(), Trouble> {
        let [out, into] = piece.statements();
        self.refuse_rewritten(piece, from).await?;
        let begin = match piece.range {
            None => format!("BEGIN; TRUNCATE ONLY {}", piece.table.name),
            Some(_) => "BEGIN".to_owned(),
        };
        to.ask(&begin).await?;
        wire::copy(from, &out, to, &into, &mut async |bytes| self.went_over(bytes).await).await?;
        to.ask("COMMIT").await?;
        from.ask("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece").await.map(drop)
    }

    /// A table whose file is another one than at the snapshot was rewritten (or truncated) since: its rows are hidden from
    /// the snapshot, and no change tells of it. It is locked first, so that what is seen stays.
    async fn refuse_rewritten(&self, piece: &Piece, from: &mut wire::Wire) -> Result<(), Trouble> {
        let (name, oid) = (&piece.table.name, piece.table.oid);
        from.ask(&format!("SAVEPOINT piece; LOCK TABLE ONLY {name} IN ACCESS SHARE MODE")).await?;
        let same = format!("SELECT relfilenode = pg_relation_filenode(oid) FROM pg_class WHERE oid = {oid}");
        match from.ask(&same).await?.first().and_then(|row| row.first().cloned().flatten()).as_deref() {
            Some("t") => Ok(()),
            _ => Err(Trouble::failed("it was truncated, rewritten or made anew after the copy had begun")),
        }
    }

    async fn went_over(&self, bytes: u64) -> Result<(), Trouble> {
        self.passed.set(self.passed.get() + bytes);
        let spent = self.began.elapsed();
        if self.told.get().elapsed() >= Duration::from_millis(500) {
            self.told.set(Instant::now());
            let ms = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = self.passed.get().saturating_mul(1000) / ms;
            self.place.tell.progress("copied", self.passed.get(), Some(self.total), Some(rate), Unit::Bytes);
        }
        let Some(limit) = self.place.plan.limits.seed_rate else { return Ok(()) };
        let due = Duration::from_millis(self.passed.get().saturating_mul(1000) / limit.0.max(1));
        if due <= spent {
            return Ok(());
        }
        let wait = Wait {
            what: "the copy to be as slow as it shall be",
            limit: Limit { name: "limits.total", value: self.place.plan.limits.total.0 },
            every: due.saturating_sub(spent).min(Duration::from_secs(1)),
            kind: Kind::Failed,
        };
        wait::until(wait, &crate::tell::Teller::silent(), async || {
            Ok(match self.began.elapsed() >= due {
                true => Look::Done(()),
                false => Look::NotYet("limits.seed-rate".into()),
            })
        })
        .await
    }
}

/// As a dump has them: text must not depend on what either side's defaults are.
pub(in super::super) const PINS: &str = "SET search_path = pg_catalog, pg_temp; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET DateStyle = ISO; SET IntervalStyle = postgres; SET extra_float_digits = 3; \
    SET TimeZone = 'UTC'; SET bytea_output = 'hex'; SET lc_monetary = 'C'; SET client_encoding = 'UTF8'; SET row_security = off; \
    SET synchronize_seqscans = off; SET xmlbinary = base64; SET xmloption = content";

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pages: u64) -> Table {
        let columns = vec!["a".to_owned(), "\"B c\"".to_owned()];
        Table { oid: 1, name: "s.t".into(), columns, binary: true, pages, bytes: pages * 8192 }
    }

    #[test]
    fn a_large_table_is_cut_so_that_nothing_is_missed_or_doubled() {
        let pieces = cut(0, table(2 * PIECE + 1), true, 8);
        let ranges: Vec<_> = pieces.iter().map(|piece| piece.range.unwrap()).collect();
        assert_eq!(ranges, [(0, Some(PIECE)), (PIECE, Some(2 * PIECE)), (2 * PIECE, None)]);
        assert_eq!(
            cut(0, table(2 * PIECE + 1), false, 8).len(),
            1,
            "reading by address would read all of it each time"
        );
        assert_eq!(cut(0, table(PIECE), true, 8).len(), 1);
        assert!(pieces[1].statements()[0].contains("ctid >= '(65536,0)' AND ctid < '(131072,0)'"));
        assert!(!pieces[2].statements()[0].contains('<'), "what was added since has no end");
    }
}
