//! Giving V1 back to its clients: from any state the window can have left it in, by the tool, a resumed run or the
//! guard. The dead-man's switch does the same from inside (`switch.rs`).

use std::rc::Rc;
use std::time::Duration;

use super::access::{self, Fence};
use super::session::{Session, Timeouts};
use super::switch::{self, files};
use super::window::copy_to;
use super::{connect, door, hold, sessions, subscriptions};
use crate::engine::Place;
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// V1 serves: no switch left, its listener runs, our fence is lifted and a write succeeded.
/// `kept`: a session that is open already. By it the fence is lifted before the listener goes: nobody who waits there is
/// refused once more and goes looking elsewhere; and a V1 whose clients leave no room for another session needs none.
pub(super) async fn ensure_given_back(place: &Place, kept: Option<Rc<Session>>) -> Result<(), Trouble> {
    let container = connect::container(place).await?;
    if let Some(session) = kept.filter(|session| session.is_alive()) {
        match by(&session, place, &container).await {
            Ok(()) => return Ok(()),
            // V1 is being restarted, say: by a new session, then.
            Err(trouble) => tracing::debug!("giving V1 back by the session that was open: {}", trouble.one_line()),
        }
    }
    hold::let_go(place, &container, &place.plan.v1.data).await?;
    by(&connected(place, &container).await?, place, &container).await
}

async fn by(session: &Session, place: &Place, container: &str) -> Result<(), Trouble> {
    lift(session, place).await?;
    hold::let_go(place, container, &place.plan.v1.data).await?;
    // Lifted before the switch is ended: whoever dies in between, V1 is given back.
    switch::ensure_ended(session, &place.plan, &place.tell).await?;
    prove_open(session, place).await?;
    subscriptions::ensure_enabled(session, place).await?;
    let run = super::names::literal(&place.plan.run);
    session.run(&format!("SELECT pg_logical_emit_message(true, 'switchover', {run})")).await?;
    copy_to(session, files::DROP_ALL, "").await?;
    switch::unlock(session).await
}

/// V1 may have been restarted a moment ago: its start is waited for, a container that is down is not.
async fn connected(place: &Place, container: &str) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V1 to answer",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(60) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    wait::until(wait, &place.tell, async || {
        let why = match connect::admin(place, "switchover", timeouts).await {
            Ok(session) => return Ok(Look::Done(session)),
            Err(trouble) => trouble.one_line(),
        };
        match place.runtime.container(container).await? {
            Some(now) if matches!(now.state, State::Running | State::Restarting) => Ok(Look::NotYet(why)),
            _ => Err(Trouble::failed(format!("V1's container {container} is not running"))
                .hint(format!("docker start {container}"))
                .hint("then `switchover resume`, or `switchover abort`")),
        }
    })
    .await
}

/// Only a fence of this run is lifted. The reload comes in any case: a fence may live in memory only.
async fn lift(session: &Session, place: &Place) -> Result<(), Trouble> {
    switch::ensure_locked(session, &place.tell).await?;
    let now: String = session.value("SELECT pg_read_file('pg_hba.conf')", &[]).await?;
    match access::fence_of(&now, &place.plan) {
        Fence::None => {}
        Fence::Ours { .. } => copy_to(session, files::OPEN, "").await?,
        Fence::AnotherRuns(line) => {
            return Err(Trouble::person("V1 is fenced by another run; it is not ours to lift")
                .because(Trouble::failed(format!("pg_hba.conf begins with: {line}"))));
        }
    }
    session.run("SELECT pg_reload_conf()").await
}

/// By a knock; or, where clients have taken every connection again, by one of theirs that is newer than the rules.
async fn prove_open(session: &Session, place: &Place) -> Result<(), Trouble> {
    let newer = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity AS a \
         WHERE a.backend_type = 'client backend' AND a.usename IS NOT NULL AND a.backend_start > pg_conf_load_time() AND {}",
        sessions::foreign(&place.plan)
    );
    let wait = Wait {
        what: "V1 to let its clients in",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: Duration::from_millis(2),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        Ok(match door::knock(place).await {
            Ok(door::Answer::Open) => Look::Done(()),
            Ok(door::Answer::Refused) => Look::NotYet("its rules in force still refuse them".into()),
            Err(trouble) => match session.text(&newer).await?.as_deref() {
                Some("t") => Look::Done(()),
                _ => Look::NotYet(trouble.one_line()),
            },
        })
    })
    .await
}
