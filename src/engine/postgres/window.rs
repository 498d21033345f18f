//! The window on V1: [`Window`] for PostgreSQL. Design §4 says why the acts stand in this order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;

use super::access::{self, Fence};
use super::before::Before;
use super::checks::Method;
use super::door;
use super::hold::Signaller;
use super::names::literal;
use super::session::{Session, Timeouts};
use super::switch::files;
use super::{connect, position, sessions, subscriptions, switch};
use crate::engine::{Place, Position, SessionsEnded, Window};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Deadline, Limit, Look, Wait};

/// How often the window looks.
const SOON: Duration = Duration::from_millis(2);

pub(super) struct PgWindow {
    place: Place,
    attempt: u32,
    /// Opened before the fence and never again: that it lives is part of the proof.
    session: Session,
    signaller: Option<Rc<Signaller>>,
    cap: Cell<Duration>,
    switch_pid: Cell<Option<i32>>,
    shut: Cell<bool>,
    held: Cell<bool>,
    /// Still authenticating when a refusal was proven: they may have been forked under the old rules.
    suspects: RefCell<Vec<i32>>,
}

/// Ends earlier switches, opens the window's session and puts the files in place that the window renames.
pub(super) async fn open(place: &Place, signaller: Option<Rc<Signaller>>, attempt: u32) -> Result<PgWindow, Trouble> {
    let statement = place.plan.limits.statement.0;
    let session = connect::admin(place, "switchover window", Timeouts::short(statement)).await?;
    switch::ensure_ended(&session, &place.plan, &place.tell).await?;
    switch::unlock(&session).await?;
    let now: String = session.value("SELECT pg_read_file('pg_hba.conf')", &[]).await?;
    if access::fence_of(&now, &place.plan) != Fence::None {
        return Err(Trouble::failed("V1's access rules are still those of a fence")
            .hint("`switchover resume` gives V1 back first"));
    }
    sessions::authenticating(&session).await?;
    copy_to(&session, files::KEEP_OPEN, "").await?;
    copy_to(&session, files::WRITE_SHUT, &access::shut(&place.plan, attempt)).await?;
    copy_to(&session, files::WRITE_DURABLE, &access::durable(&place.plan, attempt)).await?;
    Ok(PgWindow {
        place: place.clone(),
        attempt,
        session,
        signaller,
        cap: Cell::new(Duration::ZERO),
        switch_pid: Cell::new(None),
        shut: Cell::new(false),
        held: Cell::new(false),
        suspects: RefCell::default(),
    })
}

/// Hands a text to a program of ours in the server's data directory, a line a row (COPY would escape newlines).
pub(super) async fn copy_to(session: &Session, program: &str, text: &str) -> Result<(), Trouble> {
    let lines: Vec<String> = text.lines().map(literal).collect();
    let rows = match lines.as_slice() {
        [] => "SELECT 1".to_owned(),
        lines => format!("SELECT unnest(ARRAY[{}]::text[])", lines.join(",")),
    };
    session.run(&format!("COPY ({rows}) TO PROGRAM {}", literal(program))).await
}

impl PgWindow {
    /// Acts on V1 as one statement that first sees this attempt's switch armed.
    async fn guarded(&self, acts: &str) -> Result<(), Trouble> {
        let armed = switch::armed(&self.place.plan, self.attempt);
        let block = format!(
            "DO $guarded$ BEGIN IF NOT {armed} THEN \
             RAISE EXCEPTION 'the dead-man''s switch of this attempt is not armed: V1 has been given back'; \
             END IF; {acts} END $guarded$"
        );
        self.session.run(&block).await
    }

    /// A value, read only while the switch is armed.
    async fn guarded_value(&self, expression: &str) -> Result<String, Trouble> {
        let armed = switch::armed(&self.place.plan, self.attempt);
        let sql = format!("SELECT CASE WHEN {armed} THEN ({expression})::text END");
        self.session.text(&sql).await?.ok_or_else(not_armed)
    }

    /// How many foreign sessions there are now; ends all of them, or only those that are idle, and notes which. One
    /// that is dying is met by several looks and counts once.
    async fn end_some(&self, all: bool, ended: &mut BTreeMap<i32, bool>) -> Result<usize, Trouble> {
        let sql = format!(
            "SELECT coalesce(string_agg(x.pid || CASE WHEN NOT x.ended THEN ' left' WHEN x.idle THEN ' idle' ELSE ' busy' \
             END, ','), '') FROM (\
             SELECT f.pid, f.idle, CASE WHEN f.idle OR {all} THEN pg_terminate_backend(f.pid) ELSE false END AS ended \
             FROM (SELECT a.pid, a.backend_type LIKE 'logical replication%' OR coalesce(a.state = 'idle', false) AS idle \
             FROM pg_stat_activity AS a WHERE {}) AS f) AS x",
            sessions::foreign(&self.place.plan),
        );
        let found = self.guarded_value(&sql).await?;
        for session in found.split(',').filter(|session| !session.is_empty()) {
            match session.split_once(' ').map(|(pid, how)| (pid.parse(), how)) {
                Some((Ok(_), "left")) => {}
                Some((Ok(pid), how)) => _ = ended.entry(pid).or_insert(how == "idle"),
                _ => return Err(Trouble::bug(format!("cannot read a list of sessions: {found}"))),
            }
        }
        Ok(found.split(',').filter(|session| !session.is_empty()).count())
    }

