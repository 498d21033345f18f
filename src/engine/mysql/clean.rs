//! What was made for the run alone goes: accounts, the probe's schema, the channel V2 followed by.

use super::open;
use super::position::version;
use crate::engine::Place;
use crate::engine::mysql_family::{accounts, connect, events, names, running};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::{Kind, Trouble};

/// Cleans the leader of now; a follower gets the accounts' end by replication. `keep_following`: the account the follower
/// reads with stays.
pub(super) async fn ensure_clean(place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let plan = &place.plan;
    let mut secrets = vec![names::ADMIN_SECRET, names::PROBE_SECRET];
    let mut gone = vec![names::probe(plan)];
    if !keep_following {
        gone.push(names::replication(plan));
        secrets.push(names::REPLICATION_SECRET);
    }
    gone.push(names::admin(plan));
    match connect::either(place, running::timeouts(place)).await {
        Ok(session) => {
            ensure_events(&session, place).await;
            session.run(version(&session)?.stop()).await?;
            session.run(version(&session)?.forget()).await?;
            accounts::ensure_no_schema(&session, place).await?;
            accounts::ensure_none(&session, &gone).await?;
        }
        Err(trouble) if trouble.kind == Kind::Refused => {}
        Err(trouble) => return Err(trouble),
    }
    secrets.into_iter().try_for_each(|secret| place.secrets.forget(secret))
}

/// Those that a tool which died in `open` did not come to.
async fn ensure_events(session: &Session, place: &Place) {
    let former = Place { side: place.side.other(), ..place.clone() };
    let left = async {
        let former = connect::either(&former, running::timeouts(place)).await?;
        events::put_aside(&former, session).await
    };
    match left.await {
        Ok(events) if events.is_empty() => {}
        Ok(events) => {
            if let Err(trouble) = open::ensure_lasts(session, place, &events).await {
                place.tell.warning(format!("events are not enabled on {}: {}", place.side, trouble.one_line()));
            }
        }
        Err(trouble) => tracing::debug!("the former leader's events are not known: {}", trouble.one_line()),
    }
}
