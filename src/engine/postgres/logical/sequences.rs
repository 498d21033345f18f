//! Sequences: no publication carries them (up to 18), so their values are read on the leader and set on V2, exactly.
//!
//! `pg_sequence_last_value` reads one that is in use three times as fast as a query of it does, and says nothing of one that
//! is not, or that was set without being used: those are queried, by statements that were planned before the window, as
//! planning takes ten times as long. In portions, as each sequence read is a lock until the statement's end. What V2 has is
//! known, as long as none of its sequences was made anew: that is what `TRUNCATE … RESTART IDENTITY`, applied, does.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use tokio_postgres::Statement;

use super::databases::Open;
use crate::engine::Place;
use crate::engine::postgres::connect;
use crate::engine::postgres::names::literal;
use crate::engine::postgres::session::{Session, Timeouts, column};
use crate::trouble::Trouble;

/// Sequences a statement.
const PORTION: usize = 500;

/// Sessions that read one database's, at most.
const SESSIONS: usize = 4;

const PLANNING: Timeouts = Timeouts { statement: Duration::from_secs(60), lock: Duration::from_secs(2) };

/// What `SELECT last_value, is_called` says of a sequence.
type Value = (i64, bool);
/// Of each database.
pub(super) type Values = Vec<Vec<Value>>;

#[derive(Clone, serde::Deserialize)]
struct Named {
    oid: u32,
    /// Quoted, with its schema.
    name: String,
}

const NAMES: &str = "SELECT coalesce(json_agg(json_build_object('oid', c.oid::bigint, 'name', format('%I.%I', n.nspname, c.relname)) \
        ORDER BY c.oid), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// The files of a database's sequences: one that was made anew has another.
const FILES: &str = "SELECT coalesce(sum(hashint8(oid::bigint << 32 | relfilenode::bigint)::bigint), 0)::text \
    FROM pg_class WHERE relkind = 'S' AND relpersistence <> 't'";

/// Nothing of one that is not in use.
const QUICK: &str =
    "SELECT array_agg(pg_sequence_last_value(s.oid) ORDER BY s.n) FROM unnest($1::oid[]) WITH ORDINALITY AS s(oid, n)";

/// What one statement reads in the window.
struct Portion {
    statement: Statement,
    /// Of those that were in use by then; `None`: none was, and each is queried.
    oids: Option<Vec<u32>>,
    /// Places in the list of all.
    which: Vec<usize>,
}

/// What one session reads of a database in the window.
struct Reader {
    session: Rc<Session>,
    portions: Vec<Portion>,
}

/// One database's sequences: V2's are as the leader's were, and the leader's can be read.
pub(super) struct Sequences {
    all: Vec<Named>,
    readers: Vec<Reader>,
    /// V2's, and the files that they are in.
    known: RefCell<Vec<Value>>,
    files: RefCell<String>,
}

/// Sets V2's to what the leader's are now, opens sessions on the leader and plans there what the window reads.
pub(super) async fn ready(leader: &Place, from: &[Open], to: &[Open]) -> Result<Vec<Rc<Sequences>>, Trouble> {
    try_join_all(from.iter().zip(to).map(async |(from, to)| {
        let all: Vec<Named> = from.session.json(NAMES).await?;
        // First: one that is made anew from here on shows.
        let files = RefCell::new(to.session.text(FILES).await?.unwrap_or_default());
        let (now, there) = try_join(exactly(&from.session, &all), exactly(&to.session, &all)).await?;
        set(&to.session, &all, &unlike(&now, &there), &now).await?;
        let readers = readers(leader, from, &all, &now).await?;
        let sequences = Sequences { all, readers, known: RefCell::new(now), files };
        // A plan is made by its first use.
        sequences.read(&from.session).await?;
        Ok(Rc::new(sequences))
    }))
    .await
}

/// In turns, so that each session has as many of either kind.
async fn readers(leader: &Place, from: &Open, all: &[Named], now: &[Value]) -> Result<Vec<Reader>, Trouble> {
    let (used, unused): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|which| now[*which].1);
    let portions: Vec<(bool, &[usize])> =
        used.chunks(PORTION).map(|some| (true, some)).chain(unused.chunks(PORTION).map(|some| (false, some))).collect();
    let mut readers = Vec::new();
    for first in 0..portions.len().min(SESSIONS) {
        // A plan of five hundred tables takes its time; a session of one portion is the database's own.
        let session = match portions.len() {
            1 => Rc::clone(&from.session),
            _ => Rc::new(connect::admin_in(leader, &from.name, "switchover", PLANNING).await?),
        };
        session.run("SET plan_cache_mode = force_generic_plan").await?;
        let mut reader = Reader { session, portions: Vec::new() };
        for (in_use, some) in portions.iter().skip(first).step_by(SESSIONS) {
            let sql = if *in_use { QUICK.to_owned() } else { query(some.iter().map(|which| &all[*which])) };
            reader.portions.push(Portion {
                statement: reader.session.prepare(&sql).await?,
                oids: in_use.then(|| some.iter().map(|which| all[*which].oid).collect()),
                which: some.to_vec(),
            });
        }
        readers.push(reader);
    }
    Ok(readers)
}

