//! Sequences: no publication carries them (up to 18), so their values are read on the leader and set on V2, exactly.
//!
//! `pg_sequence_last_value` reads one that was used three times as fast as a query of it does, and says nothing of one that
//! was not, or that was set without being used: those are queried, by statements that were planned before the window, as
//! planning takes ten times as long. In portions, as each sequence read is a lock until the statement's end. What V2 has is
//! known, as long as none of its sequences was made anew: that is what `TRUNCATE … RESTART IDENTITY`, applied, does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};

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

const PLANNING: Timeouts = Timeouts { statement: Duration::from_secs(60), lock: Duration::from_secs(2) };

/// What `SELECT last_value, is_called` says of a sequence.
type Value = (i64, bool);
/// By the sequence's quoted name.
type Values = BTreeMap<String, Value>;

#[derive(Clone, serde::Deserialize)]
struct Named {
    oid: i64,
    name: String,
}

const NAMES: &str = "SELECT coalesce(json_agg(json_build_object('oid', c.oid::bigint, 'name', format('%I.%I', n.nspname, c.relname)) \
        ORDER BY c.oid), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// The files of a database's sequences: one that was made anew has another.
const FILES: &str = "SELECT coalesce(sum(hashint8(oid::bigint << 32 | relfilenode::bigint)::bigint), 0)::text \
    FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't'";

/// What one session reads of a database in the window.
struct Reader {
    session: Rc<Session>,
    /// Prepared statements, with the sequences that each reads in this order.
    quick: Vec<(String, Vec<String>)>,
    /// Of those that were not used by then.
    exact: Vec<String>,
}

/// One database's sequences: V2's are as the leader's were, and the leader's can be read.
pub(super) struct Sequences {
    readers: Vec<Reader>,
    /// V2's, and the files that they are in.
    known: RefCell<Values>,
    files: RefCell<String>,
}

impl Sequences {
    pub(super) fn is_alive(&self) -> bool {
        self.readers.iter().all(|reader| reader.session.is_alive())
    }
}

/// Sets V2's to what the leader's are now, opens sessions on the leader and plans there what the window reads.
pub(super) async fn ready(leader: &Place, from: &[Open], to: &[Open]) -> Result<Vec<Sequences>, Trouble> {
    try_join_all(from.iter().zip(to).map(async |(from, to)| {
        let names: Vec<Named> = from.session.json(NAMES).await?;
        // First: one that is made anew from here on shows.
        let files = RefCell::new(to.session.text(FILES).await?.unwrap_or_default());
        let plain: Vec<String> = names.iter().map(|named| named.name.clone()).collect();
        let (now, there) = try_join(exactly(&from.session, &plain), exactly(&to.session, &plain)).await?;
        set(&to.session, &unlike(&now, &there)).await?;
        let portions: Vec<&[Named]> = names.chunks(PORTION).collect();
        let mut readers = Vec::new();
        for some in portions.chunks(portions.len().div_ceil(SESSIONS).max(1)) {
            // A plan of five hundred tables takes its time; a session of one portion is the database's own.
            let session = match portions.len() {
                1 => Rc::clone(&from.session),
                _ => Rc::new(connect::admin_in(leader, &from.name, "switchover", PLANNING).await?),
            };
            readers.push(prepare(session, some, &now).await?);
        }
        let all = Sequences { readers, known: RefCell::new(now), files };
        // A plan is made by its first use.
        read(&all, &from.session).await?;
        Ok(all)
    }))
    .await
}

async fn prepare(session: Rc<Session>, portions: &[&[Named]], now: &Values) -> Result<Reader, Trouble> {
    session.run("SET plan_cache_mode = force_generic_plan; DEALLOCATE ALL").await?;
    let mut reader = Reader { session, quick: Vec::new(), exact: Vec::new() };
    for (number, named) in portions.iter().enumerate() {
        let oids = named.iter().map(|it| it.oid.to_string()).collect::<Vec<_>>().join(", ");
        let quick = format!("sequences_{number}");
        let statement = format!(
            "PREPARE {quick} AS SELECT coalesce(json_agg(pg_sequence_last_value(s.oid)), '[]') \
             FROM unnest('{{{oids}}}'::oid[]) AS s(oid)"
        );
        reader.session.run(&statement).await?;
        let names: Vec<String> = named.iter().map(|it| it.name.clone()).collect();
        let unused: Vec<String> =
            names.iter().filter(|name| now.get(*name).is_none_or(|(_, called)| !called)).cloned().collect();
        if !unused.is_empty() {
            let exact = format!("unused_{number}");
            reader.session.run(&format!("PREPARE {exact} AS {}", query(&unused))).await?;
            reader.exact.push(exact);
        }
        reader.quick.push((quick, names));
    }
    Ok(reader)
}

