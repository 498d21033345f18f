//! Ways of giving V2 its first copy. A copy that was begun and not finished starts over: only a finished one is closed for good.

pub(super) mod clone;
pub(super) mod directory;
pub(super) mod dump;
pub(super) mod volume;

use std::time::Duration;

use super::before::Before;
use super::position::{self, At};
use crate::engine::mysql_family::connect::{self, Session};
use crate::engine::mysql_family::seed::Seed;
use crate::engine::mysql_family::{self, names, running};
use crate::engine::mysql_wire::quote::{ident, literal};
use crate::engine::{Place, Position, Seeded};
use crate::trouble::Trouble;

/// A restart of a server that has just been made or copied.
const RESTART_WITHIN: Duration = Duration::from_secs(120);

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    match Seed::of(&place.plan) {
        Seed::Dump => dump::ensure_seeded(place).await,
        Seed::Backup => clone::ensure_seeded(place).await,
        Seed::Volume => volume::ensure_seeded(place).await,
    }
}

/// V2 is stopped, and its data directory empty. What V1 was given for the seed goes with what it was given to be followed.
pub(super) async fn ensure_unseeded(place: &Place) -> Result<(), Trouble> {
    running::ensure_stopped(place).await?;
    mysql_family::directory::ensure_empty(place).await
}

/// Where a finished copy begins.
async fn finished(session: &Session) -> Result<Option<Position>, Trouble> {
    let closed = "SELECT COUNT(*) FROM performance_schema.persisted_variables WHERE variable_name = 'super_read_only'";
    if session.number(closed).await? != Some(1) {
        return Ok(None);
    }
    let set = session.text("SELECT @@GLOBAL.gtid_purged").await?.unwrap_or_default();
    Ok(Some(position::position(&At { set: position::one_line(&set), ..position::now(session).await? })))
}

/// A number of its own, GTIDs, and what V1 has set for good.
async fn configured(session: Session, place: &Place) -> Result<Session, Trouble> {
    let before = Before::of(&place.plan)?;
    let id = names::server_id(&place.plan, before.serving.server_id);
    session.run(&format!("SET PERSIST server_id = {id}")).await?;
    session.run("SET PERSIST event_scheduler = OFF").await?;
    let has_gtids = session.text("SELECT @@GLOBAL.gtid_mode").await?.as_deref() == Some("ON");
    if has_gtids && before.persisted.is_empty() {
        return Ok(session);
    }
    session.run("SET PERSIST_ONLY enforce_gtid_consistency = ON").await?;
    session.run("SET PERSIST_ONLY gtid_mode = ON").await?;
    for (name, value) in &before.persisted {
        let value = if value.parse::<f64>().is_ok() { value.clone() } else { literal(value) };
        if let Err(trouble) = session.run(&format!("SET PERSIST_ONLY {} = {value}", ident(name))).await {
            place.tell.warning(format!("V1 has set {name} for good, and V2 does not take it: {}", trouble.one_line()));
        }
    }
    let found = connect::found(place).await?;
    place.runtime.ensure_restarted(&found.id, &found.started_at, RESTART_WITHIN).await?;
    running::ensure_running(place).await
}
