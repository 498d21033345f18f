//! `engine`'s traits in the fake world, in the form PostgreSQL gives them.

use std::rc::Rc;

use async_trait::async_trait;
use switchover::engine::{Address, Check, Lag, Position, Probe, Seeded, Server, ServerState, Side, Snapshot, Window};
use switchover::trouble::Trouble;

use super::machine::{Bits, Machine, Rules, Who};
use super::window::{FakeWindow, end_locked, end_switches, lock, locked, parts, position};
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

#[async_trait(?Send)]
impl Server for FakeServer {
    async fn recheck(&self) -> Result<Vec<Check>, Trouble> {
        self.at("recheck").await.map(|()| Vec::new())
    }

    async fn ensure_restarted(&self) -> Result<String, Trouble> {
        self.at("restart").await.map(|()| "V1 needs no restart".into())
    }

    async fn ensure_restart_forgotten(&self) -> Result<(), Trouble> {
        self.at("forget the restart").await
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
        let window = FakeWindow::new(self.world.clone(), attempt, session);
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

    async fn ensure_ended(&self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble> {
        self.at("snapshot").await.map(|()| None)
    }

    async fn view(&self) -> Result<Box<dyn Snapshot>, Trouble> {
        Err(Trouble::bug("no fake compares before the window"))
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
