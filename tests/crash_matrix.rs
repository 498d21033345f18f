//! The crash matrix: the real story, on fakes, with everything going wrong everywhere (design §10.1).
//!
//! A new step is covered by being in the table. `tests/mutations` proves that the matrix would notice mistakes.

#![allow(
    clippy::pedantic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it sees"
)]

mod fakes;
mod mutations;

use fakes::matrix::{KINDS, Matrix};
use fakes::process::noticed;
use fakes::{Fault, Faults, Life};
use proptest::collection::vec;
use proptest::prelude::*;
use switchover::saga::Wish;
use switchover::switchover::SWITCHOVER;

/// One fault is tried everywhere; of what follows it `./dev test` takes some (half a minute), `./dev test all` more
/// (minutes). With a stride of 1 it is everything with everything (the better part of an hour).
fn matrix() -> Matrix {
    let all = std::env::var_os("SWITCHOVER_TIER").is_some_and(|tier| tier == "all");
    let matrix = Matrix::of(Life { story: SWITCHOVER }, if all { 7 } else { 31 });
    Matrix { thorough: all, ..matrix }
}

/// What happens to servers and person while the tool runs.
const MISHAPS: [Fault; 6] = [Fault::Fail, Fault::Ask, Fault::RestartV1, Fault::RestartV2, Fault::Reload, Fault::Vacuum];

/// Power lost: of what was not synced, nothing, some, or all is kept.
const POWER: [Fault; 5] = [
    Fault::Power { keep: 0, servers: true },
    Fault::Power { keep: 60, servers: true },
    Fault::Power { keep: u16::MAX, servers: true },
    Fault::Power { keep: 0, servers: false },
    Fault::Power { keep: u16::MAX, servers: false },
];

/// The tool stands still; the switch does some of its work meanwhile and the rest beside the thawed tool.
const FREEZES: [Fault; 5] = [
    Fault::Freeze { acts: 0, pace: 1 },
    Fault::Freeze { acts: 1, pace: 0 },
    Fault::Freeze { acts: 2, pace: 1 },
    Fault::Freeze { acts: 4, pace: 3 },
    Fault::Freeze { acts: 6, pace: 0 },
];

#[test]
fn the_story_is_whole() {
    matrix().nothing_goes_wrong();
}

#[test]
fn killed_once() {
    matrix().killed_once();
}

#[test]
fn killed_twice() {
    matrix().killed_twice();
}

#[test]
fn the_switch_wakes_after_a_kill() {
    matrix().woken_later();
}

#[test]
fn an_old_switch_does_not_disturb() {
    matrix().an_old_switch_wakes();
}

#[test]
fn one_mishap_anywhere() {
    matrix().disturbed(&MISHAPS);
}

#[test]
fn a_kill_and_a_mishap() {
    matrix().disturbed_after_a_kill(&MISHAPS);
}

#[test]
fn a_mishap_and_a_kill() {
    matrix().disturbed_twice(&MISHAPS, &[Fault::Kill]);
}

#[test]
fn two_mishaps() {
    matrix().disturbed_twice(&MISHAPS, &MISHAPS);
}

#[test]
fn power_lost_anywhere() {
    matrix().disturbed(&POWER);
    matrix().disturbed_after_a_kill(&POWER);
}

#[test]
fn frozen_and_thawed() {
    matrix().frozen();
    matrix().disturbed_twice(&FREEZES, &[Fault::Kill, Fault::RestartV1, Fault::Reload, Fault::Fail]);
}

/// A sync that failed may never be made good by a later one.
#[test]
fn a_failure_and_a_loss_of_power() {
    matrix().failed_then(&POWER);
}

#[test]
fn the_journal_cut_at_every_byte() {
    matrix().torn();
}

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::Kill),
        4 => proptest::sample::select(&MISHAPS[..]),
        2 => proptest::sample::select(&POWER[..]),
        2 => proptest::sample::select(&FREEZES[..]),
        1 => (1..4u8).prop_map(|pace| Fault::Wake { pace }),
        1 => (0..300u16).prop_map(Fault::Torn),
    ]
}

fn any_process() -> impl Strategy<Value = (Wish, Faults)> {
    let wish = prop_oneof![
        5 => Just(Wish::Switch),
        2 => Just(Wish::Rescue),
        1 => Just(Wish::Prepare),
        1 => Just(Wish::TurnBack),
    ];
    (wish, vec((1..240u32, any_fault()), 0..4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order.
    #[test]
    fn any_sequence(kind in proptest::sample::select(&KINDS[..]), processes in vec(any_process(), 1..6)) {
        let noticed = noticed(|| matrix().sequence(kind, processes));
        prop_assert!(noticed.is_none(), "{}", noticed.unwrap_or_default());
    }
}
