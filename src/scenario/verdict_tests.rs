//! Synthetic histories: each breaks one promise, and the verdict must say which.

use super::super::history::Read;
use super::*;

const V1: Side = Side(1_000);
const V2: Side = Side(2_000);

fn op(writer: i32, n: i64, at: Micros, side: Side) -> Op {
    Op {
        writer,
        n,
        change: Change::Insert,
        row: n,
        began: at,
        ended: at + 1,
        end: End::Acknowledged,
        side: Some(side),
        serial: Some(i64::from(writer) * 1_000_000 + n),
        why: None,
    }
}

fn changed(op: Op, change: Change, row: i64) -> Op {
    Op { change, row, ..op }
}

fn ended(op: Op, end: End) -> Op {
    Op { end, side: None, serial: None, ..op }
}

/// A history whose final tables are exactly what its acknowledged transactions make.
fn faithful(ops: Vec<Op>) -> History {
    let mut last = Final { side: Some(V2), ..Final::default() };
    let mut rows: BTreeMap<(i32, i64), (i64, i64)> = BTreeMap::new();
    for op in ops.iter().filter(|op| op.end == End::Acknowledged) {
        last.ledger.push((op.writer, op.n, 1));
        match op.change {
            Change::Insert => {
                rows.insert((op.writer, op.row), (op.n, op.serial.unwrap()));
            }
            Change::Update => rows.get_mut(&(op.writer, op.row)).unwrap().0 = op.n,
            Change::Delete => {
                rows.remove(&(op.writer, op.row));
            }
        }
    }
    last.rows = rows.into_iter().map(|((writer, n), (value, serial))| (writer, n, value, serial)).collect();
    History { ready: true, ops, last, ..History::default() }
}

fn judged(history: &History) -> Verdict {
    let sides = BTreeMap::from([(V1, "v1".to_owned()), (V2, "v2".to_owned())]);
    judge(&Court { history, sides: &sides, journey: &["v1".into(), "v2".into()], calls: Some((150, 250)) })
}

/// Two writers, before and after a crossing between 200 and 230.
fn crossing() -> Vec<Op> {
    vec![
        op(1, 1, 100, V1),
        op(2, 1, 110, V1),
        changed(op(1, 2, 180, V1), Change::Update, 1),
        op(2, 2, 200, V1),
        op(1, 3, 230, V2),
        changed(op(2, 3, 260, V2), Change::Delete, 1),
        op(1, 4, 270, V2),
    ]
}

#[test]
fn a_faithful_crossing_has_nothing_to_complain_about() {
    let verdict = judged(&faithful(crossing()));
    assert_eq!(verdict.acknowledged, BTreeMap::from([("v1".into(), 4), ("v2".into(), 3)]));
    assert!(verdict.complete);
    let wrong = [&verdict.lost, &verdict.doubled, &verdict.stale, &verdict.differing];
    assert_eq!(wrong.map(Vec::len), [0; 4]);
    assert_eq!((verdict.ghosts, verdict.around), (0, Some((2, 2))));
    assert_eq!(verdict.write_gap, Gap { length: 70, from: 10, sides: ("v1".into(), "v1".into()) });
    assert_eq!(verdict.stall.length, 90);
}

#[test]
fn an_acknowledged_row_that_is_gone_is_lost() {
    let mut history = faithful(crossing());
    history.last.ledger.retain(|entry| *entry != (2, 2, 1));
    history.last.rows.retain(|row| (row.0, row.1) != (2, 2));
    let verdict = judged(&history);
    assert_eq!(verdict.lost, ["Insert 2 of writer 2 on row 2"]);
    assert!(verdict.differing.is_empty());
}

#[test]
fn a_lost_update_and_a_lost_delete_are_seen() {
    let mut history = faithful(crossing());
    history.last.ledger.retain(|entry| !matches!(entry, (1, 2, _) | (2, 3, _)));
    history.last.rows.retain(|row| (row.0, row.1) != (1, 1));
    history.last.rows.extend([(1, 1, 1, 1_000_001), (2, 1, 1, 2_000_001)]);
    let verdict = judged(&history);
    assert_eq!(verdict.lost, ["Update 2 of writer 1 on row 1", "Delete 3 of writer 2 on row 1"]);
    assert!(verdict.differing.is_empty(), "the tables agree with each other: {:?}", verdict.differing);
}

