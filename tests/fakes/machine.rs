//! One database server as the story's proof sees it, and the dead-man's switch that lives on V1.

/// What the server's access rules say to a new session. Ours get in by any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The owner's own rules.
    Open,
    /// Shut by the window, meant to be in memory only.
    Volatile,
    /// Shut for good.
    Durable,
    /// V2 until `open`.
    Closed,
}

/// A set of small numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    pub fn put(&mut self, n: u32) {
        let word = n as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (n % 64);
    }
    /// Those that are not in `other`.
    pub fn missing_in(&self, other: &Bits) -> Vec<u32> {
        let mut missing = Vec::new();
        for (i, word) in self.0.iter().enumerate() {
            let mut left = word & !other.0.get(i).copied().unwrap_or(0);
            while left != 0 {
                missing.push(u32::try_from(i * 64).unwrap_or(u32::MAX) + left.trailing_zeros());
                left &= left - 1;
            }
        }
        missing
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The writer of that number, and how far it is.
    Client(usize, Doing),
    /// The tool's session of the window, of this process.
    Window {
        process: u32,
    },
    Switch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Its rules were looked at when it was let in; later ones do not concern it.
    LoggingIn,
    Idle,
    /// A transaction that holds a number and will write this row; so many ticks are left.
    InTransaction(u32, u8),
}

#[derive(Clone, Copy, Debug)]
pub struct Session {
    pub id: u32,
    pub who: Who,
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub up: bool,
    /// Takes writes; else it is a follower.
    pub leads: bool,
    /// A follower that applies the other side's changes.
    pub follows: bool,
    pub rules: Rules,
    /// What is in the file, and what of it would survive a loss of power.
    pub file: Rules,
    pub file_synced: Rules,
    /// The listener takes nothing, not even a reload.
    pub held: bool,
    pub reload_waits: bool,
    pub sessions: Vec<Session>,
    /// The window's lock.
    pub lock: Option<u32>,
    pub log: Vec<u32>,
    pub has: Bits,
    /// The next transaction's number.
    pub next: u32,
    last_session: u32,
}

impl Machine {
    pub fn new(leads: bool) -> Self {
        let rules = if leads { Rules::Open } else { Rules::Closed };
        Machine {
            up: leads,
            leads,
            follows: false,
            rules,
            file: rules,
            file_synced: rules,
            held: false,
            reload_waits: false,
            sessions: Vec::new(),
            lock: None,
            log: Vec::new(),
            has: Bits::default(),
            next: 1,
            last_session: 0,
        }
    }

    /// Whether a client's write could be acknowledged here: by a session that is in, or by one that could get in.
    pub fn accepts(&self) -> bool {
        self.up && self.leads && (self.has_clients() || self.admits())
    }

    pub fn admits(&self) -> bool {
        self.up && !self.held && self.rules == Rules::Open
    }

    pub fn has_clients(&self) -> bool {
        self.sessions.iter().any(|s| matches!(s.who, Who::Client(..)))
    }

    pub fn enter(&mut self, who: Who) -> u32 {
        self.last_session += 1;
        self.sessions.push(Session { id: self.last_session, who });
        self.last_session
    }

    pub fn lives(&self, session: u32) -> bool {
        self.sessions.iter().any(|s| s.id == session)
    }

    pub fn leave(&mut self, gone: impl Fn(&Session) -> bool) {
        self.sessions.retain(|s| !gone(s));
        if self.lock.is_some_and(|id| !self.lives(id)) {
            self.lock = None;
        }
    }

    pub fn reload(&mut self) {
        if self.held {
            self.reload_waits = true;
        } else {
            self.rules = self.file;
        }
    }

    pub fn let_go(&mut self) {
        self.held = false;
        if std::mem::take(&mut self.reload_waits) {
            self.reload();
        }
    }

    pub fn write_file(&mut self, rules: Rules, synced: bool) {
        self.file = rules;
        if synced {
            self.file_synced = rules;
        }
    }

    pub fn write(&mut self, row: u32) {
        self.log.push(row);
        self.has.put(row);
    }

    /// Ended and started again. What was acknowledged is on disk; a file is what it was, or with the power lost what
    /// was synced.
    pub fn restart(&mut self, power_lost: bool) {
        if !self.up {
            return;
        }
        self.leave(|_| true);
        if power_lost {
            self.file = self.file_synced;
        }
        self.rules = self.file;
        self.held = false;
        self.reload_waits = false;
    }

    /// Some of the other side's changes, if this side is where they come next.
    pub fn follow(&mut self, other: &Machine) {
        if self.up && self.follows && other.log.starts_with(&self.log) {
            let rows: Vec<u32> = other.log[self.log.len()..].iter().take(3).copied().collect();
            for row in rows {
                self.write(row);
            }
        }
    }

    /// Thrown back to what it has in common with the other side.
    pub fn rewind(&mut self, other: &Machine) {
        let common = self.log.iter().zip(&other.log).take_while(|(a, b)| a == b).count();
        let log = self.log[..common].to_vec();
        self.log.clear();
        self.has = Bits::default();
        for row in log {
            self.write(row);
        }
    }
}

/// The dead-man's switch: a session on V1 that sleeps, then acts one stage at a time.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    pub attempt: u32,
    pub session: u32,
    pub stage: Stage,
    /// Its time has come.
    pub awake: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Asleep,
    /// Has the lock; whoever had it is gone.
    Locked,
    /// Has seen that the fence is not durable.
    MayLift,
    FileBack,
    Reloaded,
    LetGo,
}

impl Switch {
    /// Its next act. `false`: it has ended.
    pub fn act(&mut self, v1: &mut Machine) -> bool {
        if !v1.lives(self.session) {
            return false;
        }
        self.stage = match self.stage {
            Stage::Asleep => {
                if let Some(holder) = v1.lock {
                    v1.leave(|s| s.id == holder);
                }
                v1.lock = Some(self.session);
                Stage::Locked
            }
            Stage::Locked if v1.file == Rules::Durable => {
                v1.leave(|s| s.id == self.session);
                return false;
            }
            Stage::Locked => Stage::MayLift,
            Stage::MayLift => {
                v1.write_file(Rules::Open, true);
                Stage::FileBack
            }
            Stage::FileBack => {
                v1.reload();
                Stage::Reloaded
            }
            Stage::Reloaded => {
                v1.let_go();
                Stage::LetGo
            }
            Stage::LetGo => {
                v1.leave(|s| s.id == self.session);
                return false;
            }
        };
        true
    }
}
