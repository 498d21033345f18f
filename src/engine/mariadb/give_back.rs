//! Giving V1 back to its clients: from any state the window can have left it in, by the tool, a resumed run or the guard. The
//! dead-man's switch does the same (`switch.rs`).

use std::rc::Rc;

use super::before::Before;
use super::{lasting, switch};
use crate::engine::Place;
use crate::engine::mysql_family::{connect, give_back, locks};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// V1 serves: no switch left, our fence lifted, and a write would succeed. `kept`: sessions that are open already; a V1
/// whose door is shut lets no other in.
pub(super) async fn ensure_given_back(place: &Place, kept: &[Rc<Session>]) -> Result<(), Trouble> {
    if connect::is_gone(place).await? {
        return Ok(());
    }
    if let Some(session) = give_back::alive(kept) {
        match by(session, place).await {
            Ok(()) => {
                switch::ensure_none(place).await?;
                return lasting::ensure_lifted(place).await;
            }
            // V1 is being restarted, say: by a new session, then.
            Err(trouble) => tracing::debug!("giving V1 back by the session that was open: {}", trouble.one_line()),
        }
    }
    // Nobody gets in where all places are taken, and nobody at all where V1 was started with the fence.
    switch::ensure_none(place).await?;
    lasting::ensure_started_without(place).await?;
    by(&give_back::connected(place).await?, place).await
}

async fn by(session: &Session, place: &Place) -> Result<(), Trouble> {
    give_back::ensure_locked(session, place).await?;
    let fenced = is_fenced(session).await?;
    if fenced {
        session.run("SET GLOBAL read_only = 0").await?;
        for statement in switch::give_back(&Before::of(&place.plan)?.serving) {
            session.run(&statement).await?;
        }
    }
    give_back::ensure_no_switch(session, place).await?;
    if fenced {
        give_back::prove_open(session, place).await?;
    }
    session.run(&format!("DO RELEASE_LOCK({})", locks::window_lock())).await
}

/// By a window of this run: its door is shut before anything else and opened after everything else. A V1 that its owner made
/// read-only meanwhile stays so.
async fn is_fenced(session: &Session) -> Result<bool, Trouble> {
    match session.number(&format!("SELECT @@GLOBAL.max_connections = {}", switch::SHUT)).await? {
        Some(fenced) => Ok(fenced == 1),
        None => Err(Trouble::failed("V1 does not say whether it is fenced")),
    }
}
