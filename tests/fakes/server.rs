//! `engine`'s traits in the fake world, in the form PostgreSQL gives them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use switchover::engine::{
    Address, Check, Lag, Position, Probe, Seeded, Server, ServerState, SessionsEnded, Side, Snapshot, Window,
};
use switchover::trouble::Trouble;

use super::machine::{Bits, Doing, Machine, Rules, Stage, Switch, Who};
use super::world::{State, World};

pub struct FakeServer {
    pub world: Rc<World>,
    pub side: Side,
}

impl FakeServer {
    async fn at(&self, what: &'static str) -> Result<(), Trouble> {
        self.world.at(what).await
    }

    /// One change, with an instant before and after it.
    async fn once(
        &self,
        what: &'static str,
        change: impl FnOnce(&mut State) -> Result<(), &'static str>,
    ) -> Result<(), Trouble> {
        self.at(what).await?;
        self.world.change(change).map_err(Trouble::failed)?;
        self.at(what).await
    }

    fn mine<T>(&self, look: impl FnOnce(&mut Machine) -> T) -> T {
        self.world.change(|s| look(&mut s.sides[self.side as usize]))
    }
}

/// The window's lock is ours: no switch is acting, and none will without ending this session first.
async fn lock(world: &World) -> Result<u32, Trouble> {
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

fn locked(s: &State, session: u32) -> Result<(), &'static str> {
    if s.sides[0].lock == Some(session) { Ok(()) } else { Err("our session was ended by the switch") }
}

/// Every switch is gone.
async fn end_switches(world: &World) -> Result<(), Trouble> {
    let session = lock(world).await?;
    end_locked(world, session).await
}