fn query<'a>(some: impl Iterator<Item = &'a Named>) -> String {
    let one = |(n, it): (usize, &Named)| format!("SELECT {n} AS n, last_value, is_called FROM {}", it.name);
    let all = some.enumerate().map(one).collect::<Vec<_>>().join(" UNION ALL ");
    format!("SELECT array_agg(last_value ORDER BY n), array_agg(is_called ORDER BY n) FROM ({all}) AS x")
}

/// Sequence by sequence, planned anew.
async fn exactly(session: &Session, all: &[Named]) -> Result<Vec<Value>, Trouble> {
    let mut values = Vec::new();
    for some in all.chunks(PORTION) {
        values.extend(queried(session, &session.prepare(&query(some.iter())).await?).await?);
    }
    match values.len() == all.len() {
        true => Ok(values),
        false => Err(Trouble::bug("PostgreSQL does not say the value of every sequence")),
    }
}

async fn queried(session: &Session, statement: &Statement) -> Result<impl Iterator<Item = Value> + use<>, Trouble> {
    let row = session.row(statement, &[]).await?;
    let (last, called) = (column::<Vec<i64>>(&row, 0)?, column::<Vec<bool>>(&row, 1)?);
    Ok(last.into_iter().zip(called))
}

impl Portion {
    /// In its own order; `None`: not said.
    async fn read(&self, session: &Session) -> Result<Vec<Option<Value>>, Trouble> {
        match &self.oids {
            None => Ok(queried(session, &self.statement).await?.map(Some).collect()),
            Some(oids) => {
                let last = column::<Vec<Option<i64>>>(&session.row(&self.statement, &[oids]).await?, 0)?;
                Ok(last.into_iter().map(|last| last.map(|last| (last, true))).collect())
            }
        }
    }
}

impl Sequences {
    pub(super) fn is_alive(&self) -> bool {
        self.readers.iter().all(|reader| reader.session.is_alive())
    }

    /// All of the leader's, in their order.
    async fn read(&self, leader: &Session) -> Result<Vec<Value>, Trouble> {
        // What one session is asked for is asked at once: no answer waits for the next question.
        let each = self.readers.iter().flat_map(|reader| reader.portions.iter().map(move |portion| (reader, portion)));
        let said = each.map(async |(reader, portion)| Ok((&portion.which, portion.read(&reader.session).await?)));
        let mut values: Vec<Option<Value>> = vec![None; self.all.len()];
        for (which, said) in try_join_all(said).await? {
            which.iter().zip(said).for_each(|(which, said)| values[*which] = said);
        }
        // In use by then, and set back to unused since.
        let unsaid: Vec<Named> =
            self.all.iter().zip(&values).filter(|(_, value)| value.is_none()).map(|(named, _)| named.clone()).collect();
        let mut queried = exactly(leader, &unsaid).await?.into_iter();
        let all = values.into_iter().map(|value| value.or_else(|| queried.next()));
        all.collect::<Option<_>>().ok_or_else(|| Trouble::bug("a sequence has no value"))
    }

    /// The follower's are the leader's. Says how many had to be set.
    async fn ensure_equal(&self, now: Vec<Value>, follower: &Session) -> Result<usize, Trouble> {
        let files = follower.text(FILES).await?.unwrap_or_default();
        if files != *self.files.borrow() {
            let there = exactly(follower, &self.all).await?;
            self.known.replace(there);
            self.files.replace(files);
        }
        let changed = unlike(&now, &self.known.borrow());
        set(follower, &self.all, &changed, &now).await?;
        self.known.replace(now);
        Ok(changed.len())
    }
}

/// The leader's, behind the fence. All questions are sent when this is first polled.
pub(super) async fn read(all: &[Rc<Sequences>], leader: &[Open]) -> Result<Values, Trouble> {
    try_join_all(all.iter().zip(leader).map(|(sequences, open)| sequences.read(&open.session))).await
}

/// V2's sequences are the leader's. Says how many had to be set.
pub(super) async fn ensure_equal(all: &[Rc<Sequences>], now: Values, follower: &[Open]) -> Result<usize, Trouble> {
    let each = all.iter().zip(now).zip(follower);
    let set = each.map(|((sequences, now), open)| sequences.ensure_equal(now, &open.session));
    Ok(try_join_all(set).await?.into_iter().sum())
}

/// Which are to be set.
fn unlike(now: &[Value], there: &[Value]) -> Vec<usize> {
    (0..now.len()).filter(|which| there.get(*which) != Some(&now[*which])).collect()
}

async fn set(session: &Session, all: &[Named], which: &[usize], to: &[Value]) -> Result<(), Trouble> {
    for some in which.chunks(PORTION) {
        let each = some.iter().map(|which| {
            let (last, called) = to[*which];
            format!("({}, {last}::bigint, {called})", literal(&all[*which].name))
        });
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
        let now = [(1, true), (1, false), (3, true)];
        assert_eq!(unlike(&now, &[(1, true), (1, true)]), [1, 2]);
        assert_eq!(unlike(&now, &now), Vec::<usize>::new());
    }

    #[test]
    fn names_are_queried_in_their_order() {
        let all = ["s.a", "s.\"B\""].map(|name| Named { oid: 1, name: name.into() });
        let sql = query(all.iter());
        assert!(sql.contains("SELECT 0 AS n, last_value, is_called FROM s.a UNION ALL SELECT 1 AS n"), "{sql}");
    }
}
