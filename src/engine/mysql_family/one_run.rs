//! One switchover of one database at a time, whatever host it is run from.

use super::names::{self, RUN_LOCK};
use super::sessions;
use crate::engine::Place;
use crate::engine::mysql_wire::quote::literal;
use crate::engine::mysql_wire::session::Session;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// This session has V1's lock. Held by an earlier process of this run, that one's session is ended, as the journal's lock is
/// ours. Held by another run: `Busy`.
pub(in crate::engine) async fn ensure_alone(session: &Session, place: &Place) -> Result<(), Trouble> {
    let lock = literal(RUN_LOCK);
    let ours = names::admin(&place.plan);
    let holder = format!("SELECT c.user FROM {} WHERE c.id = IS_USED_LOCK({lock})", sessions::table(session));
    let wait = Wait {
        what: "the session of an earlier process of this run to end",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: std::time::Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        if session.text(&format!("SELECT GET_LOCK({lock}, 0)")).await?.as_deref() == Some("1") {
            return Ok(Look::Done(()));
        }
        match session.text(&holder).await? {
            Some(user) if user != ours => {
                return Err(Trouble::busy(format!(
                    "another run of this database is in progress: {}",
                    user.escape_debug()
                ))
                .hint("it is run from another host or with another --state-dir; see SHOW PROCESSLIST on V1"));
            }
            Some(_) => {
                if let Some(id) = session.number(&format!("SELECT IS_USED_LOCK({lock})")).await? {
                    sessions::end(session, id).await?;
                }
            }
            None => {}
        }
        Ok(Look::NotYet("it is being ended".into()))
    })
    .await
}