async fn end_locked(world: &World, session: u32) -> Result<(), Trouble> {
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

fn position(v1: &Machine) -> Position {
    Position(format!("{}/{}", v1.log.len(), v1.next))
}

fn parts(position: &Position) -> (usize, u32) {
    let (rows, next) = position.0.split_once('/').unwrap();
    (rows.parse().unwrap(), next.parse().unwrap())
}

fn is_running(v1: &Machine) -> bool {
    v1.sessions.iter().any(|s| matches!(s.who, Who::Client(_, Doing::InTransaction(..))))
}

#[async_trait(?Send)]
impl Server for FakeServer {
    async fn recheck(&self) -> Result<Vec<Check>, Trouble> {
        self.at("recheck").await.map(|()| Vec::new())
    }

    async fn ensure_followable(&self) -> Result<String, Trouble> {
        self.once("make followable", |s| {
            s.things.followable = true;
            Ok(())
        })
        .await?;
        Ok("V1 can be followed".into())
    }

    async fn ensure_unfollowable(&self) -> Result<(), Trouble> {
        end_switches(&self.world).await?;
        self.once("make unfollowable", |s| {
            if s.sides[1].follows {
                return Err("V2 still follows V1: its slot is in use");
            }
            s.things.followable = false;
            Ok(())
        })
        .await
    }

    async fn position(&self) -> Result<Position, Trouble> {
        Ok(self.mine(|m| position(m)))
    }

    async fn ensure_seeded(&self) -> Result<Seeded, Trouble> {
        self.once("seed", |s| {
            if !(s.things.followable && s.things.container && s.things.volume) {
                return Err("there is nothing to seed from or to");
            }
            if !s.things.seeded {
                let [v1, v2] = &mut s.sides;
                v2.log.clear();
                v2.has = Bits::default();
                v1.log.iter().for_each(|row| v2.write(*row));
                s.things.seeded = true;
            }
            Ok(())
        })
        .await?;
        Ok(Seeded { position: self.world.change(|s| position(&s.sides[1])), bytes: 1 })
    }

    async fn ensure_unseeded(&self) -> Result<(), Trouble> {
        self.once("drop the seed", |s| {
            if s.sides[1].up {
                return Err("V2 runs on its data");
            }
            s.things.seeded = false;
            Ok(())
        })
        .await
    }

    async fn ensure_following(&self) -> Result<String, Trouble> {
        self.once("follow", |s| {
            if !(s.things.seeded && s.things.followable) {
                return Err("V2 has nothing to follow with");
            }
            if s.sides[1].leads {
                return Err("V2 was promoted");
            }
            s.v2().up = true;
            s.v2().follows = true;
            Ok(())
        })
        .await?;
        Ok("V2 follows".into())
    }

    async fn ensure_not_following(&self) -> Result<(), Trouble> {
        self.once("stop following", |s| {
            s.v2().up = false;
            s.v2().follows = false;
            Ok(())
        })
        .await
    }

    async fn behind(&self, position: &Position) -> Result<Option<Lag>, Trouble> {
        self.at("lag").await?;
        let (rows, _) = parts(position);
        Ok(self.mine(|m| (m.up && m.follows).then(|| Lag { bytes: rows.saturating_sub(m.log.len()) as u64 })))
    }

    async fn polish(&self) -> Result<String, Trouble> {
        self.at("polish").await.map(|()| "V2 is fit".into())
    }

    async fn open_window(&self, attempt: u32) -> Result<Box<dyn Window>, Trouble> {
        self.at("open the window").await?;
        end_switches(&self.world).await?;
        let session = self.world.change(|s| {
            s.excused = false;
            if s.sides[0].file != Rules::Open {
                return Err(Trouble::failed("V1's access rules are still those of a fence"));
            }
            let process = s.process;
            Ok(s.v1().enter(Who::Window { process }))
        })?;
        let window = FakeWindow {
            world: self.world.clone(),
            attempt,
            session: Cell::new(session),
            shut: Cell::new(false),
            held: Cell::new(false),
        };
        self.at("window opened").await?;
        Ok(Box::new(window))
    }

    async fn ensure_connected(&self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn ensure_given_back(&self) -> Result<(), Trouble> {
        self.once("let V1's listener go", |s| {
            s.v1().let_go();
            Ok(())
        })
        .await?;
        if self.world.change(|s| s.knobs.lifts_last) {
            end_switches(&self.world).await?;
        }
        // Lifted before the switch is ended, so that V1 is given back whoever dies in between.
        let session = lock(&self.world).await?;
        self.once("lift V1's fence: file", |s| {
            locked(s, session)?;
            s.v1().write_file(Rules::Open, true);
            Ok(())
        })
        .await?;
        self.once("lift V1's fence: reload", |s| {
            locked(s, session)?;
            s.v1().reload();
            Ok(())
        })
        .await?;
        end_locked(&self.world, session).await?;
        self.once("prove a write on V1", |s| {
            if !s.sides[0].admits() {
                return Err("V1 does not let its clients in");
            }
            s.v1().next += 1;
            Ok(())
        })
        .await
    }

    async fn ensure_listener_let_go(&self) -> Result<(), Trouble> {
        self.once("let V1's listener go", |s| {
            s.v1().let_go();
            Ok(())
        })
        .await
    }

    async fn has_applied(&self, position: &Position) -> Result<bool, Trouble> {
        self.at("look whether V2 has applied").await?;
        let (rows, _) = parts(position);
        Ok(self.mine(|m| m.log.len() >= rows))
    }

    async fn ensure_promoted(&self) -> Result<String, Trouble> {
        self.once("promote V2", |s| {
            if !s.sides[1].leads {
                s.before_promotion();
                s.v2().follows = false;
                s.v2().leads = true;
            }
            Ok(())
        })
        .await?;
        Ok("V2 is promoted".into())
    }

    async fn ensure_demoted(&self) -> Result<(), Trouble> {
        if self.mine(|m| m.leads) {
            self.once("demote V2: stop", |s| {
                s.v2().up = false;
                Ok(())
            })
            .await?;
            self.once("demote V2: rewind", |s| {
                let v1 = s.sides[0].clone();
                s.v2().rewind(&v1);
                s.v2().leads = false;
                Ok(())
            })
            .await?;
        }
        self.ensure_following().await.map(drop)
    }

    async fn ensure_open(&self) -> Result<(), Trouble> {
        self.once("open V2: file", |s| {
            s.v2().write_file(Rules::Open, true);
            Ok(())
        })
        .await?;
        self.once("open V2: reload", |s| {
            s.v2().reload();
            Ok(())
        })
        .await
    }

    async fn probe(&self, _: &Address) -> Result<Box<dyn Probe>, Trouble> {
        Ok(Box::new(FakeProbe(self.world.clone())))
    }

    async fn ensure_snapshot_kept(&self) -> Result<(), Trouble> {
        self.at("keep a snapshot").await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble> {
        self.at("snapshot").await.map(|()| None)
    }

    async fn ensure_way_back(&self) -> Result<Result<String, String>, Trouble> {
        self.once("V1 follows V2", |s| {
            assert!(s.sides[1].log.starts_with(&s.sides[0].log), "V1 has rows that V2 lacks: {s}");
            s.v1().leads = false;
            s.v1().follows = true;
            s.things.settled = true;
            Ok(())
        })
        .await?;
        Ok(Ok("V1 follows V2".into()))
    }

    async fn ensure_clean(&self, _: bool) -> Result<(), Trouble> {
        self.at("clean").await
    }

    async fn state(&self) -> ServerState {
        ServerState::default()
    }
}

struct FakeWindow {
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
        self.once("see the fence in force", |s| match s.sides[0].admits() {
            true => Err("V1 still lets new sessions in"),
            false => Ok(()),
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

struct FakeProbe(Rc<World>);

#[async_trait(?Send)]
impl Probe for FakeProbe {
    async fn write(&mut self) -> Result<(), Trouble> {
        self.0.at("probe").await?;
        let reached = self.0.change(|s| s.reached(Side::V2) && s.sides[1].admits() && s.sides[1].leads);
        if reached { Ok(()) } else { Err(Trouble::failed("no write through the clients' address")) }
    }
    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        Ok(())
    }
}
