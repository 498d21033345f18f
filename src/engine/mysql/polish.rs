//! V2 is fit to serve: settings in force are V1's, or named; and what V1 has in its cache V2 has too.

use std::time::Duration;

use super::before::Before;
use super::seed::Seed;
use crate::config::quantity::Bytes;
use crate::engine::Place;
use crate::engine::mysql_family::{connect, settings};
use crate::engine::mysql_wire::session::Session;
use crate::runtime::File;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Settings that differ on purpose while V2 follows, or by nature.
const APART: &[&str] = &[
    "binlog_expire_logs_auto_purge",
    "clone_valid_donor_list",
    "event_scheduler",
    "general_log_file",
    "gtid_executed",
    "gtid_owned",
    "gtid_purged",
    "hostname",
    "innodb_flush_log_at_trx_commit",
    "innodb_buffer_pool_size",
    "innodb_redo_log_capacity",
    "log_bin_basename",
    "log_bin_index",
    "read_only",
    "relay_log",
    "relay_log_basename",
    "relay_log_index",
    "server_id",
    "server_uuid",
    "slow_query_log_file",
    "super_read_only",
    "sync_binlog",
    "innodb_version",
    "license",
];

pub(super) async fn polish(v1: &Session, v2: &Session, place: &Place) -> Result<String, Trouble> {
    let settings = settings::compared(v1, v2, APART, &place.tell).await?;
    let warmed = match Seed::of(&place.plan) {
        // Its pages are V1's, by number.
        Seed::Backup => {
            warmed(v1, v2, place).await.unwrap_or_else(|trouble| format!("cache not warmed: {}", trouble.one_line()))
        }
        Seed::Dump => "cache as the copy left it".to_owned(),
    };
    Ok(format!("V1's accounts and settings are on V2; {settings}; {warmed}"))
}

/// V1 writes down which pages are in its cache, as it does at each of its own stops; V2 reads these.
async fn warmed(v1: &Session, v2: &Session, place: &Place) -> Result<String, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let file = v1.text("SELECT @@GLOBAL.innodb_buffer_pool_filename").await?.unwrap_or_default();
    v1.run("SET GLOBAL innodb_buffer_pool_dump_now = ON").await?;
    done(v1, "Innodb_buffer_pool_dump_status", place).await?;
    let at = |place: &Place| format!("{}/{file}", connect::data(place).trim_end_matches('/'));
    let list = place.runtime.read_file(&connect::container(&leader).await?, &at(&leader)).await?;
    let list = list.ok_or_else(|| Trouble::failed("V1's list of pages is not where it says"))?;
    let pages = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    let [_, (uid, gid)] = Before::of(&place.plan)?.owners;
    let copy = File { path: at(place), content: list, mode: 0o640, uid, gid };
    place.runtime.put_file(&connect::container(place).await?, &copy).await?;
    v2.run("SET GLOBAL innodb_buffer_pool_load_now = ON").await?;
    done(v2, "Innodb_buffer_pool_load_status", place).await?;
    let size = v2.number("SELECT @@GLOBAL.innodb_page_size").await?.unwrap_or_default();
    Ok(format!("{} of V1's cache loaded", Bytes(size * u64::try_from(pages).unwrap_or(0))))
}

async fn done(session: &Session, status: &str, place: &Place) -> Result<(), Trouble> {
    let sql = format!("SELECT variable_value FROM performance_schema.global_status WHERE variable_name = '{status}'");
    let wait = Wait {
        what: "the cache to be warm",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.min(Duration::from_secs(600)) },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let said = session.text(&sql).await?.unwrap_or_default();
        Ok(if said.contains("completed at") { Look::Done(()) } else { Look::NotYet(said) })
    })
    .await
}
