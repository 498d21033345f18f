//! V2 runs, closed to clients, and applies V1's changes.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::before::Before;
use super::position::{self, version};
use crate::engine::mysql_family::connect::{self, Session};
use crate::engine::mysql_family::running::{self, reason, table_in};
use crate::engine::mysql_family::{accounts, door, names};
use crate::engine::mysql_wire::quote::literal;
use crate::engine::{Lag, Place, Position};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Closed across its own restarts: nobody writes, no event runs.
pub(super) async fn ensure_closed(session: &Session) -> Result<(), Trouble> {
    session.run("SET PERSIST event_scheduler = OFF").await?;
    session.run("SET PERSIST super_read_only = ON").await
}

pub(super) async fn ensure_following(place: &Place) -> Result<(Session, String), Trouble> {
    let session = running::ensure_let_in(place, async || refuse_stopped(place).await).await?;
    let version = version(&session)?;
    ensure_closed(&session).await?;
    // Of a window that was turned back. Nobody finds it where it stands.
    door::ensure_open(&session, Before::of(&place.plan)?.serving.max_connections).await?;
    // Twice as fast, and safe: what a crash loses is read again. Put back when it is promoted.
    session.run("SET GLOBAL sync_binlog = 0").await?;
    session.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2").await?;
    ensure_pointed(&session, place).await?;
    session.run(version.start()).await?;
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

/// Whom it follows, by the name its container has on the private network.
async fn ensure_pointed(session: &Session, place: &Place) -> Result<(), Trouble> {
    let version = version(session)?;
    let other = Place { side: place.side.other(), ..place.clone() };
    let host: String = connect::found(&other).await?.id.chars().take(12).collect();
    let row = session.named(version.show_status()).await?.unwrap_or_default();
    if row.get(&version.field("Source_Host")) == Some(&host) {
        return Ok(());
    }
    session.run(version.stop()).await?;
    let password = accounts::password(place, names::REPLICATION_SECRET)?;
    let (user, password) = (literal(&names::replication(&place.plan)), literal(password.expose_secret()));
    session.run(&version.follow(&literal(&host), connect::port(&other), &user, &password)).await
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

/// Numbers of errors of the receiver that no time mends: the log it needs is gone, equal ids, GTIDs off.
const NEVER: [u32; 4] = [13_114, 13_117, 1236, 1593];

impl Follower {
    async fn of(session: &Session) -> Result<Follower, Trouble> {
        let version = version(session)?;
        let row = session.named(version.show_status()).await?.unwrap_or_default();
        let text = |name: &str| row.get(&version.field(name)).cloned().unwrap_or_default();
        let number = |name: &str| text(name).parse::<u32>().unwrap_or_default();
        let (receives, applies) = (text("Replica_IO_Running") == "Yes", text("Replica_SQL_Running") == "Yes");
        let (io, sql) = (number("Last_IO_Errno"), number("Last_SQL_Errno"));
        let fatal = if sql != 0 && !applies {
            Some((sql, at_fault(session).await?))
        } else if NEVER.contains(&io) {
            Some((io, reason(&text("Last_IO_Error"))))
        } else {
            None
        };
        let why = match io {
            0 => format!("receiving: {}", text("Replica_IO_State")),
            _ => format!("it cannot receive (error {io}): {}", reason(&text("Last_IO_Error"))),
        };
        Ok(Follower { receives, applies, why, fatal, row })
    }

    fn refuse_dead(&self, place: &Place) -> Result<(), Trouble> {
        let Some((code, at)) = &self.fatal else { return Ok(()) };
        Err(Trouble::failed(format!("{} cannot follow {}: error {code}{at}", place.side, place.side.other()))
            .hint(format!(
                "the statement is in performance_schema.replication_applier_status_by_worker on {}",
                place.side
            ))
            .hint("V1 serves as before; `switchover abort` tidies up, and a new run makes a new copy"))
    }
}

/// The table a change could not be applied to. The server's text also quotes keys, which are rows' content: it stays there.
async fn at_fault(session: &Session) -> Result<String, Trouble> {
    let sql = "SELECT last_error_message FROM performance_schema.replication_applier_status_by_worker \
               WHERE last_error_number <> 0 LIMIT 1";
    let said = session.text(sql).await?.unwrap_or_default();
    Ok(table_in(&said).map_or_else(String::new, |table| format!(", on table {table}")))
}

/// By local access: it may not know us yet.
async fn refuse_stopped(place: &Place) -> Result<(), Trouble> {
    let Ok(session) = connect::inside(place, running::timeouts(place)).await else { return Ok(()) };
    Follower::of(&session).await?.refuse_dead(place)
}

/// Why nothing can be measured, where that is for good.
pub(super) async fn refuse_dead(place: &Place) -> Result<(), Trouble> {
    running::refuse_down(place).await?;
    match connect::admin(place, running::timeouts(place)).await {
        Ok(session) => Follower::of(&session).await?.refuse_dead(place),
        // It may be restarting; the wait's own reason is told.
        Err(_) => Ok(()),
    }
}

/// How far V2 is behind V1's position, in bytes of V1's log; nothing where it does not say.
pub(super) async fn behind(session: &Session, place: &Place, position: &Position) -> Result<Option<Lag>, Trouble> {
    let at = position::read(position)?;
    if has(session, &at.set).await? {
        return Ok(Some(Lag { bytes: 0 }));
    }
    let version = version(session)?;
    let follower = Follower::of(session).await?;
    follower.refuse_dead(place)?;
    let text = |name: &str| follower.row.get(&version.field(name)).cloned().unwrap_or_default();
    let file = text("Relay_Source_Log_File");
    let Ok(done) = text("Exec_Source_Log_Pos").parse::<u64>() else { return Ok(None) };
    if file == at.file {
        // Workers say how far all of them are only now and then: at least one transaction is missing.
        return Ok(Some(Lag { bytes: at.offset.saturating_sub(done).max(1) }));
    }
    let leader = Place { side: place.side.other(), ..place.clone() };
    let leader = connect::admin(&leader, running::timeouts(place)).await?;
    let files = leader.pairs("SHOW BINARY LOGS").await?;
    Ok(running::between(&files, (&file, done), (&at.file, at.offset)).map(|bytes| Lag { bytes }))
}

/// One round trip: for use inside the window.
pub(super) async fn has(session: &Session, set: &str) -> Result<bool, Trouble> {
    let sql = format!("SELECT GTID_SUBSET({}, @@GLOBAL.gtid_executed)", literal(set));
    Ok(session.text(&sql).await?.as_deref() == Some("1"))
}

/// The same, and an error where waiting is in vain.
pub(super) async fn has_applied(session: &Session, place: &Place, position: &Position) -> Result<bool, Trouble> {
    if has(session, &position::read(position)?.set).await? {
        return Ok(true);
    }
    let dead = "SELECT COUNT(*) FROM performance_schema.replication_applier_status WHERE service_state <> 'ON'";
    if session.number(dead).await? != Some(0) {
        Follower::of(session).await?.refuse_dead(place)?;
    }
    Ok(false)
}