#[test]
fn half_a_transaction_is_a_difference() {
    let mut history = faithful(crossing());
    history.last.rows.retain(|row| (row.0, row.1) != (1, 3));
    history.last.rows.iter_mut().find(|row| (row.0, row.1) == (1, 1)).unwrap().2 = 1;
    history.last.rows.push((2, 77, 77, 5));
    let mut differing = judged(&history).differing;
    differing.sort();
    assert_eq!(
        differing,
        ["row 1 of writer 1 holds 1, not 2", "row 3 of writer 1 is missing", "row 77 of writer 2 should not be there"]
    );
}

#[test]
fn doubled_rows_and_doubled_numbers_of_the_sequence() {
    let mut history = faithful(crossing());
    history.last.ledger.push((1, 3, 1));
    history.ops[6].serial = history.ops[4].serial;
    let verdict = judged(&history);
    assert_eq!(
        verdict.doubled,
        ["the sequence gave 1000003 twice, again to writer 1", "transaction 3 of writer 1 is there 2 times"]
    );
}

#[test]
fn v1_must_not_acknowledge_after_v2_has() {
    let mut ops = crossing();
    ops.push(op(3, 1, 240, V1));
    let verdict = judged(&faithful(ops));
    assert_eq!(verdict.stale, ["v1 acknowledged 1 of writer 3 when clients were on v2"]);
}

#[test]
fn a_side_nobody_asked_for_is_stale() {
    let history = faithful(crossing());
    let sides = BTreeMap::from([(V1, "v1".to_owned())]);
    let verdict = judge(&Court { history: &history, sides: &sides, journey: &["v1".into()], calls: None });
    assert_eq!(verdict.stale.len(), 3);
    assert!(verdict.stale[0].starts_with("an unknown server acknowledged"), "{:?}", verdict.stale);
}

#[test]
fn the_way_back_is_a_journey_too() {
    let mut ops = crossing();
    ops.push(op(1, 5, 300, V1));
    let history = faithful(ops);
    let sides = BTreeMap::from([(V1, "v1".to_owned()), (V2, "v2".to_owned())]);
    let journey = ["v1".into(), "v2".into(), "v1".into()];
    let verdict = judge(&Court { history: &history, sides: &sides, journey: &journey, calls: None });
    assert!(verdict.stale.is_empty());
}

#[test]
fn an_unknown_outcome_may_be_there_or_not() {
    let mut ops = crossing();
    ops.push(ended(op(3, 1, 205, V1), End::Unknown));
    ops.push(ended(op(3, 2, 206, V1), End::Refused));
    ops.push(ended(op(3, 3, 207, V1), End::Middle));
    let absent = faithful(ops);
    let verdict = judged(&absent);
    assert_eq!((verdict.unknown, verdict.refused, verdict.middle, verdict.ghosts), (1, 1, 1, 0));
    assert!(verdict.lost.is_empty() && verdict.differing.is_empty());

    let mut present = absent;
    present.last.ledger.push((3, 1, 1));
    present.last.rows.push((3, 1, 1, 99));
    let verdict = judged(&present);
    assert_eq!(verdict.ghosts, 1);
    assert!(verdict.lost.is_empty() && verdict.differing.is_empty(), "{:?}", verdict.differing);
}

#[test]
fn a_gap_that_never_ended_counts() {
    let mut ops = crossing();
    ops.push(ended(op(1, 5, 9_000, V2), End::Refused));
    let verdict = judged(&faithful(ops));
    assert_eq!(verdict.write_gap, Gap { length: 8_730, from: 170, sides: ("v2".into(), "nobody".into()) });
}

#[test]
fn without_the_final_state_there_is_no_verdict_on_losses() {
    let mut history = faithful(crossing());
    history.last = Final::default();
    history.reads.push(Read { reader: 1, began: 1, ended: 2, found: Found::Missing });
    let verdict = judged(&history);
    assert!(!verdict.complete && verdict.lost.is_empty());
    assert_eq!(verdict.reads_missing, 1);
}
