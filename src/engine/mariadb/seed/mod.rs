//! V2's first copy. One that was begun and not finished starts over: only a finished one bears its mark.

mod directory;
mod dump;

use super::before::Before;
use crate::engine::mysql_family::{self, connect, running};
use crate::engine::{Place, Position, Seeded, Side};
use crate::runtime::File;
use crate::trouble::Trouble;

/// By statements: any version to any later one.
pub(super) const DUMP: &str = "dump";

/// In V2's data directory, where the copy is finished: the position it begins at.
const MARK: &str = "switchover.seeded";

/// What the image's health check gets in with: V1's accounts are on V2, with their passwords.
const HEALTH: &str = ".my-healthcheck.cnf";

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    dump::ensure_seeded(place).await
}

/// V2 is stopped, and its data directory empty. What V1 was given for the seed goes with what it was given to be followed.
pub(super) async fn ensure_unseeded(place: &Place) -> Result<(), Trouble> {
    running::ensure_stopped(place).await?;
    mysql_family::directory::ensure_empty(place).await
}

/// Where a finished copy begins.
async fn finished(place: &Place) -> Result<Option<Position>, Trouble> {
    let mark = format!("{}/{MARK}", connect::data(place));
    let found = place.runtime.read_file(&connect::container(place).await?, &mark).await?;
    Ok(found.map(|content| Position(String::from_utf8_lossy(&content).into_owned())))
}

async fn ensure_finished(place: &Place, position: &Position) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let health = format!("{}/{HEALTH}", connect::data(&leader));
    if let Some(content) = place.runtime.read_file(&connect::container(&leader).await?, &health).await? {
        put(place, HEALTH, content).await?;
    }
    put(place, MARK, position.0.clone().into_bytes()).await
}

async fn put(place: &Place, name: &str, content: Vec<u8>) -> Result<(), Trouble> {
    let (uid, gid) = Before::of(&place.plan)?.owner(Side::V2);
    let file = File { path: format!("{}/{name}", connect::data(place)), content, mode: 0o600, uid, gid };
    place.runtime.put_file(&connect::container(place).await?, &file).await
}
