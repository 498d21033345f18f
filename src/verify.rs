//! Compares two views of any engine: V1's and V2's data as of the switch, or, before it, while V2 follows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::quantity::Bytes;
use crate::engine::{Server, Snapshot, Table};
use crate::facts::Fact;
use crate::tell::{Teller, Unit};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Of a larger table only a sample of this size is read: V1 shall follow V2 soon, and the copy was made by the
/// server's own replication.
const WHOLE: u64 = 128 << 20;

/// A table that differs is looked at in so many parts, to name the rows.
const PARTS: u32 = 256;

/// So many of them are named.
const NAMED: usize = 5;

/// So many are looked at again while V2 follows. Where more differ, the table is looked at anew: V2 may be nearer then.
const AGAIN: usize = 2000;

/// A difference is one that stays for so many looks, with a moment between them.
const LOOKS: u32 = 3;
const BETWEEN: Duration = Duration::from_millis(300);

/// A row that is changed all the time is given up after so many.
const TRIES: u32 = 12;

/// Compares every table of both sides. A side without a view of the data as of the switch is said, never passed.
/// `whole`: every row, whatever the size.
pub async fn compare(
    v1: Option<Box<dyn Snapshot>>,
    v2: Option<Box<dyn Snapshot>>,
    whole: bool,
    tell: &Teller,
) -> Result<Fact, Trouble> {
    let (Some(v1), Some(v2)) = (v1, v2) else {
        tell.warning("V1 and V2 were not compared: no view of the data as of the switch is left");
        return Ok(Fact::sentence("not compared: no view of the data as of the switch is left"));
    };
    let mut seen = look(&*v1, &*v2, whole, NAMED, tell).await?;
    for (table, rows) in &seen.changed {
        seen.differing.push(told(table, rows));
    }
    seen.sampled.append(&mut seen.unread);
    v1.end().await?;
    v2.end().await?;
    Ok(seen.fact())
}

/// What a comparison while V2 follows comes to.
pub struct Compared {
    pub fact: Fact,
    /// Tables, and why they could not be judged: neither equal nor different.
    pub undecided: Vec<String>,
}

/// Compares while V2 follows: a row that differs is looked at again until its difference is explained by V2 being a little
/// behind, or is not.
pub async fn while_following(
    v1: &dyn Server,
    v2: &dyn Server,
    whole: bool,
    limit: Limit<'_>,
    tell: &Teller,
) -> Result<Compared, Trouble> {
    // V1 keeps old rows for as long as its view lives: not while V2 has far to go.
    until_applied(v1, v2, limit, tell).await?;
    let (one, two) = views(v1, v2, limit, tell).await?;
    let mut seen = look(&*one, &*two, whole, AGAIN, tell).await?;
    one.end().await?;
    two.end().await?;
    if !seen.differing.is_empty() {
        // What was made or dropped between the two views.
        wait::a_moment(BETWEEN).await;
        let (one, two) = views(v1, v2, limit, tell).await?;
        let still = of_one_side(&one.tables().await?, &two.tables().await?);
        seen.differing.retain(|name| still.contains(name));
    }
    let mut undecided = std::mem::take(&mut seen.unread);
    for (table, rows) in std::mem::take(&mut seen.changed) {
        let rows = narrowed(v1, v2, &table, rows, limit, tell).await?;
        if rows.more && !rows.named.is_empty() {
            undecided.push(format!("{} (more than {AGAIN} rows change between two looks)", table.name));
        }
        let (left, moving) = unexplained(v1, v2, &table, rows, limit, tell).await?;
        if !left.is_empty() {
            seen.differing.push(told(&table, &left));
        }
        if moving > 0 {
            undecided.push(format!("{} ({moving} rows change all the time)", table.name));
        }
    }
    Ok(Compared { fact: seen.fact(), undecided })
}

/// Few enough rows to be looked at one by one, if new views have no more.
async fn narrowed(
    v1: &dyn Server,
    v2: &dyn Server,
    table: &Table,
    mut rows: Rows,
    limit: Limit<'_>,
    tell: &Teller,
) -> Result<Rows, Trouble> {
    for _ in 0..LOOKS {
        if !rows.more || rows.named.is_empty() {
            break;
        }
        let (one, two) = views(v1, v2, limit, tell).await?;
        rows = locate(&*one, &*two, &table.name, AGAIN).await?;
        if rows.named.is_empty() {
            return Ok(Rows::default());
        }
    }
    Ok(rows)
}

