//! V2 runs, closed to clients, and applies V1's changes.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::connect::{self, Session, Timeouts};
use super::position::{self, version};
use super::{accounts, names, prepare};
use crate::engine::mysql_wire::quote::literal;
use crate::engine::{Lag, Place, Position};
use crate::runtime::{Container, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A follower that is stopped loses nothing, however it ends.
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// Lines of V2's log that are shown when it does not start.
const LOG_LINES: usize = 12;

/// Its server runs, and lets us in.
pub(super) async fn ensure_running(place: &Place) -> Result<Session, Trouble> {
    let found = connect::found(place).await?;
    if found.state != State::Running {
        place.runtime.ensure_started(&found.id).await?;
    }
    let first = connect::found(place).await?;
    let what = format!("{}'s server to answer", place.side);
    let wait = Wait {
        what: &what,
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        refuse_ended(place, &first).await?;
        match connect::admin(place, prepare::timeouts(place)).await {
            Ok(session) => Ok(Look::Done(session)),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        }
    })
    .await
}

/// A server that has ended since, or was started again, will not get better by waiting.
async fn refuse_ended(place: &Place, first: &Container) -> Result<(), Trouble> {
    let now = connect::found(place).await?;
    if now.state == State::Running && now.started_at == first.started_at {
        return Ok(());
    }
    let log = place.runtime.log_tail(&now.id, LOG_LINES).await?;
    let what = match now.state {
        State::Exited(code) => format!("{}'s server ended with code {code}", place.side),
        _ => format!("{}'s server keeps ending", place.side),
    };
    Err(Trouble::failed(what)
        .because(Trouble::failed(log))
        .hint(format!("docker logs {}", now.name))
        .hint("if its image or settings are at fault: mend them, and run again"))
}

/// Closed across its own restarts: nobody writes, no event runs.
pub(super) async fn ensure_closed(session: &Session) -> Result<(), Trouble> {
    session.run("SET PERSIST event_scheduler = OFF").await?;
    session.run("SET PERSIST super_read_only = ON").await
}

