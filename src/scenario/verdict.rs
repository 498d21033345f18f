//! The verdict: what the clients saw, held against what the database has in the end. Pure.
//!
//! Words: *lost*: acknowledged, and not in the final tables. *Doubled*: committed twice under one number, or a number
//! of the sequence given twice. *Ghost*: committed, never acknowledged; allowed and counted, as no client can tell.
//! *Stale*: acknowledged by a side that the clients had already left. *Differing*: a row that is not what the committed
//! transactions, replayed in order, make of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::history::{Change, End, Final, Found, History, Micros, Op, Side};

/// What the history is judged by.
pub(super) struct Court<'a> {
    pub(super) history: &'a History,
    /// Which container each server belongs to: `v1`, `v2`, …
    pub(super) sides: &'a BTreeMap<Side, String>,
    /// The sides in the order in which the clients were meant to be on them.
    pub(super) journey: &'a [String],
    /// The first call of the tool began, the last one ended.
    pub(super) calls: Option<(Micros, Micros)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// By side, in order of the side's name.
    pub(super) acknowledged: BTreeMap<String, u64>,
    pub(super) refused: u64,
    pub(super) middle: u64,
    pub(super) unknown: u64,
    pub(super) lost: Vec<String>,
    pub(super) doubled: Vec<String>,
    pub(super) stale: Vec<String>,
    pub(super) differing: Vec<String>,
    pub(super) ghosts: u64,
    pub(super) write_gap: Gap,
    pub(super) stall: Gap,
    /// Acknowledged before the first call of the tool, and after the last one.
    pub(super) around: Option<(u64, u64)>,
    pub(super) reads: u64,
    pub(super) reads_unanswered: u64,
    /// Readers that did not find an acknowledged row.
    pub(super) reads_missing: u64,
    pub(super) complete: bool,
}

/// A time without an acknowledgement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Gap {
    pub(super) length: Micros,
    /// Since the first acknowledgement.
    pub(super) from: Micros,
    /// The sides that acknowledged before and after it.
    pub(super) sides: (String, String),
}

pub(super) fn judge(court: &Court<'_>) -> Verdict {
    let history = court.history;
    let mut verdict = Verdict { complete: history.last.side.is_some(), ..Verdict::default() };
    let side_of = |op: &Op| {
        let known = op.side.and_then(|side| court.sides.get(&side));
        known.map_or("an unknown server", String::as_str)
    };
    for op in &history.ops {
        match op.end {
            End::Acknowledged => *verdict.acknowledged.entry(side_of(op).to_owned()).or_default() += 1,
            End::Refused => verdict.refused += 1,
            End::Middle => verdict.middle += 1,
            End::Unknown => verdict.unknown += 1,
        }
    }
    count_reads(history, &mut verdict);
    if let Some((first, last)) = court.calls {
        let before = count(history.acknowledged().filter(|op| op.ended < first));
        verdict.around = Some((before, count(history.acknowledged().filter(|op| op.began > last))));
    }
    if verdict.complete {
        compare_ledger(history, &mut verdict);
        verdict.differing = differences(&history.ops, &history.last);
    }
    let mut acknowledged: Vec<&Op> = history.acknowledged().collect();
    acknowledged.sort_by_key(|op| op.ended);
    verdict.stale = stale(&acknowledged, court.journey, side_of);
    let end = history.ops.iter().map(|op| op.ended).max().unwrap_or(0);
    verdict.write_gap = longest_gap(&acknowledged, end, side_of);
    verdict.stall = longest_stall(&acknowledged, end, side_of);
    verdict
}

fn count<T>(of: impl Iterator<Item = T>) -> u64 {
    of.fold(0, |n, _| n + 1)
}

fn count_reads(history: &History, verdict: &mut Verdict) {
    for read in &history.reads {
        match read.found {
            Found::Yes => verdict.reads += 1,
            Found::Missing => verdict.reads_missing += 1,
            Found::NoAnswer => verdict.reads_unanswered += 1,
        }
    }
}

/// Each committed transaction stands in the ledger, written by the transaction itself.
fn compare_ledger(history: &History, verdict: &mut Verdict) {
    let mut left: HashMap<(i32, i64), i64> = HashMap::new();
    for &(writer, n, times) in &history.last.ledger {
        *left.entry((writer, n)).or_default() += times;
    }
    for (&(writer, n), times) in left.iter().filter(|(_, times)| **times > 1) {
        verdict.doubled.push(format!("transaction {n} of writer {writer} is there {times} times"));
    }
    let mut serials = HashSet::new();
    for op in history.acknowledged() {
        if left.remove(&(op.writer, op.n)).is_none() {
            verdict.lost.push(format!("{:?} {} of writer {} on row {}", op.change, op.n, op.writer, op.row));
        }
        if let Some(serial) = op.serial.filter(|serial| !serials.insert(*serial)) {
            verdict.doubled.push(format!("the sequence gave {serial} twice, again to writer {}", op.writer));
        }
    }
    verdict.ghosts = left.len() as u64;
    verdict.doubled.sort();
}

