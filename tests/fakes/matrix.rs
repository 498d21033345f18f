//! What goes wrong, everywhere, and what must be true when a process has ended: that V1 serves after a way back, that
//! V2 does at the end, and that nothing is stuck. The tenets themselves the world asserts at every change.

use switchover::engine::Side;
use switchover::saga::{Outcome, POINT_OF_NO_RETURN, Wish};

use super::machine::Rules;
use super::{End, Fault, Faults, Kind, Knobs, Life, State};

/// A story, walked in worlds.
#[derive(Clone)]
pub struct Matrix {
    pub life: Life,
    pub knobs: Knobs,
    pub kinds: Vec<Kind>,
    /// 1: everything with everything. More: of what follows a first fault, only every so-many-th, beginning elsewhere
    /// each time.
    pub stride: u32,
    pub guard: Guarding,
}

/// How the guard does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarding {
    /// As `resume` does: back or forward.
    Whole,
    /// A mistake: it lets poolers go, and that is all.
    PoolersOnly,
}

const NETWORK: Kind = Kind { by_network: true, by_pooler: false, can_hold: true, lingers: false };

/// The worlds that differ in what the window does.
pub const KINDS: [Kind; 4] = [
    NETWORK,
    // Clients are refused at the fence instead of waiting; sessions of a killed tool stay.
    Kind { can_hold: false, lingers: true, ..NETWORK },
    Kind { by_network: false, by_pooler: true, lingers: true, ..NETWORK },
    Kind { by_pooler: true, ..NETWORK },
];

// ── What must be true when a process has ended ──────────────────────────────────────────────────────────────────

fn wait(state: &mut State) {
    (0..8).for_each(|_| state.tick());
}

/// Clients' writes are acknowledged by this side, and clients look for it nowhere else.
fn serves(state: &mut State, side: Side) {
    let before = state.acknowledgements;
    wait(state);
    let after = state.acknowledgements;
    assert!(after[side as usize] > before[side as usize], "{side} does not serve: {state}");
    assert!(!state.reached(side.other()), "clients still reach the other side than {side}: {state}");
}

