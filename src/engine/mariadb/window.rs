//! The window on V1: [`Window`] for MariaDB.
//!
//! The door is `max_connections`, with every place behind it taken. The fence is the global read lock, which holds
//! whoever writes; `read_only` comes with the fence that lasts, and says so to the switch. All of it is in memory until `disarm`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;

use super::before::Before;
use super::sessions::{TRANSACTIONS, idle_or_busy};
use super::{lasting, position};
use crate::engine::mysql_family::connect::{self, Session, Timeouts, Turned, code_of, turned};
use crate::engine::mysql_family::locks::{self, Known};
use crate::engine::mysql_family::sessions::{self, Others};
use crate::engine::mysql_family::switch::Switch;
use crate::engine::mysql_family::{door, names, running};
use crate::engine::mysql_wire::quote::qualified;
use crate::engine::{Place, Position, SessionsEnded, Window};
use crate::trouble::Trouble;
use crate::wait::Deadline;

/// What a statement of ours raises where no switch is armed.
const RAISED: u16 = 1644;

/// A lock was not to be had in time.
const LATE: u16 = 1205;

pub(super) struct MariadbWindow {
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

pub(super) async fn open(place: &Place, switch: Rc<Switch>, attempt: u32) -> Result<MariadbWindow, Trouble> {
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    let fencing = connect::admin(place, timeouts).await?;
    let ending = connect::admin(place, timeouts).await?;
    let known = locks::ensure_known(place, &[&fencing, &ending]).await?;
    if fencing.text("SELECT @@GLOBAL.read_only").await?.as_deref() != Some("0") {
        return Err(Trouble::failed("V1 is read-only already").hint("`switchover resume` gives V1 back first"));
    }
    Ok(MariadbWindow {
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

impl MariadbWindow {
    async fn set(&self, name: &str, value: &str) -> Result<(), Trouble> {
        locks::set(&self.fencing, &self.lock, "GLOBAL", name, value).await
    }

    fn others(&self) -> Others<'_> {
        Others {
            session: &self.ending,
            query: idle_or_busy(&self.place.plan),
            monitor: Some(TRANSACTIONS),
            spared: self.known.iter().map(|known| u64::from(known.id)).chain([self.switch.id]).collect(),
            lock: &self.lock,
            cap: self.cap.get(),
            tell: &self.place.tell,
        }
    }

    /// One statement, too, that first sees the switch armed.
    async fn lock_everything(&self) -> Result<(), Trouble> {
        let sql = format!(
            "BEGIN NOT ATOMIC IF {} THEN FLUSH TABLES WITH READ LOCK; \
             ELSE SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not armed'; END IF; END",
            locks::armed(&self.lock)
        );
        match self.fencing.run(&sql).await {
            Err(trouble) if code_of(&trouble) == Some(RAISED) => Err(locks::not_armed()),
            other => other,
        }
    }

    async fn prove_refused(&self) -> Result<(), Trouble> {
        match connect::admin(&self.place, running::timeouts(&self.place)).await {
            Err(trouble) if turned(&trouble) == Some(Turned::Full) => Ok(()),
            Err(trouble) => Err(Trouble::failed("V1 was to refuse a session, and does not answer").because(trouble)),
            Ok(_) => Err(Trouble::failed("V1 still lets new sessions in")),
        }
    }

    /// A write by an account with every right is held up, and given up at once.
    async fn prove_locked(&self) -> Result<(), Trouble> {
        let schema = names::schema(&self.place.plan);
        let write =
            format!("SET STATEMENT lock_wait_timeout = 0 FOR DELETE FROM {} WHERE n = 0", qualified(&schema, &schema));
        match self.ending.run(&write).await {
            Err(trouble) if code_of(&trouble) == Some(LATE) => Ok(()),
            Err(trouble) => Err(Trouble::failed("V1's fence cannot be proven").because(trouble)),
            Ok(()) => Err(Trouble::failed("somebody has lifted V1's fence: a write went through")),
        }
    }
}

#[async_trait(?Send)]
impl Window for MariadbWindow {
    async fn arm(&self, cap: Duration) -> Result<(), Trouble> {
        self.cap.set(cap);
        self.switch.arm(cap, &self.lock, &self.known).await
    }

    async fn shut_door(&self) -> Result<(), Trouble> {
        if self.shut.get() {
            return Ok(());
        }
        self.set("max_connections", &door::least(true).to_string()).await?;
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
            self.set("event_scheduler", "'OFF'").await?;
        }
        let mut ended = BTreeMap::new();
        let end_of_grace = Deadline::after(grace);
        let others = self.others();
        others.end(false, end_of_grace, &mut ended).await?;
        // Together: what holds the fence up is ended beside it.
        let (fenced, gone) = join(self.lock_everything(), others.end(true, end_of_grace, &mut ended)).await;
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

    /// The mark in memory last: before it the switch still gives V1 back.
    async fn make_fence_durable(&self) -> Result<(), Trouble> {
        lasting::ensure(&self.place).await?;
        self.set("read_only", "1").await
    }

    async fn fence_in_force(&self) -> Result<(), Trouble> {
        let sql = format!("SELECT @@GLOBAL.read_only = 1 AND {}", door::is_shut(true));
        if self.fencing.number(&sql).await? != Some(1) {
            return Err(Trouble::failed("somebody has lifted V1's fence"));
        }
        self.prove_locked().await
    }

    async fn look(&self, since: &Position) -> Result<(), Trouble> {
        locks::still_armed(&self.ending, &self.lock).await?;
        self.others().refuse_any().await?;
        sessions::none_prepared(&self.ending).await?;
        if position::read(since)? == position::now(&self.fencing).await? {
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
