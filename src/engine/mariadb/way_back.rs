//! V1, fenced, follows V2: the way back. And V1 standing still, to be compared.

use std::rc::Rc;
use std::time::Duration;

use super::before::Before;
use super::option_file::{self, Role};
use super::position::{self, Reached};
use super::{follow, lasting};
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
    follow::ensure_closed(&session, place).await?;
    refuse_errant(&session, place).await?;
    if session.named("SHOW SLAVE STATUS").await?.is_none() {
        // All it has is on V2: from there it goes on.
        let own = session.text("SELECT @@GLOBAL.gtid_binlog_pos").await?;
        let own = own.ok_or_else(|| Trouble::failed(format!("{} does not say what it has written", place.side)))?;
        session.run(&format!("SET GLOBAL gtid_slave_pos = {}", literal(&own))).await?;
    }
    let (_, sentence) = follow::ensure_following(place).await?;
    Ok(sentence)
}

/// What it has and the other side has not, a switchback would bring there without a word. A follower may have read what its leader
/// is just about to call done.
pub(super) async fn refuse_errant(session: &Session, place: &Place) -> Result<(), Trouble> {
    let other = Place { side: place.side.other(), ..place.clone() };
    let other = connect::admin(&other, running::timeouts(place)).await?;
    let ours = all_of(session).await?;
    let wait = Wait {
        what: "the other side to have all that this one has",
        limit: Limit { name: "2 s", value: Duration::from_secs(2) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let extra = wait::until(wait, &place.tell, async || {
        let beyond = position::beyond(&ours, &all_of(&other).await?);
        Ok(if beyond.is_empty() { Look::Done(()) } else { Look::NotYet(beyond.join(", ")) })
    });
    extra.await.map_err(|trouble| {
        let what = format!("{} has transactions that {} has not", place.side, place.side.other());
        Trouble::failed(what).because(trouble).hint("mariadb-binlog shows them by their GTIDs")
    })
}

/// What it has written and what it has applied, also where its log began later.
async fn all_of(session: &Session) -> Result<Reached, Trouble> {
    let said = session.text("SELECT CONCAT(@@GLOBAL.gtid_binlog_state, ',', @@GLOBAL.gtid_slave_pos)").await?;
    position::reached(&said.ok_or_else(|| Trouble::failed("a server does not say what it has written"))?)
}

/// Beyond the line, when no client stands where it could meet V1: sessions of ours get in again, also after its next start.
pub(super) async fn ensure_door_open(place: &Place, kept: Option<Rc<Session>>) -> Result<(), Trouble> {
    let wide = Before::of(&place.plan)?.serving.max_connections;
    if let Some(session) = kept.filter(|session| session.is_alive()) {
        option_file::ensure(place, Role::Follows).await?;
        door::ensure_unkept(place).await?;
        return door::ensure_open(&session, wide).await;
    }
    door::ensure_ajar(place).await?;
    lasting::ensure_follower(place).await?;
    door::ensure_open(&running::ensure_running(place).await?, wide).await
}
