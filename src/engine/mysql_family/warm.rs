//! V2's cache is warm: with what V1's holds, where V2's pages are V1's, by number; else with whole tables, as far as they fit in.

use std::time::Duration;

use super::connect::{self, Session, Timeouts};
use super::mark;
use super::said::OWN_SCHEMAS;
use crate::config::quantity::Bytes;
use crate::engine::Place;
use crate::engine::mysql_wire::quote::qualified;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// What was done, for the step; a cache that stays cold is no reason to stop.
pub(in crate::engine) async fn ensure_warm(v1: &Session, v2: &Session, place: &Place, owner: (u64, u64)) -> String {
    let warmed = warmed(v1, v2, place, owner).await;
    warmed.unwrap_or_else(|trouble| format!("cache not warmed: {}", trouble.one_line()))
}

/// V1 writes down which pages are in its cache, as it does at each of its own stops; V2 reads these.
async fn warmed(v1: &Session, v2: &Session, place: &Place, owner: (u64, u64)) -> Result<String, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let file = v1.text("SELECT @@GLOBAL.innodb_buffer_pool_filename").await?.unwrap_or_default();
    v1.run("SET GLOBAL innodb_buffer_pool_dump_now = ON").await?;
    done(v1, "Innodb_buffer_pool_dump_status", place).await?;
    let list = mark::read(&leader, &file).await?;
    let list = list.ok_or_else(|| Trouble::failed("V1's list of pages is not where it says"))?;
    let pages = list.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    mark::write(place, owner, &file, list).await?;
    v2.run("SET GLOBAL innodb_buffer_pool_load_now = ON").await?;
    done(v2, "Innodb_buffer_pool_load_status", place).await?;
    let size = v2.number("SELECT @@GLOBAL.innodb_page_size").await?.unwrap_or_default();
    Ok(format!("{} of V1's cache loaded", Bytes(size * u64::try_from(pages).unwrap_or(0))))
}

/// More than this of its cache a server needs for other things.
const OF_CACHE: u64 = 80;

/// What is read for longer than this is read by clients.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// Whole tables, the smaller ones first, as most lookups are of these; a cache that stays cold is no reason to stop.
pub(in crate::engine) async fn ensure_read(place: &Place) -> String {
    let limit = Limit { name: "60 s", value: READ_WITHIN.min(place.plan.limits.catch_up.0) };
    match wait::within(limit, "reading tables into V2's cache", read(place)).await {
        Ok(bytes) => format!("{} of tables read into V2's cache", Bytes(bytes)),
        Err(trouble) => format!("cache not warmed: {}", trouble.one_line()),
    }
}

async fn read(place: &Place) -> Result<u64, Trouble> {
    let patience = Timeouts { statement: READ_WITHIN, lock: Duration::from_secs(2) };
    let v2 = connect::admin(place, patience).await?;
    let cache = v2.number("SELECT @@GLOBAL.innodb_buffer_pool_size").await?.unwrap_or_default();
    let tables = format!(
        "SELECT table_schema, table_name, data_length FROM information_schema.tables WHERE engine = 'InnoDB' \
         AND table_type = 'BASE TABLE' AND table_schema NOT IN ({OWN_SCHEMAS}) ORDER BY data_length"
    );
    let mut read = 0;
    for table in v2.rows(&tables).await? {
        let [Some(schema), Some(name), Some(bytes)] = &table[..] else { continue };
        read += bytes.parse::<u64>().unwrap_or(0);
        if read > cache / 100 * OF_CACHE {
            return Ok(read - bytes.parse::<u64>().unwrap_or(0));
        }
        // Of the rows themselves, and of no index beside them.
        v2.run(&format!("SELECT COUNT(*) FROM {} USE INDEX ()", qualified(schema, name))).await?;
    }
    Ok(read)
}

async fn done(session: &Session, status: &str, place: &Place) -> Result<(), Trouble> {
    let sql = format!("SHOW GLOBAL STATUS LIKE '{status}'");
    let wait = Wait {
        what: "the cache to be warm",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.min(Duration::from_secs(600)) },
        every: Duration::from_millis(100),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let said = session.pairs(&sql).await?.into_iter().next().map(|(_, said)| said).unwrap_or_default();
        Ok(if said.contains("completed at") { Look::Done(()) } else { Look::NotYet(said) })
    })
    .await
}