/// V1's data as of now, and V2's as of then or later.
async fn views(
    v1: &dyn Server,
    v2: &dyn Server,
    limit: Limit<'_>,
    tell: &Teller,
) -> Result<(Box<dyn Snapshot>, Box<dyn Snapshot>), Trouble> {
    let one = v1.view().await?;
    until_applied(v1, v2, limit, tell).await?;
    Ok((one, v2.view().await?))
}

/// V2 has what V1 has written by now.
async fn until_applied(v1: &dyn Server, v2: &dyn Server, limit: Limit<'_>, tell: &Teller) -> Result<(), Trouble> {
    let at = v1.position().await?;
    let wait =
        Wait { what: "V2 to have what V1 has now", limit, every: Duration::from_millis(20), kind: Kind::NotReady };
    wait::until(wait, tell, async || {
        Ok(if v2.has_applied(&at).await? { Look::Done(()) } else { Look::NotYet(format!("it has not applied {at}")) })
    })
    .await
}

/// Rows by what identifies them.
#[derive(Default)]
struct Rows {
    named: BTreeSet<String>,
    /// There are others. None named and more: which, cannot be said.
    more: bool,
}

impl Rows {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && !self.more
    }
}

#[derive(Default)]
struct Seen {
    tables: u64,
    rows: u64,
    sampled: Vec<String>,
    /// Of one side only, or changed in a way that no row explains.
    differing: Vec<String>,
    changed: Vec<(Table, Rows)>,
    unread: Vec<String>,
}

impl Seen {
    fn fact(self) -> Fact {
        Fact::Verified { tables: self.tables, rows: self.rows, differing: self.differing, sampled: self.sampled }
    }
}

fn has(tables: &[Table], name: &str) -> bool {
    tables.iter().any(|table| table.name == name)
}

/// Names of tables that only one of them has.
fn of_one_side(left: &[Table], right: &[Table]) -> Vec<String> {
    let of_one = |some: &[Table], other: &[Table]| -> Vec<String> {
        some.iter().filter(|table| !has(other, &table.name)).map(|table| table.name.clone()).collect()
    };
    [of_one(left, right), of_one(right, left)].concat()
}

/// `most`: so many rows of a table that differs are named.
async fn look(v1: &dyn Snapshot, v2: &dyn Snapshot, whole: bool, most: usize, tell: &Teller) -> Result<Seen, Trouble> {
    let (left, right) = (v1.tables().await?, v2.tables().await?);
    let mut seen = Seen { differing: of_one_side(&left, &right), ..Seen::default() };
    let common: Vec<Table> = left.into_iter().filter(|table| has(&right, &table.name)).collect();
    let total = common.len() as u64;
    for table in common {
        tell.progress("compared", seen.tables, Some(total), None, Unit::Tables);
        let percent = if whole { 100.0 } else { share(table.bytes) };
        let read = tokio::try_join!(v1.fingerprint(&table.name, percent), v2.fingerprint(&table.name, percent));
        let (a, b) = match read {
            Ok(read) => read,
            // A difference that was found is never lost to a table that cannot be read.
            Err(trouble) if !seen.differing.is_empty() || !seen.changed.is_empty() => {
                tell.warning(format!("{} was not compared: {}", table.name, trouble.one_line()));
                seen.unread.push(format!("{} (it could not be read)", table.name));
                continue;
            }
            Err(trouble) => return Err(trouble),
        };
        seen.tables += 1;
        seen.rows += a.rows;
        if !a.whole {
            seen.sampled.push(match a.hash {
                None => format!("{} (counted, {})", table.name, Bytes(table.bytes)),
                Some(_) => format!("{} ({percent:.1} % of {})", table.name, Bytes(table.bytes)),
            });
        }
        if a != b {
            // That they differ is known, whatever else can be.
            let rows = locate(v1, v2, &table.name, most).await.unwrap_or_else(|trouble| {
                tell.warning(format!("which rows of {} differ cannot be said: {}", table.name, trouble.one_line()));
                Rows { more: true, ..Rows::default() }
            });
            seen.changed.push((table, rows));
        }
    }
    Ok(seen)
}

