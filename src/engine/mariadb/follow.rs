//! V2 runs, closed to clients, and applies V1's changes.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::before::Before;
use super::{dialect, lasting, option_file, position, sessions};
use crate::engine::mysql_family::connect::{self, Session};
use crate::engine::mysql_family::running::{self, reason, table_in};
use crate::engine::mysql_family::{accounts, door, names};
use crate::engine::mysql_wire::quote::literal;
use crate::engine::{Lag, Place, Position};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// That apply at once what V1 committed at once.
const THREADS: u64 = 4;

/// Nobody but those with every right writes, no event runs. That clients do not stand where they could find it is the story's.
pub(super) async fn ensure_closed(session: &Session, place: &Place) -> Result<(), Trouble> {
    session.run("SET GLOBAL read_only = 1").await?;
    if Before::of(&place.plan)?.serving.event_scheduler != "DISABLED" {
        session.run("SET GLOBAL event_scheduler = OFF").await?;
    }
    Ok(())
}

pub(super) async fn ensure_following(place: &Place) -> Result<(Session, String), Trouble> {
    // Of a window that was turned back: it was shut, also for its next start. Nobody finds it where it stands.
    lasting::ensure_follower(place).await?;
    let session = running::ensure_let_in(place, async || refuse_stopped(place).await).await?;
    door::ensure_open(&session, Before::of(&place.plan)?.serving.max_connections).await?;
    ensure_closed(&session, place).await?;
    // Twice as fast, and safe: what a crash loses is read again. Put back when it is promoted.
    session.run("SET GLOBAL sync_binlog = 0").await?;
    session.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2").await?;
    ensure_pointed(&session, place).await?;
    let other = place.side.other();
    let what = format!("{} to follow {other}", place.side);
    let wait = Wait {
        what: &what,
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || match Follower::of(&session).await? {
        Follower { receives: true, applies: true, .. } => Ok(Look::Done(())),
        follower => {
            follower.refuse_dead(place)?;
            Ok(Look::NotYet(follower.why))
        }
    })
    .await?;
    let sentence = format!("{} follows {other}, read-only", place.side);
    Ok((session, sentence))
}

/// Whom it follows, by the name its container has on the private network; started, under its own number.
async fn ensure_pointed(session: &Session, place: &Place) -> Result<(), Trouble> {
    let other = Place { side: place.side.other(), ..place.clone() };
    let host: String = connect::found(&other).await?.id.chars().take(12).collect();
    let row = session.named("SHOW SLAVE STATUS").await?.unwrap_or_default();
    if row.get("Master_Host") != Some(&host) {
        session.run("STOP SLAVE").await?;
        session.run("SET GLOBAL gtid_strict_mode = 1").await?;
        session.run(&format!("SET GLOBAL slave_parallel_threads = {THREADS}")).await?;
        let leader = connect::admin(&other, running::timeouts(place)).await?;
        let secret = leader.text("SELECT @@GLOBAL.have_ssl").await?.as_deref() == Some("YES");
        let password = accounts::password(place, names::REPLICATION_SECRET)?;
        let (user, password) = (literal(&names::replication(&place.plan)), literal(password.expose_secret()));
        session.run(&dialect::follow(&literal(&host), connect::port(&other), &user, &password, secret)).await?;
    }
    ensure_started(session, place).await
}

/// A server whose command line names V1's number has that again after its restart.
async fn ensure_started(session: &Session, place: &Place) -> Result<(), Trouble> {
    if let Some(id) = option_file::server_id(&place.plan, place.side, &Before::of(&place.plan)?) {
        if session.number("SELECT @@GLOBAL.server_id").await? != Some(u64::from(id)) {
            session.run("STOP SLAVE").await?;
            session.run(&format!("SET GLOBAL server_id = {id}")).await?;
        }
        // As its option file says, whatever its command line does.
        session.run("SET GLOBAL binlog_format = 'ROW'").await?;
    }
    session.run("START SLAVE").await
}

/// What a follower says of itself.
struct Follower {
    receives: bool,
    applies: bool,
    why: String,
    /// The server's number of what stopped it, and where.
    fatal: Option<(u32, String)>,
    row: BTreeMap<String, String>,
}

/// Numbers of errors of the receiver that no time mends: the log it needs is gone, equal numbers of servers.
const NEVER: [u32; 2] = [1236, 1593];

