//! Proof that the matrix has teeth: mistakes made on purpose, each of which it must notice, and for its own reason.
//!
//! Here: mistakes in the table, in an engine, in the guard. Mistakes in the source are patches beside this file; the
//! script `run` applies each to a copy and expects the matrix to fail.

#![allow(clippy::unwrap_used, reason = "for tests alone")]

use switchover::engine::Position;
use switchover::facts::Fact;
use switchover::saga::{Act, Line, Undo};
use switchover::switchover::{Run, SWITCHOVER};
use switchover::trouble::Trouble;

use crate::fakes::matrix::{Guarding, Matrix};
use crate::fakes::process::noticed;
use crate::fakes::{Fault, Knobs, Life};

type Story = Vec<Line<Run, Fact>>;

/// The real table, to be spoilt.
fn story() -> Story {
    let copy = |line: &Line<Run, Fact>| match line {
        Line::Step { id, title, act, undo } => {
            let undo = match undo {
                Undo::Nothing => Undo::Nothing,
                Undo::By(undo) => Undo::By(*undo),
            };
            Line::step(id, title, *act, undo)
        }
        Line::Resting(name) => Line::Resting(name),
        Line::Window => Line::Window,
        Line::PointOfNoReturn => Line::PointOfNoReturn,
    };
    SWITCHOVER.iter().map(copy).collect()
}

fn place(story: &Story, step: &str) -> usize {
    story.iter().position(|line| line.id() == Some(step)).unwrap()
}

fn moved(step: &str, to_before: &str) -> Story {
    let mut story = story();
    let line = story.remove(place(&story, step));
    story.insert(place(&story, to_before), line);
    story
}

fn with_act(step: &str, new: Act<Run, Fact>) -> Story {
    let mut story = story();
    let at = place(&story, step);
    if let Line::Step { act, .. } = &mut story[at] {
        *act = new;
    }
    story
}

fn told(story: Story) -> Matrix {
    Matrix::of(Life { story: story.leak() }, 5)
}

fn knobs(knobs: Knobs) -> Matrix {
    Matrix { knobs, ..told(story()) }
}

/// Walks until something is noticed; it must be what is expected.
fn caught(expected: &str, walk: impl FnOnce()) {
    let text = noticed(walk).expect("the matrix did not notice");
    assert!(text.contains(expected), "noticed, but as: {text}");
}

#[test]
fn the_line_one_row_too_low() {
    let mut story = story();
    let line = story.iter().position(|line| matches!(line, Line::PointOfNoReturn)).unwrap();
    story.swap(line, line + 1);
    caught("two sides accept", || told(story).disturbed(&[Fault::Fail]));
}

#[test]
fn promoted_before_the_fence() {
    let story = moved("promote", "fence");
    caught("V2 is promoted while V1 accepts writes", || told(story).nothing_goes_wrong());
}

#[test]
fn drained_before_the_fence() {
    let story = moved("drain", "fence");
    caught("with no fault it ends so", || told(story).nothing_goes_wrong());
}

#[test]
fn opened_before_disarmed() {
    let story = moved("open", "disarm");
    caught("accept", || told(story).frozen());
}

#[test]
fn the_last_look_before_the_durable_rules() {
    async fn disarm(x: &mut Run) -> Result<Fact, Trouble> {
        let last_write = drained(x);
        let window = x.window.as_deref().unwrap();
        window.take_lock().await?;
        window.look(&last_write).await?;
        window.make_fence_durable().await?;
        window.fence_in_force().await?;
        Ok(Fact::sentence("looked too early"))
    }
    let story = with_act("disarm", |x| Box::pin(disarm(x)));
    caught("accept", || told(story).disturbed(&[Fault::Reload]));
}

#[test]
fn no_last_look_at_all() {
    async fn disarm(x: &mut Run) -> Result<Fact, Trouble> {
        let window = x.window.as_deref().unwrap();
        window.take_lock().await?;
        window.make_fence_durable().await?;
        window.fence_in_force().await?;
        Ok(Fact::sentence("did not look"))
    }
    let story = with_act("disarm", |x| Box::pin(disarm(x)));
    caught("accept", || told(story).disturbed(&[Fault::Reload]));
}

#[test]
fn no_lock_in_disarm() {
    async fn disarm(x: &mut Run) -> Result<Fact, Trouble> {
        let last_write = drained(x);
        let window = x.window.as_deref().unwrap();
        window.make_fence_durable().await?;
        window.fence_in_force().await?;
        window.look(&last_write).await?;
        Ok(Fact::sentence("took no lock"))
    }
    let story = with_act("disarm", |x| Box::pin(disarm(x)));
    let matrix = Matrix { knobs: Knobs { unguarded: true, ..Knobs::default() }, ..told(story) };
    caught("accept", || matrix.frozen());
}

#[test]
fn a_reconnect_inside_disarm() {
    let matrix = knobs(Knobs { reconnects: true, ..Knobs::default() });
    caught("accept", || matrix.frozen());
}

#[test]
fn acts_that_do_not_look_at_the_switch() {
    let matrix = knobs(Knobs { unguarded: true, ..Knobs::default() });
    let freezes = [1, 3, 7].map(|acts| Fault::Freeze { acts, pace: 1 });
    caught("V1 was not given back", || matrix.disturbed_twice(&freezes, &[Fault::Kill]));
}

#[test]
fn a_switch_that_is_ended_before_the_fence_is_lifted() {
    let matrix = knobs(Knobs { lifts_last: true, ..Knobs::default() });
    caught("V1 was not given back", || matrix.killed_twice());
}

#[test]
fn an_old_attempts_switch_left_alive() {
    let matrix = knobs(Knobs { keeps_old_switches: true, ..Knobs::default() });
    caught("disturbed by a switch of an earlier attempt", || matrix.an_old_switch_wakes());
}

#[test]
fn a_durable_fence_that_is_not_synced() {
    let matrix = knobs(Knobs { fence_unsynced: true, ..Knobs::default() });
    let lost = Fault::Power { keep: u16::MAX, servers: true };
    caught("V1's fence does not last", || matrix.disturbed(&[lost]));
}

#[test]
fn a_durable_fence_that_is_not_in_force() {
    let matrix = knobs(Knobs { no_reload: true, ..Knobs::default() });
    caught("accept", || matrix.disturbed(&[Fault::Reload]));
}

#[test]
fn a_decision_from_an_unsynced_journal() {
    let matrix = knobs(Knobs { unsettled: true, ..Knobs::default() });
    let lost = Fault::Power { keep: 0, servers: true };
    caught("ends so: Refused", || matrix.failed_then(&[lost]));
}

#[test]
fn a_guard_that_only_lets_go_of_poolers() {
    let matrix = Matrix { guard: Guarding::PoolersOnly, ..told(story()) };
    caught("clients still reach the other side than V1", || matrix.killed_once());
}

fn drained(x: &Run) -> Position {
    match x.facts.of("drain") {
        Some(Fact::Drained { position }) => position.clone(),
        other => panic!("no last position: {other:?}"),
    }
}
