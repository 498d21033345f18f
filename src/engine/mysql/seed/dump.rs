//! The seed `dump`, as MySQL holds still for it and takes a position.

use super::{configured, directory, finished};
use crate::engine::mysql::follow;
use crate::engine::mysql::position::{self, At, version};
use crate::engine::mysql_family::dump::{self, Moment};
use crate::engine::mysql_family::running;
use crate::engine::mysql_wire::copy;
use crate::engine::mysql_wire::quote::literal;
use crate::engine::mysql_wire::session::Session;
use crate::engine::{Place, Seeded};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    directory::ensure_made(place).await?;
    let session = running::ensure_running(place).await?;
    if let Some(position) = finished(&session).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    let session = configured(session, place).await?;
    dump::ensure_fit(&session).await?;
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 };
    let copied = dump::copied(place, moment, async |still, _| still.run("UNLOCK INSTANCE").await);
    let (at, bytes) = wait::within(limit, "the copy", copied).await?;
    dump::ensure_as_on_v1(&session, place).await?;
    session.run(version(&session)?.empty_log()).await?;
    session.run(&format!("SET GLOBAL gtid_purged = {}", literal(&at.set))).await?;
    // The last act: only a finished copy is closed.
    follow::ensure_closed(&session).await?;
    Ok(Seeded { position: position::position(&at), bytes })
}

async fn moment(leader: &Place, at_once: usize) -> Result<Moment<At>, Trouble> {
    let still = dump::holder(leader).await?;
    let readers = dump::readers(leader, at_once).await?;
    dump::until_locked(leader, async || locked(&still).await).await?;
    let begun = async {
        for session in &readers {
            session.run(copy::BEGIN).await?;
        }
        position::now(&still).await
    };
    let at = begun.await;
    still.run("UNLOCK TABLES").await?;
    dump::let_rest(&still).await?;
    Ok(Moment { readers, at: at?, still })
}

/// In this order: the event scheduler holds up the first lock for as long as it waits for the second one. The second holds up
/// changes of schema and accounts.
pub(super) async fn locked(session: &Session) -> Result<(), Trouble> {
    session.run("FLUSH TABLES WITH READ LOCK").await?;
    let second = session.run("LOCK INSTANCE FOR BACKUP").await;
    if second.is_err() {
        session.run("UNLOCK TABLES").await?;
    }
    second
}