pub(super) async fn ensure_following(place: &Place) -> Result<(Session, String), Trouble> {
    let session = ensure_running(place).await?;
    let version = version(&session)?;
    ensure_closed(&session).await?;
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
    wait::until(wait, &place.tell, async || match Follower::of(&session, place).await? {
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
    async fn of(session: &Session, _: &Place) -> Result<Follower, Trouble> {
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

/// The receiver's words hold addresses and log files, no rows; its first sentence is enough.
fn reason(error: &str) -> String {
    let text: String = error.chars().take(160).collect();
    if text.is_empty() { "it does not say why".into() } else { text.escape_debug().to_string() }
}

/// The table a change could not be applied to. The server's text also quotes keys, which are rows' content: it stays there.
async fn at_fault(session: &Session) -> Result<String, Trouble> {
    let sql = "SELECT last_error_message FROM performance_schema.replication_applier_status_by_worker \
               WHERE last_error_number <> 0 LIMIT 1";
    let said = session.text(sql).await?.unwrap_or_default();
    Ok(table_in(&said).map_or_else(String::new, |table| format!(", on table {table}")))
}

fn table_in(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" on table ")?;
    let table: String = rest.chars().take_while(|c| *c != ';' && *c != ' ').collect();
    Some(table.escape_debug().to_string())
}

/// Why nothing can be measured, where that is for good.
pub(super) async fn refuse_dead(place: &Place) -> Result<(), Trouble> {
    let now = connect::found(place).await?;
    if matches!(now.state, State::Running | State::Restarting) {
        return match connect::admin(place, prepare::timeouts(place)).await {
            Ok(session) => Follower::of(&session, place).await?.refuse_dead(place),
            // It may be restarting; the wait's own reason is told.
            Err(_) => Ok(()),
        };
    }
    let log = place.runtime.log_tail(&now.id, LOG_LINES).await?;
    Err(Trouble::failed(format!("{} no longer runs: container {} is {:?}", place.side, now.name, now.state))
        .because(Trouble::failed(log))
        .hint(format!("docker logs {}", now.name))
        .hint("`switchover resume` starts it again"))
}

pub(super) async fn ensure_not_following(place: &Place) -> Result<(), Trouble> {
    match connect::found(place).await {
        Ok(found) => place.runtime.ensure_stopped(&found.id, "SIGTERM", STOP_WITHIN).await.map(drop),
        // Nothing to stop: an undo may meet nothing.
        Err(trouble) if place.plan.v2.id.is_empty() => match place.runtime.container(&place.plan.v2.container).await? {
            None => Ok(()),
            Some(_) => Err(trouble),
        },
        Err(trouble) => Err(trouble),
    }
}

/// How far V2 is behind V1's position, in bytes of V1's log; nothing where it does not say.
pub(super) async fn behind(session: &Session, place: &Place, position: &Position) -> Result<Option<Lag>, Trouble> {
    let at = position::read(position)?;
    if has(session, &at.set).await? {
        return Ok(Some(Lag { bytes: 0 }));
    }
    let version = version(session)?;
    let follower = Follower::of(session, place).await?;
    follower.refuse_dead(place)?;
    let text = |name: &str| follower.row.get(&version.field(name)).cloned().unwrap_or_default();
    let file = text("Relay_Source_Log_File");
    let Ok(done) = text("Exec_Source_Log_Pos").parse::<u64>() else { return Ok(None) };
    if file == at.file {
        // Workers say how far all of them are only now and then: at least one transaction is missing.
        return Ok(Some(Lag { bytes: at.offset.saturating_sub(done).max(1) }));
    }
    let leader = Place { side: place.side.other(), ..place.clone() };
    let leader = connect::admin(&leader, Timeouts::short(place.plan.limits.statement.0)).await?;
    let files = super::said::pairs(&leader, "SHOW BINARY LOGS").await?;
    Ok(between(&files, (&file, done), (&at.file, at.offset)).map(|bytes| Lag { bytes }))
}

/// The bytes from one place in a log to a later one. Files come with their sizes, in order.
fn between(files: &[(String, String)], from: (&str, u64), to: (&str, u64)) -> Option<u64> {
    let start = files.iter().position(|(name, _)| name == from.0)?;
    let end = files.iter().position(|(name, _)| name == to.0)?;
    let sizes: Option<u64> = files.get(start..end)?.iter().map(|(_, size)| size.parse::<u64>().ok()).sum();
    let sizes = sizes?;
    Some((sizes + to.1).saturating_sub(from.1).max(1))
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
        Follower::of(session, place).await?.refuse_dead(place)?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_two_places_is_counted_over_files() {
        let files = [("b.1", "1000"), ("b.2", "500"), ("b.3", "90")].map(|(n, s)| (n.to_owned(), s.to_owned()));
        assert_eq!(between(&files, ("b.1", 900), ("b.3", 50)), Some(100 + 500 + 50));
        let odd = [("b.1", "?"), ("b.2", "500")].map(|(n, s)| (n.to_owned(), s.to_owned()));
        assert_eq!(between(&odd, ("b.1", 900), ("b.2", 50)), None, "nor is a size that is not told");
        assert_eq!(between(&files, ("b.0", 900), ("b.3", 50)), None, "unknown is never zero");
        assert_eq!(between(&files, ("b.3", 90), ("b.3", 90)), Some(1));
    }

    #[test]
    fn of_an_appliers_words_only_the_table_is_told() {
        let said =
            "Could not execute Write_rows event on table shop.orders; Duplicate entry 'secret' for key 'PRIMARY'";
        assert_eq!(table_in(said).as_deref(), Some("shop.orders"));
        assert_eq!(table_in("Worker 1 failed"), None);
    }
}