fn query(names: &[String]) -> String {
    let one = |name: &String| format!("SELECT {} AS name, last_value, is_called FROM {name}", literal(name));
    let all = names.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
    format!("SELECT coalesce(json_object_agg(name, json_build_array(last_value, is_called)), '{{}}') FROM ({all}) AS x")
}

/// Sequence by sequence, planned anew.
async fn exactly(session: &Session, names: &[String]) -> Result<Values, Trouble> {
    let mut values = Values::new();
    for some in names.chunks(PORTION) {
        values.extend(session.json::<Values>(&query(some)).await?);
    }
    Ok(values)
}

/// All of the leader's of a database.
async fn read(all: &Sequences, leader: &Session) -> Result<Values, Trouble> {
    let parts = try_join_all(all.readers.iter().map(async |reader| {
        let (mut values, mut unsaid) = (Values::new(), Vec::new());
        for statement in &reader.exact {
            values.extend(reader.session.json::<Values>(&format!("EXECUTE {statement}")).await?);
        }
        for (statement, names) in &reader.quick {
            let said: Vec<Option<i64>> = reader.session.json(&format!("EXECUTE {statement}")).await?;
            for (name, last) in names.iter().zip(said) {
                match last {
                    Some(last) => _ = values.insert(name.clone(), (last, true)),
                    None if values.contains_key(name) => {}
                    None => unsaid.push(name.clone()),
                }
            }
        }
        Ok::<_, Trouble>((values, unsaid))
    }))
    .await?;
    let (mut values, mut unsaid) = (Values::new(), Vec::new());
    for (some, left) in parts {
        values.extend(some);
        unsaid.extend(left);
    }
    // Used by then, and set back to unused since.
    if !unsaid.is_empty() {
        values.extend(exactly(leader, &unsaid).await?);
    }
    Ok(values)
}

/// V2's sequences are the leader's. Says how many had to be set.
pub(super) async fn ensure_equal(all: &[Sequences], leader: &[Open], follower: &[Open]) -> Result<usize, Trouble> {
    let each = all.iter().zip(leader).zip(follower);
    let done = try_join_all(each.map(async |((all, from), to)| {
        let (now, files) = try_join(read(all, &from.session), to.session.text(FILES)).await?;
        let files = files.unwrap_or_default();
        if files != *all.files.borrow() {
            let names: Vec<String> = now.keys().cloned().collect();
            let there = exactly(&to.session, &names).await?;
            all.known.replace(there);
            all.files.replace(files);
        }
        let changed = unlike(&now, &all.known.borrow());
        set(&to.session, &changed).await?;
        all.known.replace(now);
        Ok::<_, Trouble>(changed.len())
    }))
    .await?;
    Ok(done.into_iter().sum())
}

/// What is to be set.
fn unlike(now: &Values, there: &Values) -> Vec<(String, Value)> {
    now.iter()
        .filter(|(name, value)| there.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

async fn set(session: &Session, values: &[(String, Value)]) -> Result<(), Trouble> {
    for some in values.chunks(PORTION) {
        let each = some.iter().map(|(name, (last, called))| format!("({}, {last}::bigint, {called})", literal(name)));
        let rows = each.collect::<Vec<_>>().join(", ");
        session
            .run(&format!(
                "SELECT setval(v.name::regclass, v.last, v.called) FROM (VALUES {rows}) AS v(name, last, called)"
            ))
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_in_any_way_is_set() {
        let now = Values::from([("a".into(), (1, true)), ("b".into(), (1, false)), ("c".into(), (3, true))]);
        let there = Values::from([("a".into(), (1, true)), ("b".into(), (1, true))]);
        assert_eq!(unlike(&now, &there), [("b".to_owned(), (1, false)), ("c".to_owned(), (3, true))]);
    }
}
