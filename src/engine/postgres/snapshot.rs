//! A view of all databases that stays as it is while others write, for `verify`.
//!
//! Sequences are left out: a follower's stand up to 32 values ahead of the leader's by nature, as values are logged
//! in advance. Unlogged tables are empty on a follower.

use std::cell::Cell;

use async_trait::async_trait;
use futures_util::future::try_join_all;

use super::connect;
use super::names::ident;
use super::session::{Session, Timeouts};
use crate::engine::{Fingerprint, Place, Snapshot, Table};
use crate::trouble::Trouble;

/// Sessions to every database, opened before the window; their view is taken inside it.
pub(super) struct Kept {
    databases: Vec<(String, Session)>,
    begun: Cell<bool>,
}

impl Kept {
    pub(super) async fn connect(place: &Place) -> Result<Kept, Trouble> {
        let session = connect::admin(place, "switchover verify", Timeouts::NONE).await?;
        let names = session
            .rows("SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1", &[])
            .await?;
        let open = names.iter().map(|row| async {
            let name: String = row.get(0);
            let session = connect::admin_in(place, &name, "switchover verify", Timeouts::NONE).await?;
            // What a value looks like as text must not depend on a side's settings.
            session
                .run("SET TimeZone = 'UTC'; SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'; SET extra_float_digits = 1")
                .await?;
            Ok::<_, Trouble>((name, session))
        });
        Ok(Kept { databases: try_join_all(open).await?, begun: Cell::new(false) })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.databases.iter().all(|(_, session)| session.is_alive())
    }

    /// Takes the view: what is committed now, and nothing later. One round trip.
    pub(super) async fn begin(&self) -> Result<(), Trouble> {
        if !self.begun.get() {
            let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";
            try_join_all(self.databases.iter().map(|(_, session)| session.run(begin))).await?;
            self.begun.set(true);
        }
        Ok(())
    }
}

/// A name that holds database, schema and table, quoted: the same on both sides.
fn full_name(database: &str, schema: &str, table: &str) -> String {
    format!("{}.{}.{}", ident(database), ident(schema), ident(table))
}

#[async_trait(?Send)]
impl Snapshot for Kept {
    async fn tables(&self) -> Result<Vec<Table>, Trouble> {
        let mut tables = Vec::new();
        for (database, session) in &self.databases {
            let found = session
                .rows(
                    "SELECT n.nspname::text, c.relname::text, pg_table_size(c.oid) FROM pg_class AS c \
                     JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                     WHERE c.relkind IN ('r', 'm') AND c.relpersistence = 'p' AND c.relispopulated \
                     AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%' \
                     ORDER BY 1, 2",
                    &[],
                )
                .await?;
            tables.extend(found.iter().map(|row| Table {
                name: full_name(database, row.get(0), row.get(1)),
                bytes: row.get::<_, i64>(2).unsigned_abs(),
            }));
        }
        Ok(tables)
    }

    /// Both sides are block for block the same, so that a sample of blocks is the same on both; blocks that were
    /// added since hold no row this view can see.
    async fn fingerprint(&self, table: &str, percent: f64) -> Result<Fingerprint, Trouble> {
        let found = self.databases.iter().find_map(|(database, session)| {
            table.strip_prefix(&ident(database))?.strip_prefix('.').map(|relation| (session, relation))
        });
        let Some((session, relation)) = found else {
            return Err(Trouble::bug(format!("no such table to compare: {table}")));
        };
        let sample = if percent < 100.0 { format!("TABLESAMPLE SYSTEM ({percent}) REPEATABLE (0)") } else { String::new() };
        let sql = format!(
            "SELECT count(*), coalesce(sum(hashtextextended((x.*)::text, 0)::numeric), 0)::text \
             FROM ONLY {relation} AS x {sample}"
        );
        let rows = session.rows(&sql, &[]).await?;
        match rows.first() {
            Some(row) => Ok(Fingerprint { rows: row.get::<_, i64>(0).unsigned_abs(), hash: row.get(1) }),
            None => Err(Trouble::bug("a count without a row")),
        }
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        // Ends with its sessions; nothing was written.
        Ok(())
    }
}
