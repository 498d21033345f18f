//! Giving V1 back to its clients, as far as it is alike: getting in, and meeting the dead-man's switch.

use std::rc::Rc;
use std::time::Duration;

use super::connect::{self, Session, Turned, turned};
use super::{locks, names, running, sessions};
use crate::engine::Place;
use crate::engine::mysql_wire::quote::{literal, qualified};
use crate::runtime::State;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A session that is open already: a V1 whose door is shut lets no other in.
pub(in crate::engine) fn alive(kept: &[Rc<Session>]) -> Option<&Rc<Session>> {
    kept.iter().find(|session| session.is_alive())
}

/// V1 may have been restarted a moment ago, or its door is shut by a tool that is gone: then the switch opens it.
pub(in crate::engine) async fn connected(place: &Place) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V1 to answer",
        limit: Limit { name: "limits.statement", value: place.plan.limits.cutover.0 + Duration::from_secs(60) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let why = match connect::either(place, running::timeouts(place)).await {
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

/// This session has the window's lock. A switch that is acting has it until it is done; the tool's own sessions, dead or
/// alive, are ended.
pub(in crate::engine) async fn ensure_locked(session: &Session, place: &Place) -> Result<(), Trouble> {
    let (admin, switch) = (names::admin(&place.plan), locks::switch_lock(place));
    let wait = Wait {
        what: "the window's lock on V1",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(90) },
        every: Duration::from_millis(5),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        sessions::end_of(session, &admin, Some(&switch)).await?;
        let got = session.text(&format!("SELECT GET_LOCK({}, 0)", locks::window_lock())).await?;
        Ok(match got.as_deref() {
            Some("1") => Look::Done(()),
            _ => Look::NotYet("the switch is giving V1 back".into()),
        })
    })
    .await
}

pub(in crate::engine) async fn ensure_no_switch(session: &Session, place: &Place) -> Result<(), Trouble> {
    let holder = format!("SELECT IS_USED_LOCK({})", literal(&locks::switch_lock(place)));
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
pub(in crate::engine) async fn prove_open(session: &Session, place: &Place) -> Result<(), Trouble> {
    let schema = names::schema(&place.plan);
    let there = format!("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {}", literal(&schema));
    if session.number(&there).await? == Some(1) {
        session.run(&format!("DELETE FROM {} WHERE n = 0", qualified(&schema, &schema))).await?;
    }
    Ok(())
}
