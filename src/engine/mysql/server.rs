//! [`Server`] for MySQL: one side, its kept sessions, and who does what.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;

use super::before::Before;
use super::{
    checks, clean, follow, give_back, open, polish, position, prepare, promote, said, seed, state, way_back, window,
};
use crate::engine::mysql_family::connect::{self, Session, Timeouts, Turned, turned};
use crate::engine::mysql_family::events::{self, Event};
use crate::engine::mysql_family::switch::{self, Switch};
use crate::engine::mysql_family::{door, names, near, one_run, probe, running};
use crate::engine::mysql_wire::snapshot::{Kept, View};
use crate::engine::{Address, Check, Lag, Place, Position, Probe, Seeded, Server, ServerState, Side, Snapshot, Window};
use crate::trouble::Trouble;

pub(super) struct MysqlServer {
    place: Place,
    /// Opened beforehand, so that the window opens none; opened again where it was lost.
    session: RefCell<Option<Rc<Session>>>,
    switch: RefCell<Option<Rc<Switch>>>,
    /// A session for a view of the data, opened beforehand.
    view: RefCell<Option<View>>,
    /// The view, once it has begun.
    kept: RefCell<Option<Kept>>,
    /// Events to be enabled on V2.
    events: RefCell<Vec<Event>>,
}

impl MysqlServer {
    pub(super) fn new(place: Place) -> MysqlServer {
        MysqlServer {
            place,
            session: RefCell::default(),
            switch: RefCell::default(),
            view: RefCell::default(),
            kept: RefCell::default(),
            events: RefCell::default(),
        }
    }

    fn alive(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone().filter(|session| session.is_alive())
    }

    async fn session(&self) -> Result<Rc<Session>, Trouble> {
        if let Some(session) = self.alive() {
            return Ok(session);
        }
        let connected = connect::admin(&self.place, running::timeouts(&self.place)).await;
        let connected = match connected {
            // By an earlier process of the run, beyond the line.
            Err(trouble) if self.place.side == Side::V2 && turned(&trouble) == Some(Turned::Full) => {
                door::ensure_ajar(&self.place).await?;
                connect::admin(&self.place, running::timeouts(&self.place)).await
            }
            connected => connected,
        };
        Ok(self.keep(connected?))
    }

    fn keep(&self, session: Session) -> Rc<Session> {
        let session = Rc::new(session);
        self.session.replace(Some(Rc::clone(&session)));
        session
    }

    fn forget_sessions(&self) {
        self.session.replace(None);
        self.switch.replace(None);
        self.view.replace(None);
        self.kept.replace(None);
    }

    fn other(&self) -> Place {
        Place { side: self.place.side.other(), ..self.place.clone() }
    }

    /// Of all but the run's own schema.
    async fn new_view(&self) -> Result<View, Trouble> {
        let schema = names::schema(&self.place.plan);
        View::open(connect::admin(&self.place, Timeouts::NONE).await?, &[&schema]).await
    }

    /// The leader's part of being ready: no other run is at it, its switch is connected, its door can be shut.
    async fn leader_connected(&self, session: &Session) -> Result<(), Trouble> {
        one_run::ensure_alone(session, &self.place).await?;
        self.switch.replace(None);
        let serving = Before::of(&self.place.plan)?.serving;
        door::ensure_taken(&self.place, false, serving.max_connections).await?;
        let give_back = give_back::statements(&serving);
        let switch = switch::open(&self.place, give_back).await?;
        self.switch.replace(Some(Rc::new(switch)));
        Ok(())
    }

    /// The follower's: a session for the view, the events it will run, and nothing left to apply.
    async fn follower_connected(&self, session: &Session) -> Result<(), Trouble> {
        let leader = connect::admin(&self.other(), running::timeouts(&self.place)).await?;
        way_back::refuse_errant(session, &self.place).await?;
        self.events.replace(events::put_aside(&leader, session).await?);
        let missing = !self.view.borrow().as_ref().is_some_and(View::is_alive);
        if self.place.plan.verify && missing {
            let view = self.new_view().await?;
            self.view.replace(Some(view));
        }
        door::ensure_taken(&self.place, false, Before::of(&self.place.plan)?.serving.max_connections).await?;
        near::until_near(
            &self.place,
            async || Ok(position::now(&leader).await?.set),
            async |set: &String| follow::has(session, set).await,
            async || follow::refuse_dead(&self.place).await,
        )
        .await
    }
}

#[async_trait(?Send)]
impl Server for MysqlServer {
    async fn recheck(&self) -> Result<Vec<Check>, Trouble> {
        let session = match self.alive() {
            Some(session) => session,
            None => Rc::new(connect::either(&self.place, running::timeouts(&self.place)).await?),
        };
        let (said, own) = said::said(&session).await?;
        Ok(checks::again(&said, &own, &self.place.plan))
    }

    async fn ensure_restarted(&self) -> Result<String, Trouble> {
        Ok("V1 needs no restart".into())
    }

