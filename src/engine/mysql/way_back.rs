//! V1, fenced, follows V2: the way back. And V1 standing still, to be compared.

use std::rc::Rc;
use std::time::Duration;

use super::before::Before;
use super::{follow, position};
use crate::engine::Place;
use crate::engine::mysql_family::connect::{self, Session};
use crate::engine::mysql_family::{door, running};
use crate::engine::mysql_wire::quote::literal;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// `Err` inside: why it cannot follow; it is stopped then.
pub(super) async fn ensure_way_back(
    place: &Place,
    kept: Option<Rc<Session>>,
) -> Result<Result<String, String>, Trouble> {
    running::unless_stopped(place, follows(place, kept)).await
}

async fn follows(place: &Place, kept: Option<Rc<Session>>) -> Result<String, Trouble> {
    ensure_door_open(place, kept).await?;
    let session = running::ensure_running(place).await?;
    follow::ensure_closed(&session).await?;
    refuse_errant(&session, place).await?;
    let before = Before::of(&place.plan)?;
    if before.gtid.is_some() {
        // They were turned on for the run; a follower needs them after its next restart, too.
        session.run("SET PERSIST enforce_gtid_consistency = ON").await?;
        session.run("SET PERSIST gtid_mode = ON").await?;
    }
    if before.auto_purge.as_deref() == Some("ON") {
        session.run("SET GLOBAL binlog_expire_logs_auto_purge = ON").await?;
    }
    let (_, sentence) = follow::ensure_following(place).await?;
    Ok(sentence)
}

/// What it has and the other side has not, a switchback would bring there without a word. A follower may have read what its leader
/// is just about to call done.
pub(super) async fn refuse_errant(session: &Session, place: &Place) -> Result<(), Trouble> {
    let other = Place { side: place.side.other(), ..place.clone() };
    let other = connect::admin(&other, running::timeouts(place)).await?;
    let ours = session.text("SELECT @@GLOBAL.gtid_executed").await?.unwrap_or_default();
    let sql = format!("SELECT GTID_SUBTRACT({}, @@GLOBAL.gtid_executed)", literal(&position::one_line(&ours)));
    let wait = Wait {
        what: "the other side to have all that this one has",
        limit: Limit { name: "2 s", value: Duration::from_secs(2) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let extra = wait::until(wait, &place.tell, async || {
        let set = other.text(&sql).await?.unwrap_or_default();
        Ok(if set.is_empty() { Look::Done(()) } else { Look::NotYet(position::one_line(&set)) })
    });
    extra.await.map_err(|trouble| {
        let what = format!("{} has transactions that {} has not", place.side, place.side.other());
        Trouble::failed(what).because(trouble).hint("mysqlbinlog --include-gtids shows them")
    })
}

/// Beyond the line, when no client stands where it could meet V1: sessions of ours get in again.
pub(super) async fn ensure_door_open(place: &Place, kept: Option<Rc<Session>>) -> Result<(), Trouble> {
    let wide = Before::of(&place.plan)?.serving.max_connections;
    if let Some(session) = kept.filter(|session| session.is_alive()) {
        door::ensure_unkept(place).await?;
        return door::ensure_open(&session, wide).await;
    }
    door::ensure_ajar(place).await?;
    door::ensure_open(&running::ensure_running(place).await?, wide).await
}
