//! The crash matrix: the real story, on fakes, with everything going wrong everywhere (design §10.1).
//!
//! A new step is covered by being in the table. `tests/mutations` proves that the matrix would notice mistakes.

mod fakes;

use fakes::matrix::Matrix;
use fakes::{Fault, Life};
use switchover::switchover::SWITCHOVER;

/// Of pairs of faults every so many-th: all of them take minutes, these take seconds.
const STRIDE: u32 = 9;

fn matrix() -> Matrix {
    Matrix::of(Life { story: SWITCHOVER }, STRIDE)
}

/// What happens to servers and person while the tool runs.
const MISHAPS: [Fault; 6] = [Fault::Fail, Fault::Ask, Fault::RestartV1, Fault::RestartV2, Fault::Reload, Fault::Vacuum];

/// Power lost: of what was not synced, nothing, some, or all is kept.
const POWER: [Fault; 6] = [
    Fault::Power { keep: 0, servers: true },
    Fault::Power { keep: 60, servers: true },
    Fault::Power { keep: u16::MAX, servers: true },
    Fault::Power { keep: 0, servers: false },
    Fault::Power { keep: 60, servers: false },
    Fault::Power { keep: u16::MAX, servers: false },
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
}