    /// Processes whose rules may be the old ones. Behind a held listener nothing is forked, so all that are
    /// authenticating count; without, only those that already did when a refusal had been proven.
    async fn suspects_left(&self) -> Result<Vec<i32>, Trouble> {
        let now = sessions::authenticating(&self.session).await?;
        if self.held.get() {
            return Ok(now);
        }
        let known = self.suspects.borrow();
        Ok(now.into_iter().filter(|pid| known.contains(pid)).collect())
    }

    async fn end_suspects(&self) -> Result<(), Trouble> {
        let pids = format!("SELECT x.pid FROM ({}) AS x", sessions::AUTHENTICATING);
        let only = if self.held.get() {
            String::new()
        } else {
            let known: Vec<String> = self.suspects.borrow().iter().map(ToString::to_string).collect();
            if known.is_empty() {
                return Ok(());
            }
            format!(" WHERE x.pid IN ({})", known.join(","))
        };
        // Signals to processes that end by themselves meanwhile are no error.
        self.guarded(&format!("COPY ({pids}{only}) TO PROGRAM 'xargs -r kill -TERM 2>/dev/null; true';")).await
    }

    /// A new connection is refused by the rules in force, not only by those on disk.
    async fn prove_refused(&self) -> Result<(), Trouble> {
        let wait = Wait {
            what: "V1 to refuse new sessions",
            limit: Limit { name: "limits.statement", value: self.place.plan.limits.statement.0 },
            every: SOON,
            kind: Kind::Failed,
        };
        wait::until(wait, &self.place.tell, async || {
            Ok(match door::knock(&self.place).await? {
                door::Answer::Refused => Look::Done(()),
                door::Answer::Open => Look::NotYet("it still lets new sessions in".into()),
            })
        })
        .await?;
        let authenticating = sessions::authenticating(&self.session).await?;
        self.suspects.replace(authenticating);
        Ok(())
    }
}

fn not_armed() -> Trouble {
    Trouble::failed("the dead-man's switch of this attempt is no longer armed: V1 has been given back to its clients")
}

#[async_trait(?Send)]
impl Window for PgWindow {
    async fn arm(&self, cap: Duration) -> Result<(), Trouble> {
        let session = connect::admin(&self.place, switch::APPLICATION, Timeouts::NONE).await?;
        let pid = switch::arm(session, &self.place.plan, self.attempt, cap).await?;
        switch::ensure_asleep(&self.session, pid, &self.place.tell).await?;
        self.switch_pid.set(Some(pid));
        self.cap.set(cap);
        Ok(())
    }

    async fn shut_door(&self) -> Result<(), Trouble> {
        if self.shut.get() {
            return Ok(());
        }
        let copy = |program| format!("COPY (SELECT 1) TO PROGRAM {};", literal(program));
        self.guarded(&format!("{} PERFORM pg_reload_conf();", copy(files::SHUT))).await?;
        let proven = self.prove_refused().await;
        // From here the fence is in memory only: a restart of V1 gives it back.
        self.guarded(&copy(files::OPEN)).await?;
        proven?;
        self.shut.set(true);
        Ok(())
    }

    async fn hold_listener(&self) -> Result<bool, Trouble> {
        let Some(signaller) = &self.signaller else { return Ok(false) };
        self.guarded("NULL;").await?;
        self.held.set(signaller.stop(self.cap.get()).await?);
        Ok(self.held.get())
    }

    async fn end_sessions(&self, grace: Duration) -> Result<SessionsEnded, Trouble> {
        if let Some(statement) = subscriptions::disable(&Before::of(&self.place.plan)?) {
            self.guarded(&format!("{statement};")).await?;
        }
        let mut ended = BTreeMap::new();
        let end_of_grace = Deadline::after(grace);
        let wait = Wait {
            what: "V1's sessions to end",
            limit: Limit { name: "limits.cutover", value: self.cap.get() },
            every: SOON,
            kind: Kind::Failed,
        };
        wait::until(wait, &self.place.tell, async || {
            let foreign = self.end_some(end_of_grace.is_over(), &mut ended).await?;
            if foreign > 0 {
                return Ok(Look::NotYet(format!("{foreign} sessions are still on V1")));
            }
            let suspects = self.suspects_left().await?;
            if suspects.is_empty() {
                return Ok(Look::Done(()));
            }
            self.end_suspects().await?;
            Ok(Look::NotYet(format!("{} connections are still logging in", suspects.len())))
        })
        .await?;
        // Only where V1's log must not go past the switch: across versions V1 goes on as it is, and needs them.
        let still = self.held.get() && Method::of(&self.place.plan) == Method::Physical;
        if let (true, Some(signaller)) = (still, &self.signaller) {
            signaller.still().await?;
        }
        let count = |idle| u32::try_from(ended.values().filter(|was| **was == idle).count()).unwrap_or(u32::MAX);
        Ok(SessionsEnded { idle: count(true), in_transaction: count(false) })
    }