impl Follower {
    async fn of(session: &Session) -> Result<Follower, Trouble> {
        let row = session.named("SHOW SLAVE STATUS").await?.unwrap_or_default();
        let text = |name: &str| row.get(name).cloned().unwrap_or_default();
        let number = |name: &str| text(name).parse::<u32>().unwrap_or_default();
        let (receives, applies) = (text("Slave_IO_Running") == "Yes", text("Slave_SQL_Running") == "Yes");
        let (io, sql) = (number("Last_IO_Errno"), number("Last_SQL_Errno"));
        let fatal = if sql != 0 && !applies {
            let on = table_in(&text("Last_SQL_Error")).map_or_else(String::new, |table| format!(", on table {table}"));
            Some((sql, on))
        } else if NEVER.contains(&io) {
            Some((io, format!(": {}", reason(&text("Last_IO_Error")))))
        } else {
            None
        };
        let why = match io {
            0 => format!("receiving: {}", text("Slave_IO_State")),
            _ => format!("it cannot receive (error {io}): {}", reason(&text("Last_IO_Error"))),
        };
        Ok(Follower { receives, applies, why, fatal, row })
    }

    fn refuse_dead(&self, place: &Place) -> Result<(), Trouble> {
        let Some((code, at)) = &self.fatal else { return Ok(()) };
        Err(Trouble::failed(format!("{} cannot follow {}: error {code}{at}", place.side, place.side.other()))
            .hint(format!("SHOW SLAVE STATUS on {} has the server's own words", place.side))
            .hint("V1 serves as before; `switchover abort` tidies up, and a new run makes a new copy"))
    }

    /// Neither of its two halves runs, and none says that it failed: it was started anew.
    fn rests(&self) -> bool {
        !self.receives && !self.applies && self.fatal.is_none() && !self.row.is_empty()
    }
}

/// By local access: it may not know us yet.
async fn refuse_stopped(place: &Place) -> Result<(), Trouble> {
    let Ok(session) = connect::inside(place, running::timeouts(place)).await else { return Ok(()) };
    Follower::of(&session).await?.refuse_dead(place)
}

/// Why nothing can be measured, where that is for good.
pub(super) async fn refuse_dead(place: &Place) -> Result<(), Trouble> {
    running::refuse_down(place).await?;
    // It may be restarting; the wait's own reason is told.
    let Ok(session) = connect::admin(place, running::timeouts(place)).await else { return Ok(()) };
    let follower = Follower::of(&session).await?;
    follower.refuse_dead(place)?;
    if follower.rests() {
        ensure_closed(&session, place).await?;
        ensure_started(&session, place).await?;
    }
    Ok(())
}

/// How far V2 is behind V1's position, in bytes of V1's log; nothing where it does not say.
pub(super) async fn behind(session: &Session, place: &Place, position: &Position) -> Result<Option<Lag>, Trouble> {
    let at = position::read(position)?;
    if has(session, &at.gtids).await? {
        return Ok(Some(Lag { bytes: 0 }));
    }
    let follower = Follower::of(session).await?;
    follower.refuse_dead(place)?;
    if follower.rests() {
        return Ok(None);
    }
    let text = |name: &str| follower.row.get(name).cloned().unwrap_or_default();
    let file = text("Relay_Master_Log_File");
    let Ok(done) = text("Exec_Master_Log_Pos").parse::<u64>() else { return Ok(None) };
    if file == at.file {
        // At least one transaction is missing, whatever the appliers have said so far.
        return Ok(Some(Lag { bytes: at.offset.saturating_sub(done).max(1) }));
    }
    let leader = Place { side: place.side.other(), ..place.clone() };
    let leader = connect::admin(&leader, running::timeouts(place)).await?;
    let files = leader.pairs("SHOW BINARY LOGS").await?;
    Ok(running::between(&files, (&file, done), (&at.file, at.offset)).map(|bytes| Lag { bytes }))
}

/// One round trip: for use inside the window. It says what it knows at once.
pub(super) async fn has(session: &Session, gtids: &str) -> Result<bool, Trouble> {
    let sql = format!("SELECT MASTER_GTID_WAIT({}, 0)", literal(gtids));
    Ok(session.text(&sql).await?.as_deref() == Some("0"))
}

/// The same, and an error where waiting is in vain.
pub(super) async fn has_applied(session: &Session, place: &Place, position: &Position) -> Result<bool, Trouble> {
    if has(session, &position::read(position)?.gtids).await? {
        refuse_visitors(session, place).await?;
        return Ok(true);
    }
    Follower::of(session).await?.refuse_dead(place)?;
    Ok(false)
}

/// It is shut, and its root could write if it were not. From its own host its health is asked.
async fn refuse_visitors(session: &Session, place: &Place) -> Result<(), Trouble> {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST AS p WHERE {} \
         AND p.HOST NOT LIKE 'localhost%' AND p.HOST NOT LIKE '127.0.0.1%'",
        sessions::foreign(&place.plan)
    );
    match session.number(&sql).await? {
        Some(0) => Ok(()),
        _ => Err(Trouble::failed("somebody has got into V2, which is shut: it may hold what V1 has not")),
    }
}
