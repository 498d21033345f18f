//! Whose sessions are on V1, in MySQL's own tables.

use crate::engine::mysql_family::names;
use crate::engine::mysql_wire::quote::literal;
use crate::plan::Plan;

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

/// Connection and whether it is idle. One whose transaction is open is not.
pub(super) fn idle_or_busy(plan: &Plan) -> String {
    format!(
        "SELECT t.processlist_id, IF(t.processlist_command = 'Sleep' AND e.thread_id IS NULL, 'idle', 'busy') \
         FROM performance_schema.threads AS t LEFT JOIN performance_schema.events_transactions_current AS e \
         ON e.thread_id = t.thread_id AND e.state = 'ACTIVE' WHERE {}",
        foreign(plan)
    )
}
