//! Unlogged tables: nothing replicates them. Their rows go over in the window, where they are few, behind the fence.

use std::cell::RefCell;

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::databases::Open;
use super::seed::{KEPT, PINS};
use crate::config::quantity::Bytes;
use crate::engine::Place;
use crate::engine::postgres::connect;
use crate::engine::postgres::wire::{self, Wire};
use crate::trouble::Trouble;

/// Together, in every database: what takes no longer than the window may.
pub(in super::super) const MOST: u64 = 16 << 20;

/// Accepts that they are empty on V2, where they are more.
pub(in super::super) const ALLOWED: &str = "data-loss-unlogged";

const APPLICATION: &str = "switchover";

#[derive(Deserialize)]
struct Table {
    name: String,
    columns: Vec<String>,
    bytes: u64,
}

const TABLES: &str = "SELECT coalesce(json_agg(json_build_object('name', format('%I.%I', n.nspname, c.relname), \
    'bytes', pg_table_size(c.oid), 'columns', (SELECT coalesce(json_agg(quote_ident(a.attname) ORDER BY a.attnum), '[]') \
        FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''))), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relpersistence = 'u' AND c.relkind = 'r'";

/// Of one database: a connection to each side, opened before the window.
struct Pipe {
    ends: RefCell<(Wire, Wire)>,
    tables: Vec<Table>,
}

pub(super) struct Pipes(Vec<Pipe>);

/// None where there are no such tables, or where they are too large and that is accepted.
pub(super) async fn open(place: &Place, leader: &[Open], follower: &[Open]) -> Result<Pipes, Trouble> {
    let other = Place { side: place.side.other(), ..place.clone() };
    let mut found = Vec::new();
    for open in leader {
        let tables: Vec<Table> = open.session.json(TABLES).await?;
        found.push((open, tables));
    }
    let bytes: u64 = found.iter().flat_map(|(_, tables)| tables).map(|table| table.bytes).sum();
    if bytes > MOST {
        if place.plan.allow.iter().any(|allowed| allowed == ALLOWED) {
            // Rows of an earlier time are worse than none.
            ensure_empty(follower).await?;
            return Ok(Pipes(Vec::new()));
        }
        return Err(Trouble::not_ready(format!(
            "V1's unlogged tables hold {} by now: too much for the window",
            Bytes(bytes)
        ))
        .hint(format!(
            "empty them, or ALTER TABLE … SET LOGGED; or run with `--allow {ALLOWED}`: they are empty on V2"
        )));
    }
    let mut pipes = Vec::new();
    for (open, tables) in found.into_iter().filter(|(_, tables)| !tables.is_empty()) {
        let end = async |place: &Place| {
            let mut wire = connect::wire(place, connect::stream(place).await?, &open.name, APPLICATION, false).await?;
            wire.ask(KEPT).await?;
            wire.ask(&format!("{PINS}; SET session_replication_role = replica")).await?;
            Ok::<Wire, Trouble>(wire)
        };
        pipes.push(Pipe { ends: RefCell::new((end(&other).await?, end(place).await?)), tables });
    }
    Ok(Pipes(pipes))
}

async fn ensure_empty(follower: &[Open]) -> Result<(), Trouble> {
    for open in follower {
        let tables: Vec<Table> = open.session.json(TABLES).await?;
        if !tables.is_empty() {
            let names = tables.iter().map(|table| format!("ONLY {}", table.name)).collect::<Vec<_>>().join(", ");
            open.session.run(&format!("TRUNCATE {names}")).await?;
        }
    }
    Ok(())
}

impl Pipes {
    /// The follower's rows are the leader's. Says how many tables these are.
    pub(super) async fn copy(&self) -> Result<usize, Trouble> {
        try_join_all(self.0.iter().map(Pipe::copy)).await?;
        Ok(self.0.iter().map(|pipe| pipe.tables.len()).sum())
    }
}

impl Pipe {
    #[expect(clippy::await_holding_refcell_ref, reason = "one window at a time; a second one finds the pipe in use")]
    async fn copy(&self) -> Result<(), Trouble> {
        let mut ends = self.ends.try_borrow_mut().map_err(|_| Trouble::bug("a pipe is in use"))?;
        let (from, to) = &mut *ends;
        to.ask("BEGIN").await?;
        for Table { name, columns, .. } in &self.tables {
            let list = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
            // What another table refers to cannot be truncated.
            to.ask(&format!("DELETE FROM ONLY {name}")).await?;
            let (out, into) = (format!("COPY {name}{list} TO STDOUT"), format!("COPY {name}{list} FROM STDIN"));
            wire::copy(from, &out, to, &into, &mut async |_| Ok(())).await?;
        }
        to.ask("COMMIT").await.map(drop)
    }
}
