//! Sequences: no publication carries them (up to 18), so their values are read on the leader and set on V2, exactly.
//!
//! `pg_sequences.last_value` is nothing for one that was never used, and also for one that was set without being used; so
//! every sequence is read by itself. In portions, as each one read is a lock until the statement's end; by statements that
//! were planned before the window, as planning takes ten times as long as reading.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::databases::Open;
use crate::engine::Place;
use crate::engine::postgres::connect;
use crate::engine::postgres::names::literal;
use crate::engine::postgres::session::{Session, Timeouts};
use crate::trouble::Trouble;

/// Sequences a statement.
const PORTION: usize = 500;

/// Sessions that read one database's, at most.
const SESSIONS: usize = 4;

/// A sequence's name, quoted, and what `SELECT last_value, is_called` says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub(super) struct Value {
    name: String,
    last: i64,
    called: bool,
}

const NAMES: &str = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname)), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// One database's sequences, ready to be read.
pub(super) struct Reader {
    /// Each with the statements that it has prepared.
    sessions: Vec<(Rc<Session>, Vec<String>)>,
}

impl Reader {
    pub(super) fn is_alive(&self) -> bool {
        self.sessions.iter().all(|(session, _)| session.is_alive())
    }
}

/// Opens sessions on this side and plans there what the window reads.
pub(super) async fn readers(place: &Place, databases: &[Open]) -> Result<Vec<Reader>, Trouble> {
    try_join_all(databases.iter().map(async |open| {
        let names: Vec<String> = open.session.json(NAMES).await?;
        let portions: Vec<&[String]> = names.chunks(PORTION).collect();
        let mut sessions = Vec::new();
        for some in portions.chunks(portions.len().div_ceil(SESSIONS).max(1)) {
            // A plan of five hundred tables takes its time; a session of one portion is the database's own.
            let session = match portions.len() {
                1 => Rc::clone(&open.session),
                _ => Rc::new(connect::admin_in(place, &open.name, "switchover", PLANNING).await?),
            };
            sessions.push((Rc::clone(&session), prepare(&session, some).await?));
        }
        Ok(Reader { sessions })
    }))
    .await
}

const PLANNING: Timeouts = Timeouts { statement: Duration::from_secs(60), lock: Duration::from_secs(2) };

async fn prepare(session: &Session, portions: &[&[String]]) -> Result<Vec<String>, Trouble> {
    session.run("SET plan_cache_mode = force_generic_plan; DEALLOCATE ALL").await?;
    let mut statements = Vec::new();
    for (number, names) in portions.iter().enumerate() {
        let one = |name: &String| {
            format!("SELECT {} AS name, last_value AS last, is_called AS called FROM {name}", literal(name))
        };
        let all = names.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        let statement = format!("sequences_{number}");
        session.run(&format!("PREPARE {statement} AS SELECT coalesce(json_agg(x), '[]') FROM ({all}) AS x")).await?;
        statements.push(statement);
    }
    Ok(statements)
}

/// All of a database, sorted.
async fn read(reader: &Reader) -> Result<Vec<Value>, Trouble> {
    let parts = try_join_all(reader.sessions.iter().map(async |(session, statements)| {
        let mut values = Vec::new();
        for statement in statements {
            values.extend(session.json::<Vec<Value>>(&format!("EXECUTE {statement}")).await?);
        }
        Ok::<_, Trouble>(values)
    }))
    .await?;
    let mut values = parts.concat();
    values.sort();
    Ok(values)
}

/// V2's sequences are the leader's: both are read, as a `TRUNCATE … RESTART IDENTITY` that V2 has applied sets back its own.
/// Says how many had to be set.
pub(super) async fn ensure_equal(theirs: &[Reader], ours: &[Reader], follower: &[Open]) -> Result<usize, Trouble> {
    let all = theirs.iter().zip(ours).zip(follower);
    let done = try_join_all(all.map(async |((theirs, ours), to)| {
        let (now, there) = futures_util::future::try_join(read(theirs), read(ours)).await?;
        let changed: Vec<&Value> = now.iter().filter(|value| there.binary_search(value).is_err()).collect();
        for some in changed.chunks(PORTION) {
            set(&to.session, some).await?;
        }
        Ok::<_, Trouble>(changed.len())
    }))
    .await?;
    Ok(done.into_iter().sum())
}

async fn set(session: &Session, values: &[&Value]) -> Result<(), Trouble> {
    let each =
        values.iter().map(|value| format!("({}, {}::bigint, {})", literal(&value.name), value.last, value.called));
    let rows = each.collect::<Vec<_>>().join(", ");
    session
        .run(&format!(
            "SELECT setval(v.name::regclass, v.last, v.called) FROM (VALUES {rows}) AS v(name, last, called)"
        ))
        .await
}
