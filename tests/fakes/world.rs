//! What there is, the instants at which something may go wrong, and the tenets, asserted after every change.

use std::cell::RefCell;
use std::fmt;

use switchover::engine::Side;
use switchover::trouble::Trouble;

use super::clients::Pooler;
use super::disk::Bytes;
use super::machine::{Bits, Machine, Rules, Stage, Switch, Who};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The tool is killed.
    Kill,
    /// This call fails. At an instant after an effect: its answer is lost.
    Fail,
    /// The person asks to stop; a running act is dropped at this instant.
    Ask,
    /// The tool stands still past the cap. The switch wakes, acts so often, and then once every `pace` instants of
    /// the thawed tool.
    Freeze {
        acts: u8,
        pace: u8,
    },
    /// Switches wake although the tool runs: as after its death, or when it is slow.
    Wake {
        pace: u8,
    },
    /// The same for switches of earlier attempts alone, whose time comes earlier.
    WakeOld,
    RestartV1,
    RestartV2,
    /// Somebody makes V1 read its access rules again.
    Reload,
    /// A background process of V1 takes a transaction number.
    Vacuum,
    /// A record is written only so far, and the tool is killed.
    Torn(u16),
    /// The tool's machine loses power: of what was not synced so many bytes are kept. `servers`: theirs too.
    Power {
        keep: u16,
        servers: bool,
    },
}

/// By the instant of the process at which they strike, counted from 1.
pub type Faults = Vec<(u32, Fault)>;

/// Which world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub by_network: bool,
    pub by_pooler: bool,
    /// Whether V1's listener can be held.
    pub can_hold: bool,
    /// Whether sessions of a killed tool stay until somebody ends them.
    pub lingers: bool,
}

impl Kind {
    pub const PLAIN: Kind = Kind { by_network: true, by_pooler: false, can_hold: true, lingers: false };
}

/// Mistakes an engine could make; the matrix must notice each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knobs {
    /// Opening a window and giving V1 back leave earlier switches alone.
    pub keeps_old_switches: bool,
    /// The window's session is silently opened anew when it is lost.
    pub reconnects: bool,
    /// The durable fence is not synced.
    pub fence_unsynced: bool,
    /// Acts on V1 do not look whether the switch is armed.
    pub unguarded: bool,
    /// The durable fence is only in the file.
    pub no_reload: bool,
    /// Giving V1 back ends the switch first and lifts the fence then.
    pub lifts_last: bool,
    /// The journal is read as it is found, not as it is on disk.
    pub unsettled: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Guard {
    pub armed: bool,
}

/// What the run has made, besides the servers' own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Things {
    pub private_network: bool,
    pub on_private: [bool; 2],
    pub followable: bool,
    pub volume: bool,
    pub container: bool,
    pub seeded: bool,
    pub names: [&'static str; 2],
    pub restarts: bool,
    pub settled: bool,
}

#[derive(Clone)]
pub struct State {
    pub kind: Kind,
    pub knobs: Knobs,
    pub sides: [Machine; 2],
    pub on_clients_network: [bool; 2],
    pub pooler: Pooler,
    pub switches: Vec<Switch>,
    pub guard: Guard,
    pub things: Things,
    pub journal: Bytes,
    pub acknowledged: Bits,
    pub acknowledgements: [u32; 2],
    pub next_row: u32,
    /// How often a woken switch acts, in instants; 0: it sleeps on.
    pub pace: u8,
    /// The fence of this attempt was lifted by something else than the tool.
    pub excused: bool,
    /// Whether the power was lost while V1's file was shut for a moment (design §4 "what remains").
    pub unlucky: bool,
    pub process: u32,
    pub clock: u32,
    pub faults: Faults,
    pub trace: Vec<&'static str>,
}

/// What a fake does at an instant, once the world has moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    GoOn,
    Fail,
    /// Lets the driver see that it was asked to stop.
    Yield,
    Torn(u16),
}