/// Replays the committed transactions and compares the outcome with the table, row by row.
///
/// The ledger says which of the unacknowledged ones were committed. A row is changed by one writer only, which never
/// has two transactions open: the order of its numbers is the order of their effects.
fn differences(ops: &[Op], last: &Final) -> Vec<String> {
    let committed: HashSet<(i32, i64)> = last.ledger.iter().map(|&(writer, n, _)| (writer, n)).collect();
    let mut replayed: BTreeMap<(i32, i64), (i64, Option<i64>)> = BTreeMap::new();
    for op in ops.iter().filter(|op| committed.contains(&(op.writer, op.n))) {
        let row = (op.writer, op.row);
        match op.change {
            Change::Insert => {
                replayed.insert(row, (op.n, op.serial));
            }
            Change::Update => {
                if let Some((value, _)) = replayed.get_mut(&row) {
                    *value = op.n;
                }
            }
            Change::Delete => {
                replayed.remove(&row);
            }
        }
    }
    let mut differing = Vec::new();
    let mut seen = HashSet::new();
    for &(writer, n, value, serial) in &last.rows {
        seen.insert((writer, n));
        match replayed.get(&(writer, n)) {
            None => differing.push(format!("row {n} of writer {writer} should not be there")),
            Some(&(expected, _)) if expected != value => {
                differing.push(format!("row {n} of writer {writer} holds {value}, not {expected}"));
            }
            Some(&(_, Some(expected))) if expected != serial => {
                differing.push(format!("row {n} of writer {writer} has serial {serial}, not {expected}"));
            }
            Some(_) => {}
        }
    }
    let missing = replayed.keys().filter(|row| !seen.contains(row));
    differing.extend(missing.map(|(writer, n)| format!("row {n} of writer {writer} is missing")));
    differing
}

/// Follows the clients along the journey; whoever acknowledges out of turn is stale.
fn stale<'a>(acknowledged: &[&'a Op], journey: &[String], side_of: impl Fn(&'a Op) -> &'a str) -> Vec<String> {
    let mut here = 0;
    let mut stale = Vec::new();
    for op in acknowledged {
        let side = side_of(op);
        let at = |place: usize| journey.get(place).is_some_and(|name| name == side);
        if at(here) {
            continue;
        }
        if at(here + 1) {
            here += 1;
            continue;
        }
        let meant = journey.get(here).map_or("nobody", String::as_str);
        stale.push(format!("{side} acknowledged {} of writer {} when clients were on {meant}", op.n, op.writer));
    }
    stale
}

/// The longest time between two neighbours, the time after the last one included.
fn longest_gap<'a>(acknowledged: &[&'a Op], end: Micros, side_of: impl Fn(&'a Op) -> &'a str) -> Gap {
    let (Some(first), Some(last)) = (acknowledged.first(), acknowledged.last()) else { return Gap::default() };
    let between = |from: &'a Op, until: Micros, to: &str| Gap {
        length: until.saturating_sub(from.ended),
        from: from.ended.saturating_sub(first.ended),
        sides: (side_of(from).to_owned(), to.to_owned()),
    };
    let longest = acknowledged.windows(2).max_by_key(|pair| pair[1].ended - pair[0].ended);
    let inside = longest.map(|pair| between(pair[0], pair[1].ended, side_of(pair[1])));
    let tail = between(last, end, "nobody");
    inside.into_iter().chain([tail]).max_by_key(|gap| gap.length).unwrap_or_default()
}

/// The same for each client by itself.
fn longest_stall<'a>(acknowledged: &[&'a Op], end: Micros, side_of: impl Fn(&'a Op) -> &'a str + Copy) -> Gap {
    let mut clients: BTreeMap<i32, Vec<&Op>> = BTreeMap::new();
    for op in acknowledged {
        clients.entry(op.writer).or_default().push(op);
    }
    let gaps = clients.values().map(|own| longest_gap(own, end, side_of));
    gaps.max_by_key(|gap| gap.length).unwrap_or_default()
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
