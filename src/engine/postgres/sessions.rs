//! Who is on V1 besides us: sessions it lists, and processes that are still authenticating, which it does not list.

use std::time::Duration;

use super::names::{admin, literal, replication};
use super::session::Session;
use crate::engine::ClientSession;
use crate::plan::Plan;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Background processes of the server itself. They cannot begin a transaction for a client. An autovacuum worker is
/// not among them: it takes transaction ids, so it is ended like a session (a held listener starts no new one).
const SERVERS_OWN: &str = "'checkpointer','background writer','walwriter','autovacuum launcher','archiver',\
    'logical replication launcher','startup','walsummarizer','walreceiver','slotsync worker','io worker','logger',\
    'stats collector'";

/// As a condition on `pg_stat_activity`: not of the server, not of this run.
pub(super) fn foreign(plan: &Plan) -> String {
    format!(
        "a.pid <> pg_backend_pid() AND a.backend_type NOT IN ({SERVERS_OWN}) \
         AND a.usename IS DISTINCT FROM {} AND a.usename IS DISTINCT FROM {}",
        literal(&admin(plan)),
        literal(&replication(plan)),
    )
}

/// Those of clients that came over a network. Whoever copies the log is none.
pub(super) async fn clients(session: &Session) -> Result<Vec<ClientSession>, Trouble> {
    session
        .json(
            "SELECT coalesce(json_agg(json_build_object('address', host(client_addr), \
             'application', coalesce(application_name, ''), 'user', coalesce(usename, ''))), '[]') \
             FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND client_addr IS NOT NULL AND pid <> pg_backend_pid()",
        )
        .await
}

/// Ends sessions and sees them gone. `which`: `FROM pg_stat_activity AS a WHERE …`.
pub(super) async fn ensure_ended(session: &Session, which: &str, what: &str, tell: &Teller) -> Result<(), Trouble> {
    let wait = Wait {
        what,
        limit: Limit { name: "limits.statement", value: Duration::from_secs(5) },
        every: Duration::from_millis(2),
        kind: Kind::Failed,
    };
    wait::until(wait, tell, async || {
        session.text(&format!("SELECT count(pg_terminate_backend(a.pid)) {which}")).await?;
        Ok(match session.text(&format!("SELECT count(*) {which}")).await?.as_deref() {
            Some("0") => Look::Done(()),
            other => Look::NotYet(format!("{} left", other.unwrap_or("unknown number"))),
        })
    })
    .await
}

/// Processes of the server that its list of sessions does not have: forked, not yet authenticated. Their rules are
/// those of the moment they were forked. (`pg_read_file` of `/proc` needs offset and length: such files have no size.)
/// A process that ends while we look is no longer there: missing is allowed.
pub(super) const AUTHENTICATING: &str = "\
    SELECT p.pid FROM (SELECT d::int AS pid FROM pg_ls_dir('/proc') AS d WHERE d ~ '^[0-9]+$') AS p \
    CROSS JOIN LATERAL (SELECT pg_read_file('/proc/' || p.pid || '/stat', 0, 4096, true) AS stat) AS s \
    CROSS JOIN LATERAL (SELECT regexp_split_to_array(substring(s.stat from '.*\\) (.*)'), ' ') AS fields) AS f \
    WHERE s.stat IS NOT NULL AND f.fields[1] NOT IN ('Z', 'X') \
    AND f.fields[2]::int = split_part(pg_read_file('postmaster.pid'), chr(10), 1)::int \
    AND NOT EXISTS (SELECT 1 FROM pg_stat_activity AS a WHERE a.pid = p.pid) \
    AND coalesce(encode(pg_read_binary_file('/proc/' || p.pid || '/cmdline', 0, 4096, true), 'escape'), '') \
        !~ '^postgres: ([^:]*: )?(stats collector|logger) *(\\\\000)*$'";

/// Pids now authenticating.
pub(super) async fn authenticating(session: &Session) -> Result<Vec<i32>, Trouble> {
    let list = format!("SELECT coalesce(string_agg(pid::text, ' '), '') FROM ({AUTHENTICATING}) AS x");
    let text = session.text(&list).await?.unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().map_err(|_| Trouble::bug("a process id that is no number"))).collect()
}
