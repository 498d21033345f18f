//! What must be true when a process has ended: that V1 serves after a way back, that V2 does at the end, and that
//! nothing is left lying about.

use switchover::engine::Side;
use switchover::saga::{Outcome, POINT_OF_NO_RETURN};

use super::machine::Rules;
use super::{End, State};

pub(super) fn wait(state: &mut State) {
    (0..8).for_each(|_| state.tick());
}

/// Clients' writes are acknowledged by this side, and clients look for it nowhere else.
pub(super) fn serves(state: &mut State, side: Side) {
    let before = state.acknowledgements;
    wait(state);
    let after = state.acknowledgements;
    assert!(after[side as usize] > before[side as usize], "{side} does not serve: {state}");
    assert!(!state.reached(side.other()), "clients still reach the other side than {side}: {state}");
}

pub(super) fn switched(mut state: State) {
    assert!(state.journal.passed(), "it switched without the line: {state}");
    serves(&mut state, Side::V2);
    assert_eq!((state.sides[0].file, state.things.names), (Rules::Durable, ["db-v1", "db"]), "{state}");
    assert!(!state.things.restarts && !state.guard.armed && !state.pooler.paused && state.things.settled, "{state}");
    // Nothing that happens to V1 later makes it accept a write.
    state.finish_switches();
    state.sides[0].restart(true);
    state.sides[0].reload();
    wait(&mut state);
    assert!(!state.sides[0].accepts() && !state.sides[0].admits(), "V1's fence does not last: {state}");
}

/// V1 serves as if nothing had been, and V2 follows it.
pub(super) fn rests_at_ready(mut state: State) {
    serves(&mut state, Side::V1);
    assert!(!state.sides[1].leads && state.sides[1].follows && !state.on_clients_network[1], "{state}");
    assert!(state.switches.is_empty() && !state.guard.armed && !state.pooler.paused, "not tidy: {state}");
    let v1 = &state.sides[0];
    assert_eq!((v1.file, v1.held, v1.lock), (Rules::Open, false, None), "not tidy: {state}");
}

pub(super) fn nothing_is_left(mut state: State) {
    serves(&mut state, Side::V1);
    let never_begun = State::new(state.kind, state.knobs);
    assert_eq!(state.things, never_begun.things, "something is left: {state}");
    assert!(state.switches.is_empty() && !state.guard.armed && !state.pooler.paused, "not tidy: {state}");
    let v1 = &state.sides[0];
    assert_eq!((v1.file, v1.rules, v1.held), (Rules::Open, Rules::Open, false), "not tidy: {state}");
}

/// Nobody types anything and there is no guard: only the switch acts. What remains (design §4): a fence that had
/// become durable, and a restart in the moment in which V1's file is shut.
pub(super) fn left_alone(state: &State) {
    let mut state = state.clone();
    let shut_for_good = state.sides[0].file == Rules::Durable;
    state.finish_switches();
    wait(&mut state);
    if state.journal.passed() || shut_for_good || state.unlucky {
        return;
    }
    assert!(state.sides[0].admits(), "V1 was not given back: {state}");
    assert!(!state.sides[1].admits(), "V2 is open: {state}");
    // Letting poolers go is the guard's.
    if !state.kind.by_pooler {
        let before = state.acknowledgements[0];
        wait(&mut state);
        assert!(state.acknowledgements[0] > before, "V1 does not serve: {state}");
    }
}

/// What any end means, whatever led to it. True where the run is over.
pub(super) fn is_over(state: &State, end: &End) -> bool {
    match end {
        End::Killed | End::Refused(_) => false,
        End::Ended(Outcome::Switched) => {
            switched(state.clone());
            true
        }
        End::Ended(Outcome::Rested { at } | Outcome::TurnedBack { to: Some(at), .. }) => {
            assert!(!state.journal.passed(), "turned back over the line: {state}");
            match *at {
                "ready" => rests_at_ready(state.clone()),
                _ => serves(&mut state.clone(), Side::V1),
            }
            false
        }
        End::Ended(Outcome::TurnedBack { to: None, .. }) => {
            nothing_is_left(state.clone());
            true
        }
        End::Ended(Outcome::Stopped { at, beyond_return, .. }) => {
            let knows = at != POINT_OF_NO_RETURN;
            assert!(!knows || *beyond_return == state.journal.passed(), "it says where it is wrongly: {state}");
            false
        }
    }
}