    /// Commits of sessions with `synchronous_commit=off` may not be flushed yet: a commit of our own flushes them,
    /// and the position is read after it.
    async fn written(&self) -> Result<Position, Trouble> {
        let run = literal(&self.place.plan.run);
        self.guarded_value(&format!("SELECT pg_logical_emit_message(true, 'switchover', {run})")).await?;
        let now = self
            .guarded_value(
                "SELECT pg_current_wal_flush_lsn() || ' ' || pg_snapshot_xmin(s) || ' ' || pg_snapshot_xmax(s) \
                 FROM pg_current_snapshot() AS s",
            )
            .await?;
        match now.split(' ').collect::<Vec<_>>()[..] {
            [lsn, oldest, next] if oldest == next => Ok(position::position(lsn, Some(next))),
            [_, oldest, next] => Err(Trouble::failed(format!(
                "a transaction is still running on V1 after the fence (oldest {oldest}, next {next})"
            ))),
            _ => Err(Trouble::bug(format!("cannot read V1's position: {now}"))),
        }
    }

    async fn take_lock(&self) -> Result<(), Trouble> {
        match self.guarded_value(&switch::try_lock()).await?.as_str() {
            "true" => Ok(()),
            _ => Err(Trouble::failed("the dead-man's switch has the window's lock: V1 is being given back")),
        }
    }

    async fn make_fence_durable(&self) -> Result<(), Trouble> {
        let program = literal(files::MAKE_DURABLE);
        self.guarded(&format!("COPY (SELECT 1) TO PROGRAM {program}; PERFORM pg_reload_conf();")).await?;
        let now: String = self.guarded_value("pg_read_file('pg_hba.conf')").await?;
        match access::fence_of(&now, &self.place.plan) {
            Fence::Ours { durable: true } => Ok(()),
            _ => Err(Trouble::failed("V1's durable fence was not found where it was written")),
        }
    }

    /// Behind a held listener the reload is queued: the server handles it before it takes the next connection.
    async fn fence_in_force(&self) -> Result<(), Trouble> {
        if self.held.get() {
            return Ok(());
        }
        self.prove_refused().await?;
        let wait = Wait {
            what: "connections that were logging in to be gone",
            limit: Limit { name: "limits.transactions", value: self.place.plan.limits.transactions.0 },
            every: SOON,
            kind: Kind::Failed,
        };
        wait::until(wait, &self.place.tell, async || {
            let left = self.suspects_left().await?;
            if left.is_empty() {
                return Ok(Look::Done(()));
            }
            self.end_suspects().await?;
            Ok(Look::NotYet(format!("{} left", left.len())))
        })
        .await
    }

    async fn look(&self, since: &Position) -> Result<(), Trouble> {
        let sql = format!(
            "SELECT count(*) || ' ' || pg_snapshot_xmin(pg_current_snapshot()) || ' ' || \
             pg_snapshot_xmax(pg_current_snapshot()) FROM pg_stat_activity AS a WHERE {}",
            sessions::foreign(&self.place.plan),
        );
        let now = self.guarded_value(&sql).await?;
        let then = position::next_xid(since)?;
        match now.split(' ').collect::<Vec<_>>()[..] {
            ["0", oldest, next] if oldest == then && next == then => {}
            ["0", _, next] => {
                return Err(Trouble::failed(format!(
                    "V1 has begun a transaction since its last write was read (next was {then}, is {next})"
                ))
                .hint(
                    "a background job of V1 may have done it: keep autovacuum off the busiest tables and try again",
                ));
            }
            [sessions, ..] => return Err(Trouble::failed(format!("{sessions} sessions got onto V1 after the fence"))),
            _ => return Err(Trouble::bug(format!("cannot read the last look at V1: {now}"))),
        }
        match self.suspects_left().await?.len() {
            0 => Ok(()),
            n => Err(Trouble::failed(format!("{n} connections were logging in on V1 after the fence"))),
        }
    }

    async fn end_switch(&self) -> Result<(), Trouble> {
        switch::ensure_ended(&self.session, &self.place.plan, &self.place.tell).await
    }

    async fn let_listener_go(&self) -> Result<(), Trouble> {
        let writers = "SELECT pid FROM pg_stat_activity \
                       WHERE backend_type IN ('background writer', 'checkpointer', 'autovacuum launcher')";
        if let Some(signaller) = &self.signaller {
            signaller.beyond().await?;
        }
        self.session.run(&format!("COPY ({writers}) TO PROGRAM {}", literal(files::CONTINUE_BEYOND))).await?;
        self.held.set(false);
        Ok(())
    }
}