    async fn ensure_restart_forgotten(&self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn ensure_followable(&self) -> Result<String, Trouble> {
        self.forget_sessions();
        let (session, sentence) = prepare::ensure_followable(&self.place).await?;
        self.keep(session);
        Ok(sentence)
    }

    async fn ensure_unfollowable(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        if connect::is_gone(&self.place).await? {
            return Ok(());
        }
        prepare::ensure_unfollowable(&self.place).await
    }

    async fn position(&self) -> Result<Position, Trouble> {
        Ok(position::position(&position::now(&*self.session().await?).await?))
    }

    async fn ensure_seeded(&self) -> Result<Seeded, Trouble> {
        seed::ensure_seeded(&self.place).await
    }

    async fn ensure_unseeded(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        seed::ensure_unseeded(&self.place).await
    }

    async fn ensure_following(&self) -> Result<String, Trouble> {
        let (session, sentence) = follow::ensure_following(&self.place).await?;
        if self.alive().is_none() {
            self.keep(session);
        }
        Ok(sentence)
    }

    async fn ensure_not_following(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        running::ensure_stopped(&self.place).await
    }

    async fn behind(&self, position: &Position) -> Result<Option<Lag>, Trouble> {
        let measured = async { follow::behind(&*self.session().await?, &self.place, position).await };
        if let Ok(Some(lag)) = measured.await {
            return Ok(Some(lag));
        }
        follow::refuse_dead(&self.place).await?;
        Ok(None)
    }

    async fn polish(&self) -> Result<String, Trouble> {
        let leader = connect::admin(&self.other(), running::timeouts(&self.place)).await?;
        polish::polish(&leader, &*self.session().await?, &self.place).await
    }

    async fn open_window(&self, attempt: u32) -> Result<Box<dyn Window>, Trouble> {
        let switch = self.switch.borrow_mut().take();
        let switch = switch.ok_or_else(|| Trouble::bug("the dead-man's switch was not made beforehand"))?;
        Ok(Box::new(window::open(&self.place, switch, attempt).await?))
    }

    async fn ensure_connected(&self) -> Result<(), Trouble> {
        let session = self.session().await?;
        match self.place.side {
            Side::V1 => self.leader_connected(&session).await,
            Side::V2 => self.follower_connected(&session).await,
        }
    }

    /// In a restart it is read-only still.
    async fn ensure_turns_away(&self) -> Result<bool, Trouble> {
        door::ensure_shut(&*self.session().await?).await?;
        Ok(true)
    }

    async fn ensure_given_back(&self) -> Result<(), Trouble> {
        self.switch.replace(None);
        let kept: Vec<Rc<Session>> = self.alive().into_iter().collect();
        give_back::ensure_given_back(&self.place, &kept).await
    }

    async fn ensure_listener_let_go(&self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn has_applied(&self, position: &Position) -> Result<bool, Trouble> {
        follow::has_applied(&*self.session().await?, &self.place, position).await
    }

    async fn ensure_promoted(&self) -> Result<String, Trouble> {
        promote::ensure_promoted(&*self.session().await?, &self.place).await
    }

    async fn ensure_demoted(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        if connect::is_gone(&self.place).await? {
            self.place.tell.warning("V2's container is gone: there is nothing that could follow again");
            return Ok(());
        }
        let (session, _) = follow::ensure_following(&self.place).await?;
        self.keep(session);
        Ok(())
    }

    async fn ensure_open(&self) -> Result<(), Trouble> {
        open::ensure_open(&*self.session().await?, &self.place).await
    }

    async fn ensure_open_lasts(&self) -> Result<(), Trouble> {
        let events = self.events.borrow().clone();
        open::ensure_lasts(&*self.session().await?, &self.place, &events).await
    }

    async fn probe(&self, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
        // No copy of ours takes it along.
        probe::open(&self.place, self.session().await?, at, "@@server_uuid").await
    }

    async fn ensure_snapshot_kept(&self) -> Result<(), Trouble> {
        let Some(view) = self.view.borrow_mut().take() else { return Ok(()) };
        self.kept.replace(Some(view.begin().await?));
        Ok(())
    }

    async fn ensure_ended(&self) -> Result<(), Trouble> {
        self.ensure_not_following().await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble> {
        let kept = self.kept.borrow_mut().take();
        if let Some(kept) = kept {
            return Ok(Some(kept.listed().await?));
        }
        if self.place.side == Side::V2 {
            return Ok(None);
        }
        way_back::ensure_door_open(&self.place, self.alive()).await?;
        Ok(Some(self.view().await?))
    }

    async fn ensure_way_back(&self) -> Result<Result<String, String>, Trouble> {
        let kept = self.alive();
        let way_back = way_back::ensure_way_back(&self.place, kept).await;
        self.forget_sessions();
        way_back
    }

    async fn ensure_clean(&self, keep_following: bool) -> Result<(), Trouble> {
        self.forget_sessions();
        clean::ensure_clean(&self.place, keep_following).await
    }

    async fn view(&self) -> Result<Box<dyn Snapshot>, Trouble> {
        self.new_view().await?.begin().await?.listed().await
    }

    async fn state(&self) -> ServerState {
        state::state(&self.place).await
    }
}
