//! What V1 holds in its cache is loaded into V2's, by relation, so that the first queries after the switch find it there.
//!
//! Neither server has to have the extensions that this takes: where they can be had, each is made in a transaction that is
//! rolled back, so that nobody else ever sees it. It is a kindness: what cannot be done is left, and said.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::connect;
use super::names::literal;
use super::session::{Session, Timeouts};
use crate::engine::Place;
use crate::trouble::Trouble;

/// Of one relation, as its leader has it cached.
#[derive(Serialize, Deserialize)]
struct Cached {
    /// Quoted, with its schema.
    name: String,
    blocks: u64,
}

/// Nothing of the user's acts on what we do: no event trigger.
const BEGIN: &str = "SET session_replication_role = replica; BEGIN";

const SCHEMA: &str = "switchover_warm";

/// Fewer blocks are read as fast as they are asked for.
const CACHED: &str = "SELECT coalesce(json_agg(json_build_object('name', format('%I.%I', n.nspname, c.relname), 'blocks', b.blocks) \
    ORDER BY b.blocks DESC), '[]') FROM (SELECT relfilenode, count(*) AS blocks FROM :extension.pg_buffercache \
    WHERE relforknumber = 0 AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    GROUP BY relfilenode HAVING count(*) >= 8) AS b \
    JOIN pg_class AS c ON pg_relation_filenode(c.oid) = b.relfilenode JOIN pg_namespace AS n ON n.oid = c.relnamespace \
    WHERE c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";

const LOAD: &str = "SELECT coalesce(sum(:extension.pg_prewarm(r.rel, 'buffer', 'main', 0, least(r.blocks, r.there) - 1)), 0) \
        * current_setting('block_size')::bigint \
    FROM (SELECT rel, blocks, pg_relation_size(rel) / current_setting('block_size')::bigint AS there FROM \
        (SELECT to_regclass(j ->> 'name') AS rel, (j ->> 'blocks')::bigint AS blocks FROM json_array_elements(:cached) AS j) AS n \
        WHERE rel IS NOT NULL) AS r WHERE r.there > 0";

/// No statement of ours outlives this, also when nobody waits for it any more: the window would wait for its transaction.
const TIMEOUTS: Timeouts = Timeouts { statement: Duration::from_secs(60), lock: Duration::from_secs(2) };

/// In all: databases after that stay cold.
const LONGEST: Duration = Duration::from_secs(300);

/// Says what was loaded.
pub(super) async fn warm(place: &Place, databases: &[String]) -> String {
    match load(place, databases).await {
        Ok(Some(bytes)) => format!("{} MB of what V1 has in its cache are in V2's", bytes / 1_000_000),
        Ok(None) => "V2's cache is cold: pg_buffercache or pg_prewarm is not to be had".into(),
        Err(trouble) => {
            place.tell.warning(format!("V2's cache is cold: {}", trouble.one_line()));
            "V2's cache is cold".into()
        }
    }
}

/// Bytes; `None`: not possible here.
async fn load(place: &Place, databases: &[String]) -> Result<Option<u64>, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let (began, mut bytes, mut could, mut room) = (Instant::now(), 0, false, None);
    for database in databases {
        if began.elapsed() > LONGEST {
            break;
        }
        // V2 first: V1 is asked for nothing that cannot be used.
        let v2 = connect::admin_in(place, database, "switchover warm", TIMEOUTS).await?;
        v2.run(BEGIN).await?;
        let Some(schema) = extension(&v2, "pg_prewarm").await? else { continue };
        let Some(cached) = cached(&leader, database).await? else { continue };
        could = true;
        let left = match room {
            Some(left) => left,
            None => shared_buffers(&v2).await? / 10 * 9,
        };
        let (cached, blocks) = as_much_as(left, cached);
        room = Some(left - blocks);
        for relation in cached {
            let text = serde_json::to_string(&[relation]);
            let text = text.map_err(|error| Trouble::bug("a list does not become text").because(error))?;
            let sql = LOAD.replace(":extension", &schema).replace(":cached", &literal(&text));
            let loaded = v2.text(&sql).await?.and_then(|bytes| bytes.parse::<u64>().ok());
            bytes += loaded.ok_or_else(|| Trouble::bug("V2 does not say how much it has loaded"))?;
        }
        v2.run("ROLLBACK").await?;
    }
    Ok(could.then_some(bytes))
}

/// What a database of the leader's has in the cache.
async fn cached(leader: &Place, database: &str) -> Result<Option<Vec<Cached>>, Trouble> {
    let v1 = connect::admin_in(leader, database, "switchover warm", TIMEOUTS).await?;
    v1.run(BEGIN).await?;
    let Some(schema) = extension(&v1, "pg_buffercache").await? else { return Ok(None) };
    let cached = v1.json(&CACHED.replace(":extension", &schema)).await?;
    v1.run("ROLLBACK").await?;
    Ok(Some(cached))
}

/// In blocks.
async fn shared_buffers(session: &Session) -> Result<u64, Trouble> {
    let text = session.text("SELECT setting FROM pg_settings WHERE name = 'shared_buffers'").await?;
    text.and_then(|blocks| blocks.parse().ok()).ok_or_else(|| Trouble::bug("shared_buffers is no number"))
}

/// The largest that fit.
fn as_much_as(room: u64, cached: Vec<Cached>) -> (Vec<Cached>, u64) {
    let mut taken = 0;
    let fits = |it: &Cached| {
        let fits = taken + it.blocks <= room;
        taken += if fits { it.blocks } else { 0 };
        fits
    };
    let kept: Vec<Cached> = cached.into_iter().filter(fits).collect();
    (kept, taken)
}

/// The schema of an extension, which is made for this transaction where it is not there. A standby cannot make one.
async fn extension(session: &Session, name: &str) -> Result<Option<String>, Trouble> {
    let there = format!(
        "SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace \
         WHERE e.extname = {}",
        literal(name)
    );
    if let Some(schema) = session.text(&there).await? {
        return Ok(Some(schema));
    }
    let could = format!(
        "SELECT count(*) > 0 AND NOT pg_is_in_recovery() FROM pg_available_extensions WHERE name = {}",
        literal(name)
    );
    if session.text(&could).await?.as_deref() != Some("t") {
        return Ok(None);
    }
    session.run(&format!("CREATE SCHEMA {SCHEMA}; CREATE EXTENSION {name} SCHEMA {SCHEMA}")).await?;
    Ok(Some(SCHEMA.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_and_smaller_ones_are_not() {
        let of = |blocks: u64| Cached { name: blocks.to_string(), blocks };
        let (kept, taken) = as_much_as(100, vec![of(70), of(50), of(30), of(1)]);
        assert_eq!((kept.iter().map(|it| it.blocks).collect::<Vec<_>>(), taken), (vec![70, 30], 100));
    }
}
