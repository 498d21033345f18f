//! [`Server`] for the method `logical`: what differs from streaming; the rest is [`PgServer`]'s.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use async_trait::async_trait;

use super::databases::{self, Open};
use super::promote::{self, Ready};
use super::{
    follow, large, polish, publish, restart, schema, seed, sequences, settings, triggers, unlogged, views, way_back,
};
use crate::engine::postgres::server::PgServer;
use crate::engine::postgres::session::Session;
use crate::engine::postgres::{connect, door, files, health, open, position, successor};
use crate::engine::{Address, Check, Lag, Place, Position, Probe, Seeded, Server, ServerState, Side, Snapshot, Window};
use crate::trouble::{Kind, Trouble};

pub(in super::super) struct LogicalServer {
    base: PgServer,
    /// On the other side, where it is asked how far this one has got.
    leader: RefCell<Option<Rc<Session>>>,
    /// In each database of this side.
    all: RefCell<Vec<Open>>,
    ready: RefCell<Option<Ready>>,
    /// How often in a row a change could not be applied.
    stuck: Cell<u32>,
}

/// A change that cannot be applied is tried so often again, after V2 was given what V1's schema has got since.
const TRIES: u32 = 3;

impl LogicalServer {
    pub(in super::super) fn new(place: Place) -> LogicalServer {
        LogicalServer {
            base: PgServer::new(place),
            leader: RefCell::default(),
            all: RefCell::default(),
            ready: RefCell::default(),
            stuck: Cell::default(),
        }
    }

    fn place(&self) -> &Place {
        &self.base.place
    }

    async fn leader(&self) -> Result<Rc<Session>, Trouble> {
        if let Some(session) = self.leader.borrow().clone().filter(|session| session.is_alive()) {
            return Ok(session);
        }
        let session = Rc::new(connect::admin(&self.base.other(), "switchover", self.base.timeouts()).await?);
        self.leader.replace(Some(Rc::clone(&session)));
        Ok(session)
    }

    async fn all(&self) -> Result<Vec<Open>, Trouble> {
        let kept = self.all.borrow().clone();
        if !kept.is_empty() && kept.iter().all(|open| open.session.is_alive()) {
            return Ok(kept);
        }
        let all = databases::open(self.place(), "switchover", self.base.timeouts()).await?;
        self.all.replace(all.clone());
        Ok(all)
    }

    fn forget_sessions(&self) {
        self.base.forget_sessions();
        self.leader.replace(None);
        self.all.replace(Vec::new());
        self.ready.replace(None);
    }

    /// The follower's part of being ready: everything that the window needs is open and known.
    async fn follower_connected(&self, session: &Session) -> Result<(), Trouble> {
        let place = self.place();
        // It is about to stand on the clients' network.
        if door::knock(place).await? == door::Answer::Open {
            return Err(Trouble::failed("V2 lets clients in, although it is not to serve yet"));
        }
        make_ready(place).await?;
        publish::ensure_published(place).await?;
        publish::ensure_no_slots(place, session).await?;
        let (leader, follower) =
            (databases::open(&self.base.other(), "switchover", self.base.timeouts()).await?, self.all().await?);
        // In this order: what changes after the one is seen by the other.
        let catalogs = promote::catalogs(&leader).await?;
        publish::refuse_unpublished(place, &leader).await?;
        schema::refuse_changed(place, &self.base.other(), &leader).await?;
        schema::keep_own(place, &follower).await?;
        let large = large::ensure_carried(place, &leader).await?.for_the_window(place).await?;
        large::keep_own(place, &follower).await?;
        let (views, _) = views::ensure_refreshed(place, &leader, &follower).await?;
        let sequences = sequences::ready(&self.base.other(), &leader, &follower).await?;
        let triggers = triggers::read(place).await?;
        let unlogged = unlogged::open(place, &leader, &follower).await?;
        self.leader().await?;
        let reading = RefCell::default();
        let ready = Ready { leader, follower, sequences, triggers, unlogged, large, views, catalogs, reading };
        self.ready.replace(Some(ready));
        self.base.ensure_views().await
    }
}

/// V1's access rules, and V2's own settings without what it has while it follows.
async fn make_ready(place: &Place) -> Result<(), Trouble> {
    let own = files::text(place, "postgresql.auto.conf").await?;
    let original = crate::engine::postgres::auto_conf::without_ours(&own, &place.plan);
    let kept = settings::when_it_serves(place)?;
    open::make_ready_with(place, &crate::engine::postgres::auto_conf::with_ours(&original, &place.plan, &kept)).await
}

#[async_trait(?Send)]
impl Server for LogicalServer {
    async fn recheck(&self) -> Result<Vec<Check>, Trouble> {
        self.base.recheck().await
    }

    async fn ensure_restarted(&self) -> Result<String, Trouble> {
        self.forget_sessions();
        restart::ensure_restarted(self.place()).await
    }

    async fn ensure_restart_forgotten(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        match successor::of_v1(self.place()).await? {
            Some(place) => restart::ensure_forgotten(&place).await,
            None => Ok(()),
        }
    }

