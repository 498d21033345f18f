//! Giving V1 back to its clients: from any state the window can have left it in, by the tool, a resumed run or the guard. The
//! dead-man's switch does the same, by [`statements`].

use std::rc::Rc;

use super::before::{Before, Serving};
use crate::engine::Place;
use crate::engine::mysql_family::{connect, door, give_back, locks, names, switch};
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
            Ok(()) => return ensure_no_helpers(place).await,
            // V1 is being restarted, say: by a new session, then.
            Err(trouble) => tracing::debug!("giving V1 back by the session that was open: {}", trouble.one_line()),
        }
    }
    // Nobody gets in where all places are taken.
    door::ensure_ajar(place).await?;
    by(&give_back::connected(place).await?, place).await?;
    switch::ensure_none(place).await
}

async fn ensure_no_helpers(place: &Place) -> Result<(), Trouble> {
    switch::ensure_none(place).await?;
    door::ensure_unkept(place).await
}

async fn by(session: &Session, place: &Place) -> Result<(), Trouble> {
    give_back::ensure_locked(session, place).await?;
    refuse_others_fence(session, place).await?;
    let serving = Before::of(&place.plan)?.serving;
    let fenced = is_fenced(session, &serving).await?;
    if fenced {
        session.run("RESET PERSIST IF EXISTS super_read_only").await?;
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

/// By a window of this run: its door is shut before anything else and opened after everything else, and a restart leaves what
/// was persisted. A V1 that its owner made read-only meanwhile stays so, as everything does that he has set.
async fn is_fenced(session: &Session, serving: &Serving) -> Result<bool, Trouble> {
    let sql = format!(
        "SELECT {} OR EXISTS (SELECT 1 FROM performance_schema.persisted_variables WHERE variable_name = 'super_read_only')",
        door::was_shut(false, serving.max_connections)
    );
    match session.number(&sql).await? {
        Some(fenced) => Ok(fenced == 1),
        None => Err(Trouble::failed("V1 does not say whether it is fenced")),
    }
}

/// Only a fence of this run is lifted.
async fn refuse_others_fence(session: &Session, place: &Place) -> Result<(), Trouble> {
    let sql = "SELECT i.set_user FROM performance_schema.persisted_variables AS p \
               JOIN performance_schema.variables_info AS i ON i.variable_name = p.variable_name \
               WHERE p.variable_name = 'super_read_only'";
    match session.text(sql).await? {
        Some(user) if !user.is_empty() && user != names::admin(&place.plan) => {
            Err(Trouble::person("V1 is kept read-only by somebody else; it is not ours to lift")
                .because(Trouble::failed(format!("super_read_only was persisted by {}", user.escape_debug()))))
        }
        _ => Ok(()),
    }
}

/// What gives V1 back. Each is one statement; a durable fence stays.
pub(super) fn statements(serving: &Serving) -> Vec<String> {
    let unless_durable =
        |name: &str, value: String| format!("SET GLOBAL {name} = IF(@durable, @@GLOBAL.{name}, {value})");
    let mut statements = vec![
        "SET @durable = (SELECT COUNT(*) FROM performance_schema.persisted_variables WHERE variable_name = 'super_read_only')"
            .to_owned(),
        unless_durable("super_read_only", "0".into()),
        unless_durable("read_only", "0".into()),
    ];
    if serving.event_scheduler != "DISABLED" {
        statements.push(unless_durable("event_scheduler", literal(&serving.event_scheduler)));
    }
    // A whole number, by its type too.
    let most = serving.max_connections;
    statements
        .push(format!("SET GLOBAL max_connections = CAST(IF(@durable, @@GLOBAL.max_connections, {most}) AS UNSIGNED)"));
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_fence_is_never_lifted_by_the_switch() {
        let serving = Serving {
            server_id: 1,
            max_connections: 151,
            event_scheduler: "ON".into(),
            sync_binlog: 1,
            flush_log: 1,
            most_dirty: "90.000000".into(),
            least_dirty: "0.000000".into(),
        };
        let all = statements(&serving);
        assert!(all[0].contains("persisted_variables"));
        assert!(all[1..].iter().all(|statement| statement.contains("IF(@durable, @@GLOBAL.")));
        let disabled = statements(&Serving { event_scheduler: "DISABLED".into(), ..serving });
        assert!(!disabled.iter().any(|statement| statement.contains("event_scheduler")), "it cannot be set");
    }
}
