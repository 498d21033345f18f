//! [`Server`] for PostgreSQL: one side, its kept sessions, and who does what.

use std::cell::RefCell;
use std::rc::Rc;

use async_trait::async_trait;

use super::hold::{self, Signaller};
use super::seed::{self, Seed};
use super::session::{Session, Timeouts};
use super::snapshot::{Kept, Views};
use super::{
    checks, clean, connect, door, follow, give_back, health, names, one_run, open, polish, prepare, probe, promote,
    said, state, successor, way_back, window,
};
use crate::engine::{Address, Check, Lag, Place, Position, Probe, Seeded, Server, ServerState, Side, Snapshot, Window};
use crate::trouble::Trouble;

pub(super) struct PgServer {
    pub(super) place: Place,
    /// Opened beforehand, so that the window opens none; opened again where it was lost.
    session: RefCell<Option<Rc<Session>>>,
    signaller: RefCell<Option<Rc<Signaller>>>,
    /// Sessions for a view of the data, opened beforehand.
    views: RefCell<Option<Views>>,
    /// The view, once it has begun.
    kept: RefCell<Option<Kept>>,
}

impl PgServer {
    pub(super) fn new(place: Place) -> PgServer {
        PgServer {
            place,
            session: RefCell::default(),
            signaller: RefCell::default(),
            views: RefCell::default(),
            kept: RefCell::default(),
        }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts::short(self.place.plan.limits.statement.0)
    }

    pub(super) fn alive(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone().filter(|session| session.is_alive())
    }

    pub(super) async fn session(&self) -> Result<Rc<Session>, Trouble> {
        if let Some(session) = self.alive() {
            return Ok(session);
        }
        Ok(self.keep(connect::admin(&self.place, "switchover", self.timeouts()).await?))
    }

    pub(super) fn keep(&self, session: Session) -> Rc<Session> {
        let session = Rc::new(session);
        self.session.replace(Some(Rc::clone(&session)));
        session
    }

    pub(super) fn forget_sessions(&self) {
        self.session.replace(None);
        self.views.replace(None);
        self.kept.replace(None);
    }

    pub(super) fn other(&self) -> Place {
        Place { side: self.place.side.other(), ..self.place.clone() }
    }

    /// The leader's part of being ready: no other run is at it, and something can hold its listener.
    pub(super) async fn leader_connected(&self, session: &Session) -> Result<(), Trouble> {
        one_run::ensure_alone(session, &self.place).await?;
        if self.signaller.borrow().is_none() {
            let container = connect::container(&self.place).await?;
            let signaller = hold::signaller(&self.place, &container).await?;
            self.signaller.replace(signaller.map(Rc::new));
        }
        Ok(())
    }

    /// The follower's: files that `open` renames, sessions for the view, and a slot of its own, as V1 will need its log
    /// from before the promotion on. An older one is let go first: it would keep the log since then.
    async fn follower_connected(&self, session: &Session) -> Result<(), Trouble> {
        // It is about to stand on the clients' network.
        if door::knock(&self.place).await? == door::Answer::Open {
            return Err(Trouble::failed("V2 lets clients in, although it is not to serve yet"));
        }
        open::make_ready(&self.place).await?;
        let slot = names::slot(&self.place.plan);
        prepare::ensure_no_slot(session, &self.place, &slot).await?;
        prepare::ensure_slot(session, &slot).await?;
        self.ensure_views().await
    }

    /// Sessions for a view of the data, where there is to be one.
    pub(super) async fn ensure_views(&self) -> Result<(), Trouble> {
        let missing = !self.views.borrow().as_ref().is_some_and(Views::are_alive);
        if self.place.plan.verify && missing {
            let views = Views::open(&self.place).await?;
            self.views.replace(Some(views));
        }
        Ok(())
    }

    /// The view that was kept, if this process kept one.
    pub(super) async fn kept_view(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble> {
        let kept = self.kept.borrow_mut().take();
        match kept {
            Some(kept) => Ok(Some(kept.listed().await?)),
            None => Ok(None),
        }
    }
}

#[async_trait(?Send)]
impl Server for PgServer {
    async fn recheck(&self) -> Result<Vec<Check>, Trouble> {
        let session = match self.alive() {
            Some(session) => session,
            None => Rc::new(connect::either(&self.place, self.timeouts()).await?),
        };
        Ok(checks::again(&said::moving(&session).await?, &self.place.plan))
    }

    async fn ensure_restarted(&self) -> Result<String, Trouble> {
        Ok("V1 needs no restart".into())
    }

    async fn ensure_restart_forgotten(&self) -> Result<(), Trouble> {
        Ok(())
    }

    async fn ensure_followable(&self) -> Result<String, Trouble> {
        let sentence = prepare::ensure_followable(&self.place).await?;
        one_run::ensure_alone(&*self.session().await?, &self.place).await?;
        Ok(sentence)
    }

