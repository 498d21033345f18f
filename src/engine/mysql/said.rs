//! One look at a server: what only MySQL has.

use crate::engine::mysql_family::said::{self, OWN_SCHEMAS, Said, count};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// Beside [`Said`].
#[derive(Clone, Debug, Default)]
pub(super) struct Own {
    /// Name and value of what was set for good (SET PERSIST).
    pub(super) persisted: Vec<(String, String)>,
    pub(super) group_members: u64,
    /// The server's own means of copying is installed.
    pub(super) has_clone: bool,
}

pub(super) async fn said(session: &Session) -> Result<(Said, Own), Trouble> {
    let mut said = said::said(session).await?;
    said.channels =
        count(session, "SELECT COUNT(*) FROM performance_schema.replication_connection_configuration WHERE host <> ''")
            .await?;
    let encrypted = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
         AND table_schema NOT IN ({OWN_SCHEMAS}) AND create_options LIKE '%ENCRYPTION=%Y%'"
    );
    said.encrypted = count(session, &encrypted).await?;
    let persisted = "SELECT variable_name, variable_value FROM performance_schema.persisted_variables ORDER BY 1";
    let members = "SELECT COUNT(*) FROM performance_schema.replication_group_members \
                   WHERE member_state <> 'OFFLINE' AND member_id <> ''";
    let clone = "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'";
    let own = Own {
        persisted: session.pairs(persisted).await?,
        group_members: count(session, members).await?,
        has_clone: count(session, clone).await? > 0,
    };
    Ok((said, own))
}
