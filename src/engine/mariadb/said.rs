//! One look at a server: what only MariaDB has.

use crate::engine::mysql_family::said::{self, Said, count};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

pub(super) async fn said(session: &Session) -> Result<Said, Trouble> {
    let mut said = said::said(session).await?;
    said.channels = u64::try_from(session.rows("SHOW ALL SLAVES STATUS").await?.len()).unwrap_or(u64::MAX);
    let encrypted =
        "SELECT COUNT(*) FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE ENCRYPTION_SCHEME <> 0";
    said.encrypted = count(session, encrypted).await?;
    Ok(said)
}
