//! Whose sessions are on V1, in MariaDB's own tables.

use crate::engine::mysql_family::names;
use crate::engine::mysql_wire::quote::literal;
use crate::plan::Plan;

/// A condition on `information_schema.PROCESSLIST AS p`: a session of somebody else's, those still logging in included. The
/// server's own threads are daemons or the `system user`.
pub(super) fn foreign(plan: &Plan) -> String {
    let ours = [names::admin(plan), names::replication(plan)].map(|user| literal(&user)).join(", ");
    format!(
        "p.ID <> CONNECTION_ID() AND COALESCE(p.COMMAND, '') <> 'Daemon' \
         AND COALESCE(p.USER, '') NOT IN ({ours}, 'system user', 'event_scheduler')"
    )
}

/// Connection and whether it is idle. Whether its transaction is open is another question: [`TRANSACTIONS`].
pub(super) fn idle_or_busy(plan: &Plan) -> String {
    format!(
        "SELECT p.ID, IF(p.COMMAND = 'Sleep', 'idle', 'busy') FROM information_schema.PROCESSLIST AS p WHERE {}",
        foreign(plan)
    )
}

/// `INNODB_TRX` would say the same, and as it was a tenth of a second ago to whoever asks more often.
pub(super) const TRANSACTIONS: &str = "SHOW ENGINE INNODB STATUS";