#[expect(clippy::cast_precision_loss, reason = "a share of a table")]
fn share(bytes: u64) -> f64 {
    if bytes <= WHOLE { 100.0 } else { 100.0 * WHOLE as f64 / bytes as f64 }
}

/// Which rows of a table differ, up to `most`.
async fn locate(v1: &dyn Snapshot, v2: &dyn Snapshot, table: &str, most: usize) -> Result<Rows, Trouble> {
    let (a, b) = tokio::try_join!(v1.parts(table, PARTS), v2.parts(table, PARTS))?;
    let parts: BTreeSet<u32> = a.keys().chain(b.keys()).copied().filter(|part| a.get(part) != b.get(part)).collect();
    // An engine that cannot split does not say where.
    let mut rows = Rows { more: a.is_empty() && b.is_empty(), ..Rows::default() };
    for part in parts {
        if rows.named.len() >= most {
            rows.more = true;
            break;
        }
        let (a, b) = tokio::try_join!(v1.rows(table, part, PARTS), v2.rows(table, part, PARTS))?;
        rows.named.extend(unlike(&a, &b));
    }
    while rows.named.len() > most {
        rows.more = rows.named.pop_last().is_some();
    }
    Ok(rows)
}

fn unlike(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> BTreeSet<String> {
    a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key)).cloned().collect()
}

/// Those rows whose difference stays while V1 leaves them alone, and how many are never left alone: those are said.
async fn unexplained(
    v1: &dyn Server,
    v2: &dyn Server,
    table: &Table,
    rows: Rows,
    limit: Limit<'_>,
    tell: &Teller,
) -> Result<(Rows, usize), Trouble> {
    // Which differ cannot be said: that some do is enough.
    let mut left = Rows { more: rows.more && rows.named.is_empty(), ..Rows::default() };
    let mut open: BTreeMap<String, u32> = rows.named.into_iter().map(|key| (key, 0)).collect();
    for _ in 0..TRIES {
        if open.is_empty() {
            break;
        }
        let keys: Vec<String> = open.keys().cloned().collect();
        let before = v1.view().await?.these(&table.name, &keys).await?;
        until_applied(v1, v2, limit, tell).await?;
        let there = v2.view().await?.these(&table.name, &keys).await?;
        let after = v1.view().await?.these(&table.name, &keys).await?;
        open.retain(|key, looks| {
            let (a, b, c) = (before.get(key), there.get(key), after.get(key));
            if a == b || b == c {
                return false;
            }
            // One that is being changed begins anew.
            *looks = if a == c { *looks + 1 } else { 0 };
            if *looks == LOOKS {
                left.named.insert(key.clone());
            }
            *looks < LOOKS
        });
        wait::a_moment(BETWEEN).await;
    }
    Ok((left, open.len()))
}

/// A whole row is nobody's to read in a log, and a key only as far as it tells which.
fn told(table: &Table, rows: &Rows) -> String {
    const LONGEST: usize = 40;
    let more = if rows.more || rows.named.len() > NAMED { " and more" } else { "" };
    match (rows.named.is_empty(), table.keyed) {
        (true, _) if rows.more => format!("{} (which rows cannot be said)", table.name),
        (true, _) => table.name.clone(),
        (false, false) => format!("{} ({} rows{more}, which have no key)", table.name, rows.named.len()),
        (false, true) => {
            let shown = |key: &String| key.chars().take(LONGEST).collect::<String>().escape_debug().to_string();
            let keys: Vec<String> = rows.named.iter().take(NAMED).map(shown).collect();
            format!("{} (rows {}{more})", table.name, keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_their_key_or_not_at_all() {
        let table = |keyed| Table { name: "a.b.c".into(), bytes: 1, keyed };
        let rows = Rows { named: BTreeSet::from(["(1)".into(), "(7)".into()]), more: true };
        assert_eq!(told(&table(true), &rows), "a.b.c (rows (1), (7) and more)");
        assert_eq!(told(&table(false), &rows), "a.b.c (2 rows and more, which have no key)");
        assert_eq!(told(&table(true), &Rows::default()), "a.b.c");
    }
}
