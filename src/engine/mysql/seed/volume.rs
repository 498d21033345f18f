//! The seed `volume`, as MySQL holds its writes and takes a position.

use super::dump::locked;
use super::{configured, finished};
use crate::engine::mysql::before::Before;
use crate::engine::mysql::{follow, position};
use crate::engine::mysql_family::connect::{self, Session};
use crate::engine::mysql_family::copier::{Ask, Copier};
use crate::engine::mysql_family::{files, mark, names, running};
use crate::engine::{Place, Seeded};
use crate::runtime::File;
use crate::trouble::Trouble;

/// What V1's server does on the copy before it ends.
const FIRST: &str = "/switchover.sql";

/// In V2's data directory, where the copy is whole: V1's transactions that are in it.
const MARK: &str = "switchover.copied";

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    let set = match mark::read(place, MARK).await? {
        Some(set) => String::from_utf8_lossy(&set).into_owned(),
        None => copied(place).await?,
    };
    let session = running::ensure_running(place).await?;
    if let Some(position) = finished(&session).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    let session = configured(session, place).await?;
    let at = position::now(&session).await?;
    if at.set != set {
        return Err(Trouble::failed("V2 has other transactions than V1 had when it was copied")
            .hint("run again: the copy begins anew; or --seed dump"));
    }
    follow::ensure_closed(&session).await?;
    Ok(Seeded { position: position::position(&at), bytes: place.plan.bytes })
}

/// V2's directory holds what V1 had; its server has not been started. Says V1's transactions as of then.
async fn copied(place: &Place) -> Result<String, Trouble> {
    running::ensure_stopped(place).await?;
    let before = Before::of(&place.plan)?;
    let [_, owner] = before.owners;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let v1 = connect::admin(&leader, running::timeouts(place)).await?;
    let mut options = before.made.options();
    options.push(format!("--init-file={FIRST}"));
    let ask = Ask { owner, options, log: files::log(&v1).await?, files: vec![first(place, &before)] };
    let mut copier = Copier::start(place, ask).await?;
    let copied = files::copied(place, &mut copier, held, unlocked, async |still| position::now(still).await);
    let copied = copied.await;
    ensure_settings_back(&v1, place).await?;
    let at = copied?;
    copier.recover().await?;
    copier.alone("synced", "the copy to be on disk", None).await?;
    copier.end().await?;
    mark::write(place, owner, MARK, at.set.clone().into_bytes()).await?;
    Ok(at.set)
}

/// V2's own number, and no events, from its first start on. It reads them as its own user.
fn first(place: &Place, before: &Before) -> File {
    let [_, (uid, gid)] = before.owners;
    let id = names::server_id(&place.plan, before.serving.server_id);
    let content = format!("SET PERSIST_ONLY server_id = {id};\nSET PERSIST event_scheduler = OFF;\n");
    File { path: FIRST.into(), content: content.into_bytes(), mode: 0o600, uid, gid }
}

/// As V1 had it.
pub(in crate::engine::mysql) async fn ensure_settings_back(v1: &Session, place: &Place) -> Result<(), Trouble> {
    let serving = Before::of(&place.plan)?.serving;
    files::ensure_flushing(v1, (&serving.most_dirty, &serving.least_dirty)).await
}

/// What stands in the log alone gets into the server's own table of transactions when the log is rotated. Where that fails
/// nobody waits for the next try.
async fn held(still: &Session) -> Result<(), Trouble> {
    locked(still).await?;
    let rotated = still.run("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS").await;
    if rotated.is_err() {
        unlocked(still).await?;
    }
    rotated
}

async fn unlocked(still: &Session) -> Result<(), Trouble> {
    still.run("UNLOCK TABLES").await?;
    still.run("UNLOCK INSTANCE").await
}
