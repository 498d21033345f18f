//! The window on V1: [`Window`] for MySQL.
//!
//! The door is `max_connections`: with the run's own sessions on V1 there is no place left, not even for an account with every
//! right. The fence is `super_read_only`, which holds everybody; both are in memory until `disarm`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;

use super::before::Before;
use super::connect::{self, Session, Timeouts, Turned, turned};
use super::names;
use super::said::pairs;
use super::switch::{self, Known, Switch, guarded};
use super::{position, prepare, sessions};
use crate::engine::mysql_wire::quote::literal;
use crate::engine::{Place, Position, SessionsEnded, Window};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Deadline, Limit, Look, Wait};

/// How often the window looks.
const SOON: Duration = Duration::from_millis(2);

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
    let mut known = Vec::new();
    for (n, session) in (1..).zip([&fencing, &ending]) {
        let lock = switch::session_lock(place, n);
        if session.text(&format!("SELECT GET_LOCK({}, 5)", literal(&lock))).await?.as_deref() != Some("1") {
            return Err(Trouble::failed("a session of an earlier attempt is still on V1"));
        }
        known.push(Known { id: session.id(), lock });
    }
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
    /// Sets a variable in one statement that first sees this attempt's switch armed.
    async fn set(&self, how: &str, name: &str, value: &str) -> Result<(), Trouble> {
        let sql = format!("SET {how} {name} = {}", guarded(&self.lock, value));
        match self.fencing.run(&sql).await {
            Err(trouble) if connect::code_of(&trouble) == Some(1242) => Err(not_armed()),
            other => other,
        }
    }

    async fn still_armed(&self) -> Result<(), Trouble> {
        let sql = format!("SELECT {}", switch::armed(&self.lock));
        match self.ending.text(&sql).await?.as_deref() {
            Some("1") => Ok(()),
            _ => Err(not_armed()),
        }
    }

    /// Connection and whether it is idle. One whose transaction is open is not.
    async fn foreign(&self) -> Result<Vec<(u64, bool)>, Trouble> {
        let sql = format!(
            "SELECT t.processlist_id, IF(t.processlist_command = 'Sleep' AND e.thread_id IS NULL, 'idle', 'busy') \
             FROM performance_schema.threads AS t LEFT JOIN performance_schema.events_transactions_current AS e \
             ON e.thread_id = t.thread_id AND e.state = 'ACTIVE' WHERE {}",
            sessions::foreign(&self.place.plan)
        );
        let ours: Vec<u64> = self.known.iter().map(|known| u64::from(known.id)).collect();
        let found = pairs(&self.ending, &sql).await?.into_iter();
        let found = found.filter_map(|(id, how)| Some((id.parse().ok()?, how == "idle")));
        Ok(found.filter(|(id, _)| !ours.contains(id) && *id != self.switch.id).collect())
    }

    /// Ends all of them, or only those that are idle, until none is left or the time is over. Says whether none is left.
    async fn end_some(&self, all: bool, until: Deadline, ended: &mut BTreeMap<u64, bool>) -> Result<bool, Trouble> {
        let wait = Wait {
            what: "V1's sessions to end",
            limit: Limit { name: "limits.cutover", value: self.cap.get() },
            every: SOON,
            kind: Kind::Failed,
        };
        wait::until(wait, &self.place.tell, async || {
            self.still_armed().await?;
            let foreign = self.foreign().await?;
            if foreign.is_empty() {
                return Ok(Look::Done(true));
            }
            for (id, idle) in &foreign {
                if *idle || all {
                    ended.entry(*id).or_insert(*idle);
                    sessions::end(&self.ending, *id).await?;
                }
            }
            if !all && until.is_over() {
                return Ok(Look::Done(false));
            }
            Ok(Look::NotYet(format!("{} sessions are still on V1", foreign.len())))
        })
        .await
    }

    async fn prove_refused(&self) -> Result<(), Trouble> {
        match connect::admin(&self.place, prepare::timeouts(&self.place)).await {
            Err(trouble) if turned(&trouble) == Some(Turned::Full) => Ok(()),
            Err(trouble) => Err(Trouble::failed("V1 was to refuse a session, and does not answer").because(trouble)),
            Ok(_) => Err(Trouble::failed("V1 still lets new sessions in")),
        }
    }

    async fn none_prepared(&self) -> Result<(), Trouble> {
        match self.ending.rows("XA RECOVER").await?.len() {
            0 => Ok(()),
            n => {
                Err(Trouble::failed(format!("{n} prepared transactions (XA) are open on V1: no fence holds them back"))
                    .hint("XA COMMIT or XA ROLLBACK each, on V1"))
            }
        }
    }
}

fn not_armed() -> Trouble {
    Trouble::failed("the dead-man's switch of this attempt is no longer armed: V1 has been given back to its clients")
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
        self.set("GLOBAL", "max_connections", "1").await?;
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
        self.end_some(false, end_of_grace, &mut ended).await?;
        // Together: what holds the fence up is ended beside it.
        let fence = self.set("GLOBAL", "super_read_only", "1");
        let (fenced, gone) = join(fence, self.end_some(true, end_of_grace, &mut ended)).await;
        fenced?;
        gone?;
        let count = |idle| u32::try_from(ended.values().filter(|was| **was == idle).count()).unwrap_or(u32::MAX);
        Ok(SessionsEnded { idle: count(true), in_transaction: count(false) })
    }

    async fn written(&self) -> Result<Position, Trouble> {
        self.still_armed().await?;
        self.none_prepared().await?;
        Ok(position::position(&position::now(&self.fencing).await?))
    }

    async fn take_lock(&self) -> Result<(), Trouble> {
        let sql = format!("SELECT IF({}, GET_LOCK({}, 0), 0)", switch::armed(&self.lock), switch::window_lock());
        match self.fencing.text(&sql).await?.as_deref() {
            Some("1") => Ok(()),
            _ => Err(Trouble::failed("the dead-man's switch has the window's lock: V1 is being given back")),
        }
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
        self.still_armed().await?;
        match self.foreign().await?.len() {
            0 => {}
            n => return Err(Trouble::failed(format!("{n} sessions got onto V1 after the fence"))),
        }
        self.none_prepared().await?;
        let (then, now) = (position::read(since)?, position::now(&self.fencing).await?);
        if then.set == now.set && then.offset == now.offset && then.file == now.file {
            return Ok(());
        }
        Err(Trouble::failed("V1 has written something since its last write was read")
            .hint("FLUSH statements and commits of prepared transactions pass every fence: see who runs them"))
    }

    async fn end_switch(&self) -> Result<(), Trouble> {
        sessions::end(&self.fencing, self.switch.id).await?;
        let gone = format!("SELECT COUNT(*) FROM performance_schema.threads WHERE processlist_id = {}", self.switch.id);
        let wait = Wait {
            what: "the dead-man's switch to be gone",
            limit: Limit { name: "limits.statement", value: Duration::from_secs(5) },
            every: Duration::from_millis(1),
            kind: Kind::Failed,
        };
        wait::until(wait, &self.place.tell, async || match self.fencing.number(&gone).await? {
            Some(0) => Ok(Look::Done(())),
            _ => Ok(Look::NotYet("its session is still there".into())),
        })
        .await
    }

    async fn let_listener_go(&self) -> Result<(), Trouble> {
        Ok(())
    }
}
