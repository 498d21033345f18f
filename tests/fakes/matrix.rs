//! What goes wrong, everywhere. The tenets the world asserts at every change; what an end means is in `ends.rs`; that
//! nothing is stuck is said here.

use switchover::saga::{Outcome, Wish};

use super::ends::{is_over, left_alone, nothing_is_left, rests_at_ready, switched};
use super::{End, Fault, Faults, Kind, Knobs, Life, State};

/// A story, walked in worlds.
#[derive(Clone)]
pub struct Matrix {
    pub life: Life,
    pub knobs: Knobs,
    pub kinds: Vec<Kind>,
    /// Of what follows a first fault only every so-many-th instant, beginning elsewhere each time.
    pub stride: u32,
    /// Every kind of fault and world where one of them would do.
    pub thorough: bool,
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

impl Matrix {
    pub fn of(life: Life, stride: u32) -> Self {
        Matrix { life, knobs: Knobs::default(), kinds: KINDS.to_vec(), stride, thorough: false, guard: Guarding::Whole }
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

    /// From nothing, or, where the window alone differs from the first world, from `ready`.
    fn start(&self, kind: Kind) -> State {
        if self.thorough || kind == self.kinds[0] { self.fresh(kind) } else { self.ready(kind) }
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
        if self.thorough { list } else { &list[at..=at] }
    }

    fn holds(&self, state: State, end: &End) -> State {
        if is_over(&state, end) { state } else { self.finishes(state) }
    }

    /// Resumed by a person, with nothing more going wrong, a run comes to its end; at the second time where the first
    /// resumed process has a way back to finish.
    fn finishes(&self, state: State) -> State {
        let retreats = state.journal.retreats();
        let (state, first) = self.life.live(state, vec![], Wish::Switch);
        match first {
            End::Ended(Outcome::Switched) => {
                switched(state.clone());
                return state;
            }
            End::Ended(Outcome::TurnedBack { to: None, .. }) => {
                nothing_is_left(state.clone());
                return state;
            }
            End::Ended(Outcome::TurnedBack { to: Some("ready"), .. }) if retreats => rests_at_ready(state.clone()),
            End::Ended(Outcome::TurnedBack { .. }) if retreats => {}
            other => panic!("resumed, it ends so: {other:?} {state}"),
        }
        let (state, second) = self.life.live(state, vec![], Wish::Switch);
        assert!(matches!(second, End::Ended(Outcome::Switched)), "resumed twice, it ends so: {second:?} {state}");
        switched(state.clone());
        state
    }

    /// The journal of a run that is over, read once more, says that there is nothing left to do.
    fn stays_finished(&self, state: State) {
        let (state, again) = self.life.live(state, vec![], Wish::Switch);
        let over = matches!(again, End::Ended(Outcome::Switched | Outcome::TurnedBack { to: None, .. }));
        assert!(over && state.clock < 4, "resumed when it was done, it ends so: {again:?} {state}");
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
            End::Ended(Outcome::Stopped { beyond_return: true, .. }) if passed => {
                self.finishes(state);
            }
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
            let start = self.start(*kind);
            for at in 1..=self.length(&start, Wish::Switch) {
                let (state, end) = self.life.live(start.clone(), vec![(at, Fault::Kill)], Wish::Switch);
                assert!(matches!(end, End::Killed));
                left_alone(&state);
                let finished = self.finishes(state.clone());
                self.stays_finished(finished);
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
            for (start, wish) in [(self.start(*kind), Wish::Switch), (self.ready(*kind), Wish::TurnBack)] {
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

    /// A record is cut off at some byte, that of the line at any, as by a kill in the middle of writing it.
    pub fn torn(&self) {
        for kind in &self.kinds {
            let start = self.start(*kind);
            let (whole, _) = self.life.live(start.clone(), vec![], Wish::Switch);
            let writes = whole.trace.iter().zip(1..).filter(|(what, _)| **what == "journal: before a record");
            let records = whole.journal.events();
            let before = records.len() - writes.clone().count();
            for ((_, at), record) in writes.zip(&records[before..]) {
                let every = record.starts_with("passed");
                for bytes in (0..250).filter(|n| every || *n < 2 || (n + at) % self.stride == 0) {
                    let torn = Fault::Torn(u16::try_from(bytes).unwrap_or(u16::MAX));
                    let (state, end) = self.life.live(start.clone(), vec![(at, torn)], Wish::Switch);
                    assert!(matches!(end, End::Killed));
                    left_alone(&state);
                    let state = self.finishes(state);
                    self.stays_finished(state);
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
            if is_over(&after, &end) {
                return;
            }
            state = after;
        }
        self.finishes(state);
    }
}
