//! The window on V1 in the fake world, and the lock for which it competes with the switch.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use switchover::engine::{Position, SessionsEnded, Window};
use switchover::trouble::Trouble;

use super::machine::{Doing, Machine, Rules, Stage, Switch, Who};
use super::world::{State, World};

/// The window's lock is ours: no switch is acting, and none will without ending this session first.
pub(super) async fn lock(world: &World) -> Result<u32, Trouble> {
    let session = world.change(|s| {
        let process = s.process;
        s.v1().enter(Who::Window { process })
    });
    loop {
        let acting = world.change(|s| {
            let acting = s.switches.iter().any(|s| s.stage != Stage::Asleep);
            if acting {
                s.act_switches();
            } else {
                // Whoever still has it does nothing any more: a tool that was killed.
                if let Some(holder) = s.sides[0].lock {
                    s.v1().leave(|s| s.id == holder);
                }
                s.v1().lock = Some(session);
            }
            acting
        });
        world.at("the window's lock on V1").await?;
        if !acting {
            return Ok(session);
        }
    }
}

pub(super) fn locked(s: &State, session: u32) -> Result<(), &'static str> {
    if s.sides[0].lock == Some(session) { Ok(()) } else { Err("our session was ended by the switch") }
}

/// Every switch is gone.
pub(super) async fn end_switches(world: &World) -> Result<(), Trouble> {
    let session = lock(world).await?;
    end_locked(world, session).await
}

pub(super) async fn end_locked(world: &World, session: u32) -> Result<(), Trouble> {
    world
        .change(|s| {
            locked(s, session)?;
            if !s.knobs.keeps_old_switches {
                let gone: Vec<u32> = s.switches.drain(..).map(|switch| switch.session).collect();
                s.v1().leave(|session| gone.contains(&session.id));
            }
            Ok(())
        })
        .map_err(|why: &str| Trouble::failed(why))?;
    let ended = world.at("switches ended").await;
    world.change(|s| s.v1().leave(|s| s.id == session));
    ended
}

pub(super) fn position(v1: &Machine) -> Position {
    Position(format!("{}/{}", v1.log.len(), v1.next))
}

pub(super) fn parts(position: &Position) -> (usize, u32) {
    let (rows, next) = position.0.split_once('/').unwrap();
    (rows.parse().unwrap(), next.parse().unwrap())
}

pub(super) fn is_running(v1: &Machine) -> bool {
    v1.sessions.iter().any(|s| matches!(s.who, Who::Client(_, Doing::InTransaction(..))))
}

pub struct FakeWindow {
    world: Rc<World>,
    attempt: u32,
    session: Cell<u32>,
    shut: Cell<bool>,
    held: Cell<bool>,
}

impl Drop for FakeWindow {
    fn drop(&mut self) {
        // A process that is killed says no goodbye.
        if !std::thread::panicking() {
            let id = self.session.get();
            self.world.change(|s| s.v1().leave(|session| session.id == id));
        }
    }
}

impl FakeWindow {
    pub(super) fn new(world: Rc<World>, attempt: u32, session: u32) -> Self {
        FakeWindow { world, attempt, session: Cell::new(session), shut: Cell::new(false), held: Cell::new(false) }
    }

    /// One statement in the window's session that first sees this attempt's switch armed.
    fn guarded<T>(&self, act: impl FnOnce(&mut State) -> Result<T, &'static str>) -> Result<T, Trouble> {
        self.world.change(|s| {
            if !s.sides[0].lives(self.session.get()) {
                if !s.knobs.reconnects {
                    return Err(Trouble::failed("the window's session is gone"));
                }
                let process = s.process;
                self.session.set(s.v1().enter(Who::Window { process }));
                if !s.is_switch_asleep(self.attempt) {
                    arm(s, self.attempt);
                }
            }
            if !s.knobs.unguarded && !s.is_switch_asleep(self.attempt) {
                return Err(Trouble::failed("the switch of this attempt is not armed"));
            }
            act(s).map_err(Trouble::failed)
        })
    }

    async fn once<T>(
        &self,
        what: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, &'static str>,
    ) -> Result<T, Trouble> {
        self.world.at(what).await?;
        let value = self.guarded(act)?;
        self.world.at(what).await?;
        Ok(value)
    }
}

