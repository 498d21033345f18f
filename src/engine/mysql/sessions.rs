//! Whose sessions are on a server.

use super::connect::{Session, code_of};
use super::names;
use super::said::pairs;
use crate::engine::mysql_wire::quote::literal;
use crate::plan::Plan;
use crate::trouble::Trouble;

/// No such connection: it has ended by itself.
const UNKNOWN: u16 = 1094;

/// A condition on `performance_schema.threads AS t`: a session of somebody else's. Those still logging in have no user yet,
/// and count. The server's own threads have no number of a connection, or are daemons.
pub(super) fn foreign(plan: &Plan) -> String {
    let ours = [names::admin(plan), names::replication(plan)].map(|user| literal(&user)).join(", ");
    format!(
        "t.type = 'FOREGROUND' AND t.processlist_id IS NOT NULL AND t.processlist_id <> CONNECTION_ID() \
         AND COALESCE(t.processlist_command, '') <> 'Daemon' \
         AND COALESCE(t.processlist_user, '') NOT IN ({ours}, 'event_scheduler', 'mysql.session')"
    )
}

/// Ends one, if it is still there.
pub(super) async fn end(session: &Session, id: u64) -> Result<(), Trouble> {
    match session.run(&format!("KILL CONNECTION {id}")).await {
        Err(trouble) if code_of(&trouble) == Some(UNKNOWN) => Ok(()),
        other => other,
    }
}

/// All of this user's but this one.
pub(super) async fn end_of(session: &Session, user: &str) -> Result<(), Trouble> {
    let sql = format!(
        "SELECT processlist_id, '' FROM performance_schema.threads WHERE processlist_user = {} \
         AND processlist_id IS NOT NULL AND processlist_id <> CONNECTION_ID()",
        literal(user)
    );
    for (id, _) in pairs(session, &sql).await? {
        if let Ok(id) = id.parse() {
            end(session, id).await?;
        }
    }
    Ok(())
}
