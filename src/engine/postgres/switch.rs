//! The dead-man's switch: a session on V1 that sleeps, then gives V1 back to its clients, whoever is dead.
//!
//! It runs inside the server, so it needs neither the tool nor a live listener. Switch and tool compete for one
//! advisory lock of the window; the winner acts. Cancelling it would be no proof, as the cancel may land half-way:
//! the tool, holding the lock, ends the switch's session and sees it gone.

use std::time::Duration;

use super::access;
use super::before::Before;
use super::names::{admin, literal};
use super::session::Session;
use super::{hold, sessions, subscriptions};
use crate::plan::Plan;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Shown in V1's list of sessions, and how a later attempt finds the switches of earlier ones.
pub(super) const APPLICATION: &str = "switchover switch";

/// The lock for which tool and switch compete: the same for every run and attempt. (`swit`, `wind`)
const WINDOW: (i32, i32) = (0x7377_6974, 0x7769_6e64);

/// Held by a switch's session as long as it is armed. One a run and attempt.
fn armed_key(plan: &Plan, attempt: u32) -> (i32, i32) {
    let run = u32::from_str_radix(plan.tag(), 16).unwrap_or_default();
    (run.cast_signed(), attempt.cast_signed())
}

/// Who holds an advisory lock with these keys, as a table of pids. (The list shows keys as unsigned, `objsubid` 2
/// for a pair; advisory locks belong to a database.)
fn holders((first, second): (i32, i32)) -> String {
    format!(
        "SELECT l.pid FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 \
         AND l.classid = {} AND l.objid = {} \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        first.cast_unsigned(),
        second.cast_unsigned(),
    )
}

/// A condition: this attempt's switch is armed and has not woken.
pub(super) fn armed(plan: &Plan, attempt: u32) -> String {
    format!("EXISTS ({})", holders(armed_key(plan, attempt)))
}

/// An expression: takes the window's lock or says false at once.
pub(super) fn try_lock() -> String {
    format!("pg_try_advisory_lock({}, {})", WINDOW.0, WINDOW.1)
}

/// What the switch does when it wakes. The prepared durable fence goes first: a rename of it that is still on its
/// way then finds nothing.
fn block(plan: &Plan, attempt: u32, cap: Duration) -> Result<String, Trouble> {
    let (run, number) = armed_key(plan, attempt);
    let mark = access::durable_mark(plan);
    // A file that cannot be renamed is the open one all the same, but for milliseconds; the listener goes on whatever it
    // is. Subscriptions last: their launcher sees only what is committed, and a commit may need what was stopped.
    let enable = subscriptions::enable(&Before::of(plan)?).map_or_else(String::new, |update| {
        format!("BEGIN {update}; EXCEPTION WHEN OTHERS THEN NULL; END; COMMIT; PERFORM pg_reload_conf(); ")
    });
    Ok(format!(
        "DO $switch$ BEGIN \
         PERFORM pg_sleep({seconds}); \
         PERFORM pg_advisory_unlock({run}, {number}); \
         WHILE NOT {try_lock} LOOP \
           PERFORM pg_terminate_backend(h.pid) FROM ({holders}) AS h WHERE h.pid <> pg_backend_pid(); \
           PERFORM pg_sleep(0.005); \
         END LOOP; \
         COPY (SELECT 1) TO PROGRAM {drop_durable}; \
         IF starts_with(pg_read_file('pg_hba.conf'), {mark}) THEN RETURN; END IF; \
         BEGIN COPY (SELECT 1) TO PROGRAM {lift}; EXCEPTION WHEN OTHERS THEN NULL; END; \
         PERFORM pg_reload_conf(); \
         COPY (SELECT 1) TO PROGRAM {go}; \
         {enable}\
         END $switch$",
        seconds = cap.as_secs_f64(),
        try_lock = try_lock(),
        holders = holders(WINDOW),
        drop_durable = literal(files::DROP_DURABLE),
        mark = literal(&mark),
        lift = literal(files::OPEN),
        go = literal(&format!("cat >/dev/null; {}", hold::CONTINUE)),
    ))
}

