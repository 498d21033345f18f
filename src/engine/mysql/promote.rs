//! V2 follows no more. It stays read-only until `open`: a promotion that is thrown away has left nothing behind.

use super::before::Before;
use super::position::version;
use crate::engine::Place;
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

pub(super) async fn ensure_promoted(session: &Session, place: &Place) -> Result<String, Trouble> {
    session.run(version(session)?.stop()).await?;
    let serving = Before::of(&place.plan)?.serving;
    // What a follower may lose in a crash, a leader may not.
    session.run(&format!("SET GLOBAL innodb_flush_log_at_trx_commit = {}", serving.flush_log)).await?;
    session.run(&format!("SET GLOBAL sync_binlog = {}", serving.sync_binlog)).await?;
    Ok("V2 follows no more, and takes no writes yet".into())
}
