//! A side's server runs and lets us in, or is stopped.

use std::time::Duration;

use super::connect::{self, Session, Timeouts, Turned, turned};
use super::door;
use crate::engine::Place;
use crate::runtime::{Container, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A follower that is stopped loses nothing, however it ends.
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// Lines of a server's log that are shown when it does not start.
const LOG_LINES: usize = 12;

pub(in crate::engine) fn timeouts(place: &Place) -> Timeouts {
    Timeouts::short(place.plan.limits.statement.0)
}

/// Its server runs, and lets us in: it has had our account since it was made, or since the run began.
pub(in crate::engine) async fn ensure_running(place: &Place) -> Result<Session, Trouble> {
    let stranger = async || {
        Err(Trouble::failed(format!("{}'s server does not know the run's own account", place.side))
            .hint(format!("its data is not what was made for it: is {} still on the same disk?", connect::data(place))))
    };
    ensure_let_in(place, stranger).await
}

/// The same. Whom it does not know comes to it by the other side's log: `follows` is asked meanwhile whether that is in vain.
pub(in crate::engine) async fn ensure_let_in(
    place: &Place,
    follows: impl AsyncFn() -> Result<(), Trouble>,
) -> Result<Session, Trouble> {
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
        match connect::admin(place, timeouts(place)).await {
            Ok(session) if may_all(&session).await? => Ok(Look::Done(session)),
            Ok(_) => Ok(Look::NotYet("the run's own account has come, and its rights have not".into())),
            Err(trouble) => {
                match turned(&trouble) {
                    // By an earlier process of this run, which is gone.
                    Some(Turned::Full) => door::ensure_ajar(place).await?,
                    Some(Turned::Away) => follows().await?,
                    _ => {}
                }
                Ok(Look::NotYet(trouble.one_line()))
            }
        }
    })
    .await
}

/// Accounts come before what they may, in statements of their own; a session has what there was when it began.
async fn may_all(session: &Session) -> Result<bool, Trouble> {
    let said = session.text("SHOW GRANTS").await?.unwrap_or_default();
    Ok(["ALL PRIVILEGES", "SUPER"].iter().any(|right| said.contains(right)))
}

/// A server that has ended since, or was started again, will not get better by waiting.
pub(in crate::engine) async fn refuse_ended(place: &Place, first: &Container) -> Result<(), Trouble> {
    let now = connect::found(place).await?;
    if now.state == State::Running && now.started_at == first.started_at {
        return Ok(());
    }
    let what = match now.state {
        State::Exited(code) => format!("{}'s server ended with code {code}", place.side),
        _ => format!("{}'s server keeps ending", place.side),
    };
    Err(Trouble::failed(what)
        .because(Trouble::failed(place.runtime.log_tail(&now.id, LOG_LINES).await?))
        .hint(format!("docker logs {}", now.name))
        .hint("if its image or settings are at fault: mend them, and run again"))
}

/// Its container runs, or is being started again; an error that says why not.
pub(in crate::engine) async fn refuse_down(place: &Place) -> Result<(), Trouble> {
    let now = connect::found(place).await?;
    if matches!(now.state, State::Running | State::Restarting) {
        return Ok(());
    }
    Err(Trouble::failed(format!("{} no longer runs: container {} is {:?}", place.side, now.name, now.state))
        .because(Trouble::failed(place.runtime.log_tail(&now.id, LOG_LINES).await?))
        .hint(format!("docker logs {}", now.name))
        .hint("`switchover resume` starts it again"))
}

pub(in crate::engine) async fn ensure_stopped(place: &Place) -> Result<(), Trouble> {
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

/// It follows now, or is stopped: then `Err` inside says why.
pub(in crate::engine) async fn unless_stopped(
    place: &Place,
    follows: impl Future<Output = Result<String, Trouble>>,
) -> Result<Result<String, String>, Trouble> {
    if connect::is_gone(place).await? {
        return Ok(Err(format!("{}'s container is gone", place.side)));
    }
    match follows.await {
        Ok(sentence) => Ok(Ok(sentence)),
        Err(trouble) => {
            ensure_stopped(place).await?;
            Ok(Err(trouble.one_line()))
        }
    }
}

/// The bytes from one place in a log to a later one. Files come with their sizes, in order.
pub(in crate::engine) fn between(files: &[(String, String)], from: (&str, u64), to: (&str, u64)) -> Option<u64> {
    let start = files.iter().position(|(name, _)| name == from.0)?;
    let end = files.iter().position(|(name, _)| name == to.0)?;
    let sizes: Option<u64> = files.get(start..end)?.iter().map(|(_, size)| size.parse::<u64>().ok()).sum();
    let sizes = sizes?;
    Some((sizes + to.1).saturating_sub(from.1).max(1))
}

/// A server's own words hold addresses and log files, no rows; the first of them are enough.
pub(in crate::engine) fn reason(error: &str) -> String {
    let text: String = error.chars().take(160).collect();
    if text.is_empty() { "it does not say why".into() } else { text.escape_debug().to_string() }
}

/// The table a change could not be applied to. The server's text also quotes keys, which are rows' content: it stays there.
pub(in crate::engine) fn table_in(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" on table ")?;
    let table: String = rest.chars().take_while(|c| *c != ';' && *c != ' ').collect();
    Some(table.escape_debug().to_string())
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