fn switched(mut state: State) {
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
fn rests_at_ready(mut state: State) {
    serves(&mut state, Side::V1);
    assert!(!state.sides[1].leads && state.sides[1].follows && !state.on_clients_network[1], "{state}");
    assert!(state.switches.is_empty() && !state.guard.armed && !state.pooler.paused, "not tidy: {state}");
    let v1 = &state.sides[0];
    assert_eq!((v1.file, v1.held, v1.lock), (Rules::Open, false, None), "not tidy: {state}");
}

fn nothing_is_left(mut state: State) {
    serves(&mut state, Side::V1);
    let never_begun = State::new(state.kind, state.knobs);
    assert_eq!(state.things, never_begun.things, "something is left: {state}");
    assert!(state.switches.is_empty() && !state.guard.armed && !state.pooler.paused, "not tidy: {state}");
    let v1 = &state.sides[0];
    assert_eq!((v1.file, v1.rules, v1.held), (Rules::Open, Rules::Open, false), "not tidy: {state}");
}

/// Nobody types anything and there is no guard: only the switch acts. What remains (design §4): a fence that had
/// become durable, and a restart in the moment in which V1's file is shut.
fn left_alone(state: &State) {
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

impl Matrix {
    pub fn of(life: Life, stride: u32) -> Self {
        Matrix { life, knobs: Knobs::default(), kinds: KINDS.to_vec(), stride, guard: Guarding::Whole }
    }

    fn fresh(&self, kind: Kind) -> State {
        Life::begun(State::new(kind, self.knobs))
    }

    /// V2 follows and rests at `ready`.
    fn ready(&self, kind: Kind) -> State {
        let (state, end) = self.life.live(self.fresh(kind), vec![], Wish::Prepare);
        assert!(matches!(end, End::Ended(Outcome::Rested { at: "ready" })), "prepared, it ends so: {end:?}");
        state
    }

    /// How many instants a process has that nothing happens to.
    fn length(&self, state: &State, wish: Wish) -> u32 {
        self.life.live(state.clone(), vec![], wish).0.clock
    }

    /// Every instant, or some of them: which, depends on what happened before.
    fn some(&self, length: u32, before: u32) -> impl Iterator<Item = u32> + use<> {
        (1 + before % self.stride..=length).step_by(self.stride as usize)
    }

    /// All of a list, or one of it: which, depends on what happened before.
    fn any<'a, T>(&self, list: &'a [T], before: u32) -> &'a [T] {
        let at = before as usize % list.len();
        if self.stride == 1 { list } else { &list[at..=at] }
    }

    /// What any end means, whatever led to it. True where the run is over.
    fn is_over(state: &State, end: &End) -> bool {
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

    fn holds(&self, state: State, end: &End) {
        if !Self::is_over(&state, end) {
            self.finishes(state);
        }
    }

    /// Resumed by a person, with nothing more going wrong, a run comes to its end; at the second time where the first
    /// resumed process has a way back to finish.
    fn finishes(&self, state: State) {
        let retreats = state.journal.retreats();
        let (state, first) = self.life.live(state, vec![], Wish::Switch);
        match first {
            End::Ended(Outcome::Switched) => return switched(state),
            End::Ended(Outcome::TurnedBack { to: None, .. }) => return nothing_is_left(state),
            End::Ended(Outcome::TurnedBack { to: Some("ready"), .. }) if retreats => rests_at_ready(state.clone()),
            End::Ended(Outcome::TurnedBack { .. }) if retreats => {}
            other => panic!("resumed, it ends so: {other:?} {state}"),
        }
        let (state, second) = self.life.live(state, vec![], Wish::Switch);
        assert!(matches!(second, End::Ended(Outcome::Switched)), "resumed twice, it ends so: {second:?} {state}");
        switched(state);
    }

    /// The guard finds the tool dead and does what it is for; it may be killed as well.
    fn rescued(&self, state: State, faults: Faults) {
        if self.guard == Guarding::PoolersOnly {
            let mut state = state;
            state.pooler.paused = false;
            state.guard.armed = false;
            state.finish_switches();
            return rests_at_ready(state);
        }
        let (state, end) = self.life.live(state, faults, Wish::Rescue);
        match &end {
            End::Ended(Outcome::Switched) => switched(state),
            End::Ended(Outcome::Rested { at: "ready" } | Outcome::TurnedBack { to: Some("ready"), .. }) => {
                rests_at_ready(state.clone());
                self.finishes(state);
            }
            End::Killed => {
                left_alone(&state);
                self.finishes(state);
            }
            // It was all turned back by a person; the guard may find that begun.
            End::Ended(Outcome::TurnedBack { to: None, .. }) => nothing_is_left(state),
            other => panic!("the guard ends so: {other:?} {state}"),
        }
    }

    /// A person turns back: all of it above the line, refused below.
    fn turned_back(&self, state: State) {
        let passed = state.journal.passed();
        let (state, end) = self.life.live(state, vec![], Wish::TurnBack);
        match end {
            End::Ended(Outcome::TurnedBack { to: None, .. }) if !passed => nothing_is_left(state),
            End::Ended(Outcome::Stopped { beyond_return: true, .. }) if passed => self.finishes(state),
            other => panic!("turned back, it ends so: {other:?} {state}"),
        }
    }

    // ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────────

    pub fn nothing_goes_wrong(&self) {
        for kind in &self.kinds {
            let (state, end) = self.life.live(self.fresh(*kind), vec![], Wish::Switch);
            assert!(matches!(end, End::Ended(Outcome::Switched)), "with no fault it ends so: {end:?} {state}");
            switched(state);
            self.turned_back(self.ready(*kind));
        }
    }

    /// Each state in which a process killed at some instant leaves the world, from the resting point on.
    fn each_killed(&self, mut then: impl FnMut(u32, State)) {
        for kind in &self.kinds {
            let start = self.ready(*kind);
            for at in 1..=self.length(&start, Wish::Switch) {
                let (state, end) = self.life.live(start.clone(), vec![(at, Fault::Kill)], Wish::Switch);
                assert!(matches!(end, End::Killed));
                then(at, state);
            }
        }
    }

    /// Killed at every instant of the whole story: then left alone, resumed, turned back, or rescued by the guard.
    pub fn killed_once(&self) {
        for kind in &self.kinds {
            let start = self.fresh(*kind);
            for at in 1..=self.length(&start, Wish::Switch) {
                let (state, end) = self.life.live(start.clone(), vec![(at, Fault::Kill)], Wish::Switch);
                assert!(matches!(end, End::Killed));
                left_alone(&state);
                self.finishes(state.clone());
                self.turned_back(state.clone());
                if state.guard.armed {
                    self.rescued(state, vec![]);
                }
            }
        }
    }

    /// Killed at every instant from `ready` on; and again at every instant of what is done about it, by the person
    /// or the guard.
    pub fn killed_twice(&self) {
        self.each_killed(|first, state| {
            for wish in [Wish::Switch, Wish::TurnBack, Wish::Rescue] {
                if wish == Wish::Rescue && !state.guard.armed {
                    continue;
                }
                for second in self.some(self.length(&state, wish), first) {
                    let (state, end) = self.life.live(state.clone(), vec![(second, Fault::Kill)], wish);
                    assert!(matches!(end, End::Killed));
                    left_alone(&state);
                    self.finishes(state.clone());
                    if state.guard.armed {
                        self.rescued(state, vec![]);
                    }
                }
            }
        });
    }

    /// The tool is dead, and the switch wakes at any instant of what is done about it.
    pub fn woken_later(&self) {
        self.each_killed(|first, state| {
            for wish in [Wish::Switch, Wish::TurnBack, Wish::Rescue] {
                if state.switches.is_empty() || wish == Wish::Rescue && !state.guard.armed {
                    continue;
                }
                for at in self.some(self.length(&state, wish), first) {
                    let pace = u8::try_from(1 + at % 3).unwrap_or(1);
                    let (state, end) = self.life.live(state.clone(), vec![(at, Fault::Wake { pace })], wish);
                    self.holds(state, &end);
                }
            }
        });
    }

    /// A switch of an attempt that was given up has its time in the next one, which it must not disturb.
    pub fn an_old_switch_wakes(&self) {
        self.each_killed(|first, state| {
            for at in self.some(self.length(&state, Wish::Switch), first) {
                let (state, end) = self.life.live(state.clone(), vec![(at, Fault::WakeOld)], Wish::Switch);
                let switched = matches!(end, End::Ended(Outcome::Switched));
                assert!(switched, "disturbed by a switch of an earlier attempt: {end:?} {state}");
            }
        });
    }

    /// One fault at every instant, in the story and in what is done after a kill: the ways back and the undos.
    pub fn disturbed(&self, faults: &[Fault]) {
        for kind in &self.kinds {
            for (start, wish) in [(self.fresh(*kind), Wish::Switch), (self.ready(*kind), Wish::TurnBack)] {
                for at in 1..=self.length(&start, wish) {
                    for fault in faults {
                        let (state, end) = self.life.live(start.clone(), vec![(at, *fault)], wish);
                        left_alone(&state);
                        self.holds(state, &end);
                    }
                }
            }
        }
    }

    pub fn disturbed_after_a_kill(&self, faults: &[Fault]) {
        self.each_killed(|first, state| {
            for wish in [Wish::Switch, Wish::TurnBack, Wish::Rescue] {
                if wish == Wish::Rescue && !state.guard.armed {
                    continue;
                }
                for at in self.some(self.length(&state, wish), first) {
                    for fault in self.any(faults, at + first) {
                        let (state, end) = self.life.live(state.clone(), vec![(at, *fault)], wish);
                        self.holds(state, &end);
                    }
                }
            }
        });
    }

    /// A process in which something failed, and then something else in the one after it.
    pub fn failed_then(&self, faults: &[Fault]) {
        for kind in &self.kinds {
            let start = self.ready(*kind);
            for first in 1..=self.length(&start, Wish::Switch) {
                let (state, end) = self.life.live(start.clone(), vec![(first, Fault::Fail)], Wish::Switch);
                if matches!(end, End::Ended(Outcome::TurnedBack { .. } | Outcome::Switched)) {
                    continue;
                }
                for second in self.some(self.length(&state, Wish::Switch), first) {
                    for fault in self.any(faults, first + second) {
                        let (state, end) = self.life.live(state.clone(), vec![(second, *fault)], Wish::Switch);
                        self.holds(state, &end);
                    }
                }
            }
        }
    }

    /// Two faults in one process, the second soon after the first or much later.
    pub fn disturbed_twice(&self, first: &[Fault], second: &[Fault]) {
        for kind in &self.kinds {
            let start = self.ready(*kind);
            for at in 1..=self.length(&start, Wish::Switch) {
                for after in [1, 2, 3, 6, 14, 40] {
                    for fault in self.any(first, at + after) {
                        for then in self.any(second, at + 2 * after) {
                            let faults = vec![(at, *fault), (at + after, *then)];
                            let (state, end) = self.life.live(start.clone(), faults, Wish::Switch);
                            left_alone(&state);
                            if matches!(end, End::Killed) && state.guard.armed && at % 2 == 0 {
                                self.rescued(state, vec![]);
                            } else {
                                self.holds(state, &end);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The tool stands still at any instant until the switch has done any part of its work; thawed, it runs beside
    /// the rest of it.
    pub fn frozen(&self) {
        for kind in &self.kinds {
            let start = self.ready(*kind);
            for at in 1..=self.length(&start, Wish::Switch) {
                for acts in 0..=6 {
                    for pace in self.any(&[0, 1, 2, 7], at + u32::from(acts)) {
                        let faults = vec![(at, Fault::Freeze { acts, pace: *pace })];
                        let (state, end) = self.life.live(start.clone(), faults, Wish::Switch);
                        self.holds(state, &end);
                    }
                }
            }
        }
    }

    /// A record is cut off at any byte, as by a kill in the middle of writing it.
    pub fn torn(&self) {
        for kind in &self.kinds {
            let start = self.fresh(*kind);
            let (whole, _) = self.life.live(start.clone(), vec![], Wish::Switch);
            let writes = whole.trace.iter().zip(1..).filter(|(what, _)| **what == "journal: before a record");
            for (_, at) in writes {
                for bytes in self.some(250, at).chain([0, 1]) {
                    let torn = Fault::Torn(u16::try_from(bytes).unwrap_or(u16::MAX));
                    let (state, end) = self.life.live(start.clone(), vec![(at, torn)], Wish::Switch);
                    assert!(matches!(end, End::Killed));
                    left_alone(&state);
                    self.holds(state, &end);
                }
            }
        }
    }

    /// One process after the other, each with its own wish and faults; then left in peace.
    pub fn sequence(&self, kind: Kind, processes: Vec<(Wish, Faults)>) {
        let mut state = self.fresh(kind);
        for (wish, faults) in processes {
            if wish == Wish::Rescue && !state.guard.armed {
                continue;
            }
            let (after, end) = self.life.live(state, faults, wish);
            if Self::is_over(&after, &end) {
                return;
            }
            state = after;
        }
        self.finishes(state);
    }
}
