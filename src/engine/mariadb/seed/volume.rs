//! The seed `volume`, as MariaDB holds its writes and takes a position.

use super::{ensure_begun, finished};
use crate::engine::mariadb::before::Before;
use crate::engine::mariadb::position;
use crate::engine::mysql_family::connect::{self, Session};
use crate::engine::mysql_family::copier::{Ask, Copier};
use crate::engine::mysql_family::{files, running};
use crate::engine::{Place, Seeded, Side};
use crate::trouble::Trouble;

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    if let Some(position) = finished(place).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    running::ensure_stopped(place).await?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let v1 = connect::admin(&leader, running::timeouts(place)).await?;
    let before = Before::of(&place.plan)?;
    let (owner, options) = (before.owner(Side::V2), before.made.options());
    let ask = Ask { owner, options, log: files::log(&v1).await?, files: Vec::new() };
    let mut copier = Copier::start(place, ask).await?;
    let copied = files::copied(place, &mut copier, locked, unlocked, async |still| position::now(still).await).await;
    ensure_settings_back(&v1, place).await?;
    let at = copied?;
    copier.recover().await?;
    ensure_begun(place, copier, &at).await
}

/// As V1 had it.
pub(super) async fn ensure_settings_back(v1: &Session, place: &Place) -> Result<(), Trouble> {
    let serving = Before::of(&place.plan)?.serving;
    files::ensure_flushing(v1, (&serving.most_dirty, &serving.least_dirty)).await
}

async fn locked(still: &Session) -> Result<(), Trouble> {
    still.run("FLUSH TABLES WITH READ LOCK").await
}

async fn unlocked(still: &Session) -> Result<(), Trouble> {
    still.run("UNLOCK TABLES").await
}