/// What happens to files on V1 in the window: constants, run by the server in its data directory. Written beside,
/// synced, renamed. `cat` first, so that the server's pipe is emptied.
pub(super) mod files {
    /// The text comes through the pipe.
    pub(in super::super) const WRITE_SHUT: &str =
        "cat > switchover.hba-new && sync switchover.hba-new && mv -f switchover.hba-new switchover.hba-shut";
    pub(in super::super) const WRITE_DURABLE: &str =
        "cat > switchover.hba-new && sync switchover.hba-new && mv -f switchover.hba-new switchover.hba-durable";
    pub(in super::super) const KEEP_OPEN: &str = "cat >/dev/null; cp -p pg_hba.conf switchover.hba-new && \
         sync switchover.hba-new && mv -f switchover.hba-new switchover.hba-open && sync .";
    pub(in super::super) const SHUT: &str = "cat >/dev/null; cp -p switchover.hba-shut switchover.hba-new && \
         sync switchover.hba-new && mv -f switchover.hba-new pg_hba.conf";
    /// Another name for the same file first, which nobody else writes to: giving V1 back must not need room on its disk.
    pub(in super::super) const OPEN: &str = "cat >/dev/null; \
         [ switchover.hba-open -ef pg_hba.conf ] || { rm -f switchover.hba-back; \
         { ln switchover.hba-open switchover.hba-back 2>/dev/null || { cp -p switchover.hba-open switchover.hba-back && \
         sync switchover.hba-back; }; } && mv -f switchover.hba-back pg_hba.conf; } && sync .";
    pub(in super::super) const MAKE_DURABLE: &str =
        "cat >/dev/null; mv -f switchover.hba-durable pg_hba.conf && sync .";
    pub(in super::super) const DROP_DURABLE: &str = "cat >/dev/null; rm -f switchover.hba-durable";
    pub(in super::super) const DROP_ALL: &str = "cat >/dev/null; rm -f switchover.hba-new switchover.hba-back switchover.hba-shut \
         switchover.hba-durable switchover.hba-open && sync .";
    /// Beyond the line. The pids of the server's own writers come through the pipe: they are stopped, as they would
    /// soon write into V1's log, beyond the point where V2's history forks off, and V1 could not follow; a checkpoint
    /// would also remove the log that a rewind needs.
    pub(in super::super) const CONTINUE_BEYOND: &str = "xargs -r kill -STOP 2>/dev/null; \
         read -r pid rest < postmaster.pid && kill -CONT \"$pid\"";
}

/// Arms the switch on a session of its own and returns its process id on V1. The session ends when the tool dies or
/// drops `session`'s owner task; the server goes on with the block either way, as nothing tells it that its client
/// is gone (`client_connection_check_interval` is pinned to 0).
pub(super) async fn arm(session: Session, plan: &Plan, attempt: u32, cap: Duration) -> Result<i32, Trouble> {
    let pid: i32 = session.value("SELECT pg_backend_pid()", &[]).await?;
    let (run, number) = armed_key(plan, attempt);
    session.run(&format!("SELECT pg_advisory_lock({run}, {number})")).await?;
    let block = block(plan, attempt, cap)?;
    tokio::spawn(async move {
        // Its end is seen on V1, never here: the session is ended on purpose in every good run.
        let _ended = session.run(&block).await;
    });
    Ok(pid)
}

/// The switch sleeps: only from here on does it count as armed.
pub(super) async fn ensure_asleep(session: &Session, pid: i32, tell: &Teller) -> Result<(), Trouble> {
    let wait = Wait {
        what: "the dead-man's switch to be armed",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(5) },
        every: Duration::from_millis(1),
        kind: Kind::Failed,
    };
    let asleep = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND wait_event = 'PgSleep'");
    wait::until(wait, tell, async || {
        Ok(match session.text(&asleep).await?.as_deref() {
            Some("1") => Look::Done(()),
            _ => Look::NotYet("its session does not sleep yet".into()),
        })
    })
    .await
}

/// Every switch of every attempt is gone, and this session has the window's lock. One that is acting is waited for:
/// it holds the lock until its block has ended.
pub(super) async fn ensure_ended(session: &Session, plan: &Plan, tell: &Teller) -> Result<(), Trouble> {
    ensure_locked(session, tell).await?;
    let switches = format!(
        "FROM pg_stat_activity AS a WHERE a.application_name = {} AND a.usename = {}",
        literal(APPLICATION),
        literal(&admin(plan)),
    );
    sessions::ensure_ended(session, &switches, "earlier switches to be gone", tell).await
}

/// Waits for a switch that is acting; a session that holds the lock without doing anything (a switch that is done, a
/// tool that was killed) is ended.
pub(super) async fn ensure_locked(session: &Session, tell: &Teller) -> Result<(), Trouble> {
    let wait = Wait {
        what: "the window's lock on V1",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(10) },
        every: Duration::from_millis(5),
        kind: Kind::Failed,
    };
    let end_idle = format!(
        "SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity AS a \
         WHERE a.state LIKE 'idle%' AND a.pid <> pg_backend_pid() AND a.pid IN ({})",
        holders(WINDOW),
    );
    let mine = format!("SELECT count(*) FROM ({}) AS h WHERE h.pid = pg_backend_pid()", holders(WINDOW));
    wait::until(wait, tell, async || {
        if session.text(&mine).await?.as_deref() == Some("1") {
            return Ok(Look::Done(()));
        }
        if session.text(&format!("SELECT {}", try_lock())).await?.as_deref() == Some("t") {
            return Ok(Look::Done(()));
        }
        session.text(&end_idle).await?;
        Ok(Look::NotYet("a switch is giving V1 back".into()))
    })
    .await
}

/// Lets other sessions take the window's lock again.
pub(super) async fn unlock(session: &Session) -> Result<(), Trouble> {
    session.run(&format!("SELECT pg_advisory_unlock({}, {})", WINDOW.0, WINDOW.1)).await
}