/// Thrown where the tool is killed: nothing of its own runs after it.
pub struct Killed;

pub struct World {
    pub state: RefCell<State>,
    pub stop: RefCell<switchover::saga::Interrupt>,
}

impl State {
    pub fn new(kind: Kind, knobs: Knobs) -> Self {
        State {
            kind,
            knobs,
            sides: [Machine::new(true), Machine::new(false)],
            on_clients_network: [true, false],
            pooler: Pooler::default(),
            switches: Vec::new(),
            guard: Guard::default(),
            things: Things {
                private_network: false,
                on_private: [false; 2],
                followable: false,
                volume: false,
                container: false,
                seeded: false,
                names: ["db", ""],
                restarts: true,
                settled: false,
            },
            journal: Bytes::default(),
            acknowledged: Bits::default(),
            acknowledgements: [0; 2],
            next_row: 0,
            pace: 0,
            excused: false,
            unlucky: false,
            process: 0,
            clock: 0,
            faults: Vec::new(),
            trace: Vec::new(),
        }
    }

    pub fn v1(&mut self) -> &mut Machine {
        &mut self.sides[Side::V1 as usize]
    }
    pub fn v2(&mut self) -> &mut Machine {
        &mut self.sides[Side::V2 as usize]
    }

    /// Time passes: clients write, the follower applies, a woken switch acts; then the tenets are asserted.
    pub fn tick(&mut self) {
        self.churn();
        let [v1, v2] = &mut self.sides;
        v2.follow(v1);
        v1.follow(v2);
        self.tenets();
    }

    /// Tenets 1 and 2, whatever happens.
    pub fn tenets(&self) {
        let accepting: Vec<Side> =
            [Side::V1, Side::V2].into_iter().filter(|s| self.sides[*s as usize].accepts()).collect();
        assert!(accepting.len() < 2, "two sides accept clients' writes: {self}");
        for side in accepting {
            let missing = self.acknowledged.missing_in(&self.sides[side as usize].has);
            assert!(missing.is_empty(), "{side} accepts writes without acknowledged rows {missing:?}: {self}");
        }
    }

    /// V2 is about to take writes: V1 must not, unless its fence was lifted behind the tool's back.
    pub fn before_promotion(&self) {
        let v1 = &self.sides[0];
        assert!(self.excused || !v1.accepts(), "V2 is promoted while V1 accepts writes: {self}");
    }

    pub fn wake_switches(&mut self, below: u32) {
        self.switches.iter_mut().filter(|s| s.attempt < below).for_each(|s| s.awake = true);
    }

    /// Every switch that is awake does its next act.
    pub fn act_switches(&mut self) {
        let mut switches = std::mem::take(&mut self.switches);
        for switch in switches.iter_mut().filter(|s| s.awake) {
            // What it does is no more the tool's fault.
            self.excused = true;
            switch.act(self.v1());
        }
        switches.retain(|s| self.sides[0].lives(s.session));
        self.switches = switches;
    }

    /// The cap is long over: every switch has done what it does.
    pub fn finish_switches(&mut self) {
        self.wake_switches(u32::MAX);
        while !self.switches.is_empty() {
            self.act_switches();
            self.tick();
        }
    }

    fn background(&mut self) {
        if self.pace > 0 && self.clock.is_multiple_of(u32::from(self.pace)) {
            self.act_switches();
        }
    }

