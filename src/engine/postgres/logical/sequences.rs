//! Sequences: no publication carries them (up to 18), so their values are read on the leader and set on V2, exactly.
//!
//! `pg_sequences.last_value` is nothing for one that was never used, and also for one that was set without being used; so
//! every sequence is read by itself. In portions: each one read is a lock until the statement's end.

use futures_util::future::try_join_all;

use super::databases::Open;
use crate::engine::postgres::session::Session;
use crate::trouble::Trouble;

/// Sequences a statement.
const PORTION: usize = 500;

/// A sequence's name, quoted, and what `SELECT last_value, is_called` says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
pub(super) struct Value {
    name: String,
    last: i64,
    called: bool,
}

const NAMES: &str = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY 1), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// All of a database.
async fn read(session: &Session) -> Result<Vec<Value>, Trouble> {
    let names: Vec<String> = session.json(NAMES).await?;
    let mut values = Vec::with_capacity(names.len());
    for some in names.chunks(PORTION) {
        let each = some.iter().map(|name| {
            let literal = crate::engine::postgres::names::literal(name);
            format!("SELECT {literal} AS name, last_value AS last, is_called AS called FROM {name}")
        });
        let all = each.collect::<Vec<_>>().join(" UNION ALL ");
        values.extend(
            session.json::<Vec<Value>>(&format!("SELECT coalesce(json_agg(x), '[]') FROM ({all}) AS x")).await?,
        );
    }
    Ok(values)
}

/// V2's sequences are the leader's. `known`: as they were set before, so that only what has changed since is set. Says what
/// they are now, by database, and how many were set.
pub(super) async fn ensure_equal(
    leader: &[Open],
    follower: &[Open],
    known: &[Vec<Value>],
) -> Result<(Vec<Vec<Value>>, usize), Trouble> {
    let pairs = leader.iter().zip(follower).enumerate();
    let done = try_join_all(pairs.map(async |(number, (from, to))| {
        let now = read(&from.session).await?;
        let before = known.get(number).map_or(&[][..], Vec::as_slice);
        let changed: Vec<&Value> = now.iter().filter(|value| before.binary_search(value).is_err()).collect();
        for some in changed.chunks(PORTION) {
            set(&to.session, some).await?;
        }
        let count = changed.len();
        let mut now = now;
        now.sort();
        Ok::<_, Trouble>((now, count))
    }))
    .await?;
    let count = done.iter().map(|(_, count)| count).sum();
    Ok((done.into_iter().map(|(values, _)| values).collect(), count))
}

async fn set(session: &Session, values: &[&Value]) -> Result<(), Trouble> {
    if values.is_empty() {
        return Ok(());
    }
    let each = values.iter().map(|value| {
        let name = crate::engine::postgres::names::literal(&value.name);
        format!("({name}, {}::bigint, {})", value.last, value.called)
    });
    let rows = each.collect::<Vec<_>>().join(", ");
    session
        .run(&format!(
            "SELECT setval(v.name::regclass, v.last, v.called) FROM (VALUES {rows}) AS v(name, last, called)"
        ))
        .await
}