fn arm(s: &mut State, attempt: u32) {
    let session = s.v1().enter(Who::Switch);
    s.switches.push(Switch { attempt, session, stage: Stage::Asleep, awake: false });
}

#[async_trait(?Send)]
impl Window for FakeWindow {
    async fn arm(&self, _: Duration) -> Result<(), Trouble> {
        self.world.at("arm the switch").await?;
        self.world.change(|s| arm(s, self.attempt));
        self.world.at("switch armed").await
    }

    async fn shut_door(&self) -> Result<(), Trouble> {
        if self.shut.get() {
            return Ok(());
        }
        self.once("shut the door: file", |s| {
            s.v1().write_file(Rules::Volatile, true);
            Ok(())
        })
        .await?;
        self.once("shut the door: reload", |s| {
            s.v1().reload();
            Ok(())
        })
        .await?;
        let proven = self.world.change(|s| s.sides[0].rules != Rules::Open);
        self.once("shut the door: file back", |s| {
            s.v1().write_file(Rules::Open, true);
            Ok(())
        })
        .await?;
        self.shut.set(proven);
        if proven { Ok(()) } else { Err(Trouble::failed("V1 still lets new sessions in")) }
    }

    async fn hold_listener(&self) -> Result<bool, Trouble> {
        let held = self
            .once("hold the listener", |s| {
                s.v1().held |= s.kind.can_hold;
                Ok(s.kind.can_hold)
            })
            .await?;
        self.held.set(held);
        Ok(held)
    }

    /// Idle sessions at once, the others after two looks; done when one look finds none.
    async fn end_sessions(&self, _: Duration) -> Result<SessionsEnded, Trouble> {
        let mut ended = SessionsEnded::default();
        for look in 0..10 {
            let found = self
                .once("end sessions", |s| {
                    let busy = |who: &Who| matches!(who, Who::Client(_, Doing::InTransaction(..)));
                    let v1 = s.v1();
                    let clients = v1.sessions.iter().filter(|s| matches!(s.who, Who::Client(..))).count();
                    v1.leave(|s| matches!(s.who, Who::Client(..)) && (look >= 2 || !busy(&s.who)));
                    Ok(clients)
                })
                .await?;
            if found == 0 {
                return Ok(ended);
            }
            ended.idle += 1;
        }
        Err(Trouble::failed("sessions keep coming"))
    }

    async fn written(&self) -> Result<Position, Trouble> {
        self.once("read V1's last position", |s| {
            if is_running(&s.sides[0]) {
                return Err("a transaction is still running on V1");
            }
            s.v1().next += 1;
            Ok(position(&s.sides[0]))
        })
        .await
    }

    async fn take_lock(&self) -> Result<(), Trouble> {
        self.once("take the lock", |s| {
            if s.sides[0].lock.is_some() {
                return Err("the switch has the lock");
            }
            s.v1().lock = Some(self.session.get());
            Ok(())
        })
        .await
    }

    async fn make_fence_durable(&self) -> Result<(), Trouble> {
        self.once("make the fence durable", |s| {
            let (synced, reload) = (!s.knobs.fence_unsynced, !s.knobs.no_reload);
            s.v1().write_file(Rules::Durable, synced);
            if reload {
                s.v1().reload();
            }
            Ok(())
        })
        .await
    }

    async fn fence_in_force(&self) -> Result<(), Trouble> {
        self.once("see the fence in force", |s| {
            if s.sides[0].admits() {
                return Err("V1 still lets new sessions in");
            }
            Ok(())
        })
        .await
    }

    async fn look(&self, since: &Position) -> Result<(), Trouble> {
        self.once("look once more", |s| {
            let v1 = &s.sides[0];
            if v1.has_clients() {
                return Err("sessions got onto V1 after the fence");
            }
            if is_running(v1) || v1.next != parts(since).1 {
                return Err("V1 has begun a transaction since its last write was read");
            }
            Ok(())
        })
        .await
    }

    async fn end_switch(&self) -> Result<(), Trouble> {
        end_switches(&self.world).await
    }

    async fn let_listener_go(&self) -> Result<(), Trouble> {
        self.world.at("let the listener go").await?;
        self.world.change(|s| s.v1().let_go());
        self.world.at("listener let go").await
    }
}