    async fn ensure_unfollowable(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        let Some(place) = successor::of_v1(&self.place).await? else { return Ok(()) };
        prepare::ensure_unfollowable(&place).await?;
        if place.plan.v1.id == self.place.plan.v1.id {
            return Ok(());
        }
        place.runtime.ensure_left(&place.plan.v1.id, &place.plan.private_network).await
    }

    async fn position(&self) -> Result<Position, Trouble> {
        prepare::written(&*self.session().await?).await
    }

    async fn ensure_seeded(&self) -> Result<Seeded, Trouble> {
        match Seed::of(&self.place.plan) {
            Seed::Copy => seed::copy::ensure_seeded(&self.place).await,
            Seed::Volume => seed::volume::ensure_seeded(&self.place).await,
        }
    }

    async fn ensure_unseeded(&self) -> Result<(), Trouble> {
        seed::copy::ensure_unseeded(&self.place).await
    }

    async fn ensure_following(&self) -> Result<String, Trouble> {
        if promote::is_stray(&self.place).await? {
            self.ensure_demoted().await?;
        }
        let (session, sentence) = follow::ensure_following(&self.place).await?;
        if self.alive().is_none() {
            self.keep(session);
        }
        Ok(match health::ensure_healthy(&self.place).await? {
            Some(health) => format!("{sentence}; {health}"),
            None => sentence,
        })
    }

    async fn ensure_not_following(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        follow::ensure_not_following(&self.place).await
    }

    async fn behind(&self, position: &Position) -> Result<Option<Lag>, Trouble> {
        let measured = async { follow::behind(&*self.session().await?, position).await };
        if let Ok(Some(lag)) = measured.await {
            Ok(Some(lag))
        } else {
            follow::refuse_dead(&self.place).await?;
            Ok(None)
        }
    }

    async fn polish(&self) -> Result<String, Trouble> {
        let leader = connect::admin(&self.other(), "switchover", self.timeouts()).await?;
        polish::polish(&leader, &*self.session().await?, &self.place).await
    }

    async fn open_window(&self, attempt: u32) -> Result<Box<dyn Window>, Trouble> {
        let signaller = self.signaller.borrow().clone();
        Ok(Box::new(window::open(&self.place, signaller, attempt).await?))
    }

    async fn ensure_connected(&self) -> Result<(), Trouble> {
        let session = self.session().await?;
        match self.place.side {
            Side::V1 => self.leader_connected(&session).await,
            Side::V2 => self.follower_connected(&session).await,
        }
    }

    async fn ensure_given_back(&self) -> Result<(), Trouble> {
        match successor::of_v1(&self.place).await? {
            Some(place) => give_back::ensure_given_back(&place, self.alive()).await?,
            None => return Ok(()),
        }
        // An order to it that is still on its way finds nobody, or is undone.
        if self.signaller.take().is_some() {
            hold::ensure_no_signaller(&self.place).await?;
            let container = connect::container(&self.place).await?;
            hold::let_go(&self.place, &container, connect::data(&self.place)).await?;
        }
        Ok(())
    }

    async fn ensure_listener_let_go(&self) -> Result<(), Trouble> {
        let container = connect::container(&self.place).await?;
        hold::let_refuse(&self.place, &container, connect::data(&self.place)).await
    }

    async fn has_applied(&self, position: &Position) -> Result<bool, Trouble> {
        follow::has_applied(&*self.session().await?, position).await
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
        let session = promote::ensure_demoted(&self.place).await?;
        self.keep(session);
        Ok(())
    }

    async fn ensure_open(&self) -> Result<(), Trouble> {
        open::ensure_open(&*self.session().await?, &self.place).await
    }

    async fn probe(&self, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
        probe::open(&self.place, self.session().await?, at).await
    }

    async fn ensure_snapshot_kept(&self) -> Result<(), Trouble> {
        let Some(views) = self.views.borrow_mut().take() else { return Ok(()) };
        let kept = views.begin().await?;
        self.kept.replace(Some(kept));
        Ok(())
    }

    async fn ensure_ended(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        way_back::ensure_ended(&self.place).await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble> {
        let kept = self.kept_view().await?;
        if kept.is_some() || self.place.side == Side::V2 {
            return Ok(kept);
        }
        self.forget_sessions();
        let session = way_back::ensure_still(&self.place).await?;
        self.keep(session);
        Ok(Some(Views::open(&self.place).await?.begin().await?.listed().await?))
    }

    async fn ensure_way_back(&self) -> Result<Result<String, String>, Trouble> {
        self.forget_sessions();
        way_back::ensure_way_back(&self.place).await
    }

    async fn ensure_clean(&self, keep_following: bool) -> Result<(), Trouble> {
        self.forget_sessions();
        clean::ensure_clean(&self.place, keep_following).await
    }

    async fn view(&self) -> Result<Box<dyn Snapshot>, Trouble> {
        Views::open(&self.place).await?.begin().await?.listed().await
    }

    async fn state(&self) -> ServerState {
        state::state(&self.place).await
    }
}