    fn strike(&mut self, fault: Fault) -> Turn {
        match fault {
            Fault::Kill => std::panic::panic_any(Killed),
            Fault::Fail => return Turn::Fail,
            Fault::Ask => return Turn::Yield,
            Fault::Torn(bytes) => return Turn::Torn(bytes),
            Fault::Freeze { acts, pace } => {
                self.wake_switches(u32::MAX);
                for _ in 0..acts {
                    self.act_switches();
                    self.tick();
                    self.tick();
                }
                self.pace = pace;
            }
            Fault::Wake { pace } => {
                self.wake_switches(u32::MAX);
                self.pace = pace;
            }
            Fault::WakeOld => {
                let newest = self.switches.iter().map(|s| s.attempt).max().unwrap_or(0);
                self.wake_switches(newest);
                self.pace = 1;
            }
            Fault::RestartV1 => self.restart_v1(false),
            Fault::RestartV2 => self.v2().restart(false),
            Fault::Reload => {
                self.excused = true;
                self.v1().reload();
            }
            Fault::Vacuum => self.v1().next += 1,
            Fault::Power { keep, servers } => {
                if servers {
                    self.restart_v1(true);
                    self.v2().restart(true);
                }
                self.guard.armed = false;
                self.journal.lose_power(usize::from(keep));
                std::panic::panic_any(Killed);
            }
        }
        Turn::GoOn
    }

    fn restart_v1(&mut self, power_lost: bool) {
        self.excused = true;
        self.v1().restart(power_lost);
        self.unlucky |= self.sides[0].rules == Rules::Volatile;
        self.switches.clear();
    }

    /// A process has died: its sessions are gone, or stay until somebody ends them.
    pub fn bury(&mut self) {
        if !self.kind.lingers {
            self.v1().leave(|s| matches!(s.who, Who::Window { .. }));
        }
    }

    pub fn is_switch_asleep(&self, attempt: u32) -> bool {
        let asleep = |s: &&Switch| s.attempt == attempt && s.stage == Stage::Asleep;
        self.switches.iter().filter(asleep).any(|s| self.sides[0].lives(s.session))
    }
}

impl World {
    /// An instant at which an act may also fail, or be dropped.
    pub async fn at(&self, what: &'static str) -> Result<(), Trouble> {
        match self.instant(what) {
            Turn::Fail => Err(Trouble::failed(format!("injected: {what}"))),
            Turn::Yield => {
                tokio::task::yield_now().await;
                Ok(())
            }
            Turn::GoOn | Turn::Torn(_) => Ok(()),
        }
    }

    pub fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.borrow_mut())
    }

    pub fn new(state: State) -> Self {
        World { state: RefCell::new(state), stop: RefCell::default() }
    }

    /// An instant of the tool: time passes, then whatever is due goes wrong.
    pub fn instant(&self, what: &'static str) -> Turn {
        let mut state = self.state.borrow_mut();
        state.clock += 1;
        state.trace.push(what);
        state.background();
        state.tick();
        let now = state.clock;
        let due: Vec<Fault> = state.faults.iter().filter(|(at, _)| *at == now).map(|(_, fault)| *fault).collect();
        let mut turn = Turn::GoOn;
        for fault in due {
            match state.strike(fault) {
                Turn::GoOn => {}
                other => turn = other,
            }
            state.tick();
        }
        if turn == Turn::Yield {
            self.stop.borrow().ask();
        }
        turn
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.trace.len().saturating_sub(12);
        writeln!(f, "\n  world    {:?} {:?}", self.kind, self.knobs)?;
        writeln!(f, "  faults   {:?} in process {}, now at {}", self.faults, self.process, self.clock)?;
        writeln!(f, "  lately   {}", self.trace[last..].join(" → "))?;
        for (name, m) in ["V1", "V2"].into_iter().zip(&self.sides) {
            writeln!(
                f,
                "  {name}       up {} leads {} follows {} rules {:?} file {:?} held {} lock {:?} next {} rows {} sessions {:?}",
                m.up,
                m.leads,
                m.follows,
                m.rules,
                m.file,
                m.held,
                m.lock,
                m.next,
                m.log.len(),
                m.sessions
            )?;
        }
        writeln!(f, "  switches {:?} pace {} guard {:?}", self.switches, self.pace, self.guard)?;
        writeln!(f, "  clients  network {:?} pooler {:?}", self.on_clients_network, self.pooler)?;
        write!(f, "  journal  …{}", self.journal.tail(6))
    }
}
