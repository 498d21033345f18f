//! Giving V1 back to its clients: from any state the window can have left it in, by the tool, a resumed run or the guard. The
//! dead-man's switch does the same (`switch.rs`).

use std::rc::Rc;
use std::time::Duration;

use super::before::Before;
use super::connect::{self, Session, Turned, turned};
use super::names;
use super::prepare;
use super::said::pairs;
use super::{sessions, switch};
use crate::engine::Place;
use crate::engine::mysql_wire::quote::{literal, qualified};
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// V1 serves: no switch left, our fence lifted, and a write would succeed. `kept`: sessions that are open already; a V1
/// whose door is shut lets no other in.
pub(super) async fn ensure_given_back(place: &Place, kept: &[Rc<Session>]) -> Result<(), Trouble> {
    if connect::is_gone(place).await? {
        return Ok(());
    }
    if let Some(session) = kept.iter().find(|session| session.is_alive()) {
        match by(session, place).await {
            Ok(()) => return switch::ensure_none(place).await,
            // V1 is being restarted, say: by a new session, then.
            Err(trouble) => tracing::debug!("giving V1 back by the session that was open: {}", trouble.one_line()),
        }
    }
    by(&connected(place).await?, place).await?;
    switch::ensure_none(place).await
}

/// V1 may have been restarted a moment ago, or its door is shut by a tool that is gone: then the switch opens it.
async fn connected(place: &Place) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V1 to answer",
        limit: Limit { name: "limits.statement", value: place.plan.limits.cutover.0 + Duration::from_secs(60) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let why = match connect::either(place, prepare::timeouts(place)).await {
            Ok(session) => return Ok(Look::Done(session)),
            Err(trouble) if trouble.kind == Kind::Refused && turned(&trouble) == Some(Turned::Away) => {
                return Err(trouble);
            }
            Err(trouble) => trouble.one_line(),
        };
        let now = connect::found(place).await?;
        match now.state {
            State::Running | State::Restarting => Ok(Look::NotYet(why)),
            _ => Err(Trouble::failed(format!("V1's container {} is not running", now.name))
                .hint(format!("docker start {}", now.name))
                .hint("then `switchover resume`, or `switchover abort`")),
        }
    })
    .await
}

async fn by(session: &Session, place: &Place) -> Result<(), Trouble> {
    ensure_locked(session, place).await?;
    refuse_others_fence(session, place).await?;
    let fenced = is_fenced(session).await?;
    if fenced {
        session.run("RESET PERSIST IF EXISTS super_read_only").await?;
        for statement in switch::give_back(&Before::of(&place.plan)?.serving) {
            session.run(&statement).await?;
        }
    }
    ensure_no_switch(session, place).await?;
    if fenced {
        prove_open(session, place).await?;
    }
    session.run(&format!("DO RELEASE_LOCK({})", switch::window_lock())).await
}

/// By a window of this run: its door is shut before anything else and opened after everything else, and a restart leaves what
/// was persisted. A V1 that its owner made read-only meanwhile stays so, as everything does that he has set.
async fn is_fenced(session: &Session) -> Result<bool, Trouble> {
    let sql = "SELECT @@GLOBAL.max_connections = 1 OR EXISTS (SELECT 1 FROM performance_schema.persisted_variables \
               WHERE variable_name = 'super_read_only')";
    match session.number(sql).await? {
        Some(fenced) => Ok(fenced == 1),
        None => Err(Trouble::failed("V1 does not say whether it is fenced")),
    }
}

/// This session has the window's lock. A switch that is acting has it until it is done; the tool's own sessions, dead or
/// alive, are ended.
async fn ensure_locked(session: &Session, place: &Place) -> Result<(), Trouble> {
    let switch = format!("IS_USED_LOCK({})", literal(&switch::switch_lock(place)));
    let ours = format!(
        "SELECT processlist_id, '' FROM performance_schema.threads WHERE processlist_user = {} \
         AND processlist_id IS NOT NULL AND processlist_id <> CONNECTION_ID() AND processlist_id <> COALESCE({switch}, 0)",
        literal(&names::admin(&place.plan))
    );
    let wait = Wait {
        what: "the window's lock on V1",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(90) },
        every: Duration::from_millis(5),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        for (id, _) in pairs(session, &ours).await? {
            if let Ok(id) = id.parse() {
                sessions::end(session, id).await?;
            }
        }
        let got = session.text(&format!("SELECT GET_LOCK({}, 0)", switch::window_lock())).await?;
        Ok(match got.as_deref() {
            Some("1") => Look::Done(()),
            _ => Look::NotYet("the switch is giving V1 back".into()),
        })
    })
    .await
}

/// Only a fence of this run is lifted.
async fn refuse_others_fence(session: &Session, place: &Place) -> Result<(), Trouble> {
    let sql = "SELECT i.set_user FROM performance_schema.persisted_variables AS p \
               JOIN performance_schema.variables_info AS i ON i.variable_name = p.variable_name \
               WHERE p.variable_name = 'super_read_only'";
    match session.text(sql).await? {
        Some(user) if !user.is_empty() && user != names::admin(&place.plan) => {
            Err(Trouble::person("V1 is kept read-only by somebody else; it is not ours to lift")
                .because(Trouble::failed(format!("super_read_only was persisted by {}", user.escape_debug()))))
        }
        _ => Ok(()),
    }
}

async fn ensure_no_switch(session: &Session, place: &Place) -> Result<(), Trouble> {
    let lock = literal(&switch::switch_lock(place));
    let holder = format!("SELECT IS_USED_LOCK({lock})");
    let wait = Wait {
        what: "earlier switches to be gone",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(10) },
        every: Duration::from_millis(2),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || match session.number(&holder).await? {
        None => Ok(Look::Done(())),
        Some(id) => {
            sessions::end(session, id).await?;
            Ok(Look::NotYet("one is being ended".into()))
        }
    })
    .await
}

/// By a statement that a fence refuses, and that changes nothing; where it was not made yet, nothing was fenced.
async fn prove_open(session: &Session, place: &Place) -> Result<(), Trouble> {
    let schema = names::schema(&place.plan);
    let there = format!("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {}", literal(&schema));
    if session.number(&there).await? == Some(1) {
        session.run(&format!("DELETE FROM {} WHERE n = 0", qualified(&schema, &schema))).await?;
    }
    Ok(())
}