    async fn ensure_followable(&self) -> Result<String, Trouble> {
        let sentence = self.base.ensure_followable().await?;
        let tables = publish::ensure_published(self.place()).await?;
        Ok(format!("{sentence}; {tables} tables are published"))
    }

    async fn ensure_unfollowable(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        if let Some(place) = successor::of_v1(self.place()).await? {
            if way_back::is_anothers(&place).await? {
                return Ok(());
            }
            restart::ensure_runs(&place).await?;
            way_back::ensure_unpublished(&place).await?;
        }
        self.base.ensure_unfollowable().await
    }

    async fn position(&self) -> Result<Position, Trouble> {
        self.base.position().await
    }

    async fn ensure_seeded(&self) -> Result<Seeded, Trouble> {
        seed::ensure_seeded(self.place()).await
    }

    async fn ensure_unseeded(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        seed::ensure_unseeded(self.place()).await
    }

    async fn ensure_following(&self) -> Result<String, Trouble> {
        let leader = self.leader().await?;
        follow::refuse_lost(self.place(), &leader).await?;
        let (all, sentence) = follow::ensure_following(self.place(), &leader, true).await?;
        self.all.replace(all);
        Ok(match health::ensure_healthy(self.place()).await? {
            Some(health) => format!("{sentence}; {health}"),
            None => sentence,
        })
    }

    async fn ensure_not_following(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        self.base.ensure_not_following().await
    }

    async fn behind(&self, position: &Position) -> Result<Option<Lag>, Trouble> {
        let (leader, all) = (self.leader().await?, self.all().await?);
        match follow::behind(self.place(), &leader, &all, position).await {
            // A new column of V1's may be what it could not apply.
            Err(trouble) if trouble.kind == Kind::NotReady && self.stuck.get() < TRIES => {
                self.stuck.set(self.stuck.get() + 1);
                follow::ensure_following(self.place(), &leader, true).await.map(|_| None)
            }
            Ok(Some(lag)) => {
                self.stuck.set(0);
                Ok(Some(lag))
            }
            unknown => unknown,
        }
    }

    async fn polish(&self) -> Result<String, Trouble> {
        let all = self.all().await?;
        make_ready(self.place()).await?;
        polish::polish(self.place(), &all).await
    }

    async fn open_window(&self, attempt: u32) -> Result<Box<dyn Window>, Trouble> {
        self.base.open_window(attempt).await
    }

    async fn ensure_connected(&self) -> Result<(), Trouble> {
        let session = self.base.session().await?;
        match self.place().side {
            Side::V1 => self.base.leader_connected(&session).await,
            Side::V2 => self.follower_connected(&session).await,
        }
    }

    async fn ensure_given_back(&self) -> Result<(), Trouble> {
        self.base.ensure_given_back().await
    }

    async fn ensure_listener_let_go(&self) -> Result<(), Trouble> {
        self.base.ensure_listener_let_go().await
    }

    async fn has_applied(&self, position: &Position) -> Result<bool, Trouble> {
        // It says which transaction is next: it was read behind the fence.
        if position::next_xid(position).is_ok()
            && let Some(ready) = &*self.ready.borrow()
        {
            ready.begin_to_read();
        }
        follow::has_applied(self.place(), &*self.leader().await?, position).await
    }

    async fn ensure_promoted(&self) -> Result<String, Trouble> {
        let session = self.base.session().await?;
        let ready = self.ready.borrow_mut().take().filter(Ready::is_alive);
        let promoted = promote::ensure_promoted(self.place(), &session, ready.as_ref()).await;
        self.ready.replace(ready);
        promoted
    }

    async fn ensure_demoted(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        let place = self.place();
        if connect::is_gone(place).await? {
            place.tell.warning("V2's container is gone: there is nothing that could follow again");
            return Ok(());
        }
        let all = follow::ensure_following_again(place).await?;
        promote::ensure_demoted(place, &*self.base.session().await?).await?;
        self.all.replace(all);
        Ok(())
    }

    async fn ensure_open(&self) -> Result<(), Trouble> {
        self.base.ensure_open().await
    }

    async fn probe(&self, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
        self.base.probe(at).await
    }

    async fn ensure_snapshot_kept(&self) -> Result<(), Trouble> {
        self.base.ensure_snapshot_kept().await
    }

    async fn ensure_ended(&self) -> Result<(), Trouble> {
        self.forget_sessions();
        self.base.ensure_ended().await
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>, Trouble> {
        let kept = self.base.kept_view().await?;
        if kept.is_some() || self.place().side == Side::V2 {
            return Ok(kept);
        }
        way_back::still(self.place()).await.map(Some)
    }

    async fn ensure_way_back(&self) -> Result<Result<String, String>, Trouble> {
        self.forget_sessions();
        way_back::ensure_way_back(self.place()).await
    }

    async fn ensure_clean(&self, keep_following: bool) -> Result<(), Trouble> {
        self.forget_sessions();
        way_back::ensure_unsubscribed(self.place()).await?;
        if !keep_following {
            way_back::ensure_unpublished(self.place()).await?;
        }
        self.base.ensure_clean(keep_following).await
    }

    async fn view(&self) -> Result<Box<dyn Snapshot>, Trouble> {
        self.base.view().await
    }

    async fn state(&self) -> ServerState {
        self.base.state().await
    }
}
