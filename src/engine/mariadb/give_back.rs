//! Giving V1 back to its clients: from any state the window can have left it in, by the tool, a resumed run or the guard. The
//! dead-man's switch does the same, by [`statements`].

use std::rc::Rc;

use super::before::{Before, Serving};
use super::lasting;
use crate::engine::Place;
use crate::engine::mysql_family::{connect, door, give_back, locks, switch};
use crate::engine::mysql_wire::quote::literal;
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
                ensure_no_helpers(place).await?;
                return lasting::ensure_lifted(place).await;
            }
            // V1 is being restarted, say: by a new session, then.
            Err(trouble) => tracing::debug!("giving V1 back by the session that was open: {}", trouble.one_line()),
        }
    }
    // Nobody gets in where all places are taken, and nobody at all where V1 was started with the fence.
    door::ensure_ajar(place).await?;
    lasting::ensure_started_without(place).await?;
    by(&give_back::connected(place).await?, place).await?;
    switch::ensure_none(place).await
}

async fn ensure_no_helpers(place: &Place) -> Result<(), Trouble> {
    switch::ensure_none(place).await?;
    door::ensure_unkept(place).await
}

async fn by(session: &Session, place: &Place) -> Result<(), Trouble> {
    give_back::ensure_locked(session, place).await?;
    let serving = Before::of(&place.plan)?.serving;
    let fenced = is_fenced(session, &serving).await?;
    if fenced {
        session.run("SET GLOBAL read_only = 0").await?;
        for statement in statements(&serving) {
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
async fn is_fenced(session: &Session, serving: &Serving) -> Result<bool, Trouble> {
    match session.number(&format!("SELECT {}", door::was_shut(true, serving.max_connections))).await? {
        Some(fenced) => Ok(fenced == 1),
        None => Err(Trouble::failed("V1 does not say whether it is fenced")),
    }
}

/// What gives V1 back. Each is one statement; where the fence is to last, which `read_only` says, it stays.
pub(super) fn statements(serving: &Serving) -> Vec<String> {
    // As a number: among other texts the variable is one too.
    let mut statements = vec!["SET @lasts = (@@GLOBAL.read_only = 1)".to_owned()];
    if serving.event_scheduler != "DISABLED" {
        let was = literal(&serving.event_scheduler);
        statements.push(format!("SET GLOBAL event_scheduler = IF(@lasts, @@GLOBAL.event_scheduler, {was})"));
    }
    // A whole number, by its type too.
    let most = serving.max_connections;
    statements
        .push(format!("SET GLOBAL max_connections = CAST(IF(@lasts, @@GLOBAL.max_connections, {most}) AS UNSIGNED)"));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_that_lasts_is_never_lifted_by_the_switch() {
        let plan = super::super::window_on_a_server::plan();
        let serving = Before::of(&plan).unwrap().serving;
        let all = statements(&serving);
        assert_eq!(all.len(), 3);
        assert!(all[1..].iter().all(|statement| statement.contains("IF(@lasts, @@GLOBAL.")));
        let disabled = statements(&Serving { event_scheduler: "DISABLED".into(), ..serving });
        assert!(!disabled.iter().any(|statement| statement.contains("event_scheduler")), "it cannot be set");
    }
}
