//! V2's first copy. One that was begun and not finished starts over: only a finished one bears its mark.

mod backup;
mod directory;
mod dump;
mod upgrade;
mod volume;

use super::before::Before;
use super::option_file::{self, Role};
use super::position::{self, At};
use crate::engine::mysql_family::connect::Session;
use crate::engine::mysql_family::copier::Copier;
use crate::engine::mysql_family::seed::Seed;
use crate::engine::mysql_family::{self, mark, running};
use crate::engine::{Place, Position, Seeded, Side};
use crate::trouble::Trouble;

/// In V2's data directory, where the copy is finished: the position it begins at.
const MARK: &str = "switchover.seeded";

/// What the image's health check gets in with: V1's accounts are on V2, with their passwords.
const HEALTH: &str = ".my-healthcheck.cnf";

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    match Seed::of(&place.plan) {
        Seed::Dump => dump::ensure_seeded(place).await,
        Seed::Backup => backup::ensure_seeded(place).await,
        Seed::Volume => volume::ensure_seeded(place).await,
    }
}

/// V2 is stopped, and its data directory empty. What V1 was given for the seed goes with what it was given to be followed.
pub(super) async fn ensure_unseeded(place: &Place) -> Result<(), Trouble> {
    running::ensure_stopped(place).await?;
    mysql_family::directory::ensure_empty(place).await
}

/// What a seed has set on V1, as it was.
pub(super) async fn ensure_settings_back(v1: &Session, place: &Place) -> Result<(), Trouble> {
    match Seed::of(&place.plan) {
        Seed::Volume => volume::ensure_settings_back(v1, place).await,
        Seed::Dump | Seed::Backup => Ok(()),
    }
}

/// Where a finished copy begins.
async fn finished(place: &Place) -> Result<Option<Position>, Trouble> {
    let found = mark::read(place, MARK).await?;
    Ok(found.map(|content| Position(String::from_utf8_lossy(&content).into_owned())))
}

/// V2's server runs on a copy of V1's pages that is whole, closed, and goes on from where it ends in V1's log.
async fn ensure_begun(place: &Place, mut copier: Copier, at: &At) -> Result<Seeded, Trouble> {
    copier.alone("synced", "the copy to be on disk", None).await?;
    copier.end().await?;
    option_file::ensure(place, Role::Follows).await?;
    upgrade::ensure_begins_at(place, at).await?;
    let position = position::position(at);
    ensure_finished(place, &position).await?;
    Ok(Seeded { position, bytes: place.plan.bytes })
}

async fn ensure_finished(place: &Place, position: &Position) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let owner = Before::of(&place.plan)?.owner(Side::V2);
    if let Some(content) = mark::read(&leader, HEALTH).await? {
        mark::write(place, owner, HEALTH, content).await?;
    }
    mark::write(place, owner, MARK, position.0.clone().into_bytes()).await
}
