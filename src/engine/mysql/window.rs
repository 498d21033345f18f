//! The window on V1: [`Window`] for MySQL.
//!
//! The door is `max_connections`, with every place behind it taken. The fence is `super_read_only`, which holds everybody; both
//! are in memory until `disarm`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;

use super::before::Before;
use super::position;
use super::sessions::idle_or_busy;
use crate::engine::mysql_family::connect::{self, Session, Timeouts, Turned, turned};
use crate::engine::mysql_family::locks::{self, Known};
use crate::engine::mysql_family::sessions::{self, Others};
use crate::engine::mysql_family::switch::Switch;
use crate::engine::mysql_family::{door, names, running};
use crate::engine::{Place, Position, SessionsEnded, Window};
use crate::trouble::Trouble;
use crate::wait::Deadline;

pub(super) struct MysqlWindow {
    place: Place,
    before: Before,
    lock: String,
    /// Both opened before the fence and never again: that they live is part of the proof.
    fencing: Session,
    /// Beside it, as a fence may wait for those that are to be ended.
    ending: Session,
    switch: Rc<Switch>,
    cap: Cell<Duration>,
    shut: Cell<bool>,
    known: Vec<Known>,
}

pub(super) async fn open(place: &Place, switch: Rc<Switch>, attempt: u32) -> Result<MysqlWindow, Trouble> {
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    let fencing = connect::admin(place, timeouts).await?;
    let ending = connect::admin(place, timeouts).await?;
    let known = locks::ensure_known(place, &[&fencing, &ending]).await?;
    let writable = fencing.text("SELECT @@GLOBAL.super_read_only + @@GLOBAL.read_only").await?;
    if writable.as_deref() != Some("0") {
        return Err(Trouble::failed("V1 is read-only already").hint("`switchover resume` gives V1 back first"));
    }
    Ok(MysqlWindow {
        before: Before::of(&place.plan)?,
        lock: names::armed_lock(&place.plan, attempt),
        place: place.clone(),
        fencing,
        ending,
        switch,
        cap: Cell::new(Duration::ZERO),
        shut: Cell::new(false),
        known,
    })
}

impl MysqlWindow {
    async fn set(&self, how: &str, name: &str, value: &str) -> Result<(), Trouble> {
        locks::set(&self.fencing, &self.lock, how, name, value).await
    }

    fn others(&self) -> Others<'_> {
        Others {
            session: &self.ending,
            query: idle_or_busy(&self.place.plan),
            monitor: None,
            spared: self.known.iter().map(|known| u64::from(known.id)).chain([self.switch.id]).collect(),
            lock: &self.lock,
            cap: self.cap.get(),
            tell: &self.place.tell,
        }
    }

    async fn prove_refused(&self) -> Result<(), Trouble> {
        match connect::admin(&self.place, running::timeouts(&self.place)).await {
            Err(trouble) if turned(&trouble) == Some(Turned::Full) => Ok(()),
            Err(trouble) => Err(Trouble::failed("V1 was to refuse a session, and does not answer").because(trouble)),
            Ok(_) => Err(Trouble::failed("V1 still lets new sessions in")),
        }
    }
}

#[async_trait(?Send)]
impl Window for MysqlWindow {
    async fn arm(&self, cap: Duration) -> Result<(), Trouble> {
        self.cap.set(cap);
        self.switch.arm(cap, &self.lock, &self.known).await
    }

    async fn shut_door(&self) -> Result<(), Trouble> {
        if self.shut.get() {
            return Ok(());
        }
        self.set("GLOBAL", "max_connections", &door::least(false).to_string()).await?;
        self.prove_refused().await?;
        self.shut.set(true);
        Ok(())
    }

    /// Its server is one process: a stopped listener would be a stopped server.
    async fn hold_listener(&self) -> Result<bool, Trouble> {
        Ok(false)
    }

    async fn end_sessions(&self, grace: Duration) -> Result<SessionsEnded, Trouble> {
        if self.before.serving.event_scheduler == "ON" {
            self.set("GLOBAL", "event_scheduler", "'OFF'").await?;
        }
        let mut ended = BTreeMap::new();
        let end_of_grace = Deadline::after(grace);
        let others = self.others();
        others.end(false, end_of_grace, &mut ended).await?;
        // Together: what holds the fence up is ended beside it.
        let fence = self.set("GLOBAL", "super_read_only", "1");
        let (fenced, gone) = join(fence, others.end(true, end_of_grace, &mut ended)).await;
        fenced?;
        gone?;
        Ok(sessions::counted(&ended))
    }

    async fn written(&self) -> Result<Position, Trouble> {
        locks::still_armed(&self.ending, &self.lock).await?;
        sessions::none_prepared(&self.ending).await?;
        Ok(position::position(&position::now(&self.fencing).await?))
    }

    async fn take_lock(&self) -> Result<(), Trouble> {
        locks::take(&self.fencing, &self.lock).await
    }

    async fn make_fence_durable(&self) -> Result<(), Trouble> {
        self.set("PERSIST", "super_read_only", "1").await?;
        let sql = "SELECT COUNT(*) FROM performance_schema.persisted_variables \
                   WHERE variable_name = 'super_read_only' AND variable_value = 'ON'";
        match self.fencing.number(sql).await? {
            Some(1) => Ok(()),
            _ => Err(Trouble::failed("V1's durable fence was not found where it was written")),
        }
    }

    /// It is in force since `fence`; the door too.
    async fn fence_in_force(&self) -> Result<(), Trouble> {
        let now = self.fencing.text("SELECT CONCAT(@@GLOBAL.super_read_only, ' ', @@GLOBAL.max_connections)").await?;
        match now.as_deref() {
            Some("1 1") => Ok(()),
            _ => Err(Trouble::failed("somebody has lifted V1's fence")),
        }
    }

    async fn look(&self, since: &Position) -> Result<(), Trouble> {
        locks::still_armed(&self.ending, &self.lock).await?;
        self.others().refuse_any().await?;
        sessions::none_prepared(&self.ending).await?;
        let (then, now) = (position::read(since)?, position::now(&self.fencing).await?);
        if then.set == now.set && then.offset == now.offset && then.file == now.file {
            return Ok(());
        }
        Err(Trouble::failed("V1 has written something since its last write was read")
            .hint("FLUSH statements and commits of prepared transactions pass every fence: see who runs them"))
    }

    async fn end_switch(&self) -> Result<(), Trouble> {
        sessions::ensure_gone(&self.fencing, self.switch.id, &self.place.tell).await
    }

    async fn let_listener_go(&self) -> Result<(), Trouble> {
        Ok(())
    }
}
