//! V2 is fit to serve: V1's access rules can be read by V2's version, planner statistics are there, sequences are set.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::databases::{self, Open};
use super::seed::jobs;
use super::{large, views};
use crate::engine::Place;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::session::Timeouts;
use crate::engine::postgres::{access, connect, files, open, warm};
use crate::tell::Unit;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

pub(super) async fn polish(place: &Place, all: &[Open]) -> Result<String, Trouble> {
    refuse_unread_rules(place, all).await?;
    if Before::of(&place.plan)?.archives {
        place.tell.warning(
            "V2 does not archive its log: to V1's archive it is another server; give it an archive of its own",
        );
    }
    let leader = Place { side: place.side.other(), ..place.clone() };
    let leader = databases::open(&leader, "switchover", Timeouts::short(place.plan.limits.statement.0)).await?;
    large::ensure_carried(place, &leader).await?;
    let (_, refreshed) = views::ensure_refreshed(place, &leader, all).await?;
    let analysed = analyse(place, all).await?;
    let names: Vec<String> = all.iter().map(|open| open.name.clone()).collect();
    let warmed = warm::warm(place, &names).await;
    checkpoint(place).await?;
    let refreshed = if refreshed == 0 { String::new() } else { format!("{refreshed} materialised views refreshed; ") };
    Ok(format!("V1's access rules and settings are ready on V2; {refreshed}{analysed} tables were analysed; {warmed}"))
}

/// V1's rules, read by V2's version behind its own closed door: first match wins.
async fn refuse_unread_rules(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    let Some(first) = all.first() else { return Ok(()) };
    let closed = access::closed(&place.plan);
    let tried = format!("{closed}{}", open::rules_of_leader(place).await?);
    files::write(place, "pg_hba.conf", tried.as_bytes()).await?;
    let wrong = "SELECT coalesce(string_agg(error, '; '), '') FROM pg_hba_file_rules WHERE error IS NOT NULL";
    let wrong = first.session.text(wrong).await;
    files::write(place, "pg_hba.conf", closed.as_bytes()).await?;
    match wrong?.as_deref() {
        Some("") => Ok(()),
        why => Err(Trouble::not_ready("V2's version does not understand V1's pg_hba.conf")
            .because(Trouble::failed(why.unwrap_or("it does not say why")))
            .hint("write the rule as both versions understand it, reload V1, `switchover resume`")),
    }
}

/// Without statistics the first queries on V2 would be planned blindly. A table that was analysed since it was filled, or has
/// V1's statistics (from 18 on a dump, and an upgrade, bring them, but for those of several columns), is left alone.
async fn analyse(place: &Place, all: &[Open]) -> Result<usize, Trouble> {
    const MISSING: &str = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.relpages DESC), '[]') \
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
        LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid \
        WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
        AND s.last_analyze IS NULL AND s.last_autoanalyze IS NULL AND (c.reltuples < 0 \
            OR c.reltuples > 0 AND NOT EXISTS (SELECT 1 FROM pg_statistic AS t WHERE t.starelid = c.oid) \
            OR EXISTS (SELECT 1 FROM pg_statistic_ext AS e WHERE e.stxrelid = c.oid \
                AND NOT EXISTS (SELECT 1 FROM pg_statistic_ext_data AS d WHERE d.stxoid = e.oid)))";
    let mut missing: Vec<(&Open, String)> = Vec::new();
    for open in all {
        let tables: Vec<String> = open.session.json(MISSING).await?;
        missing.extend(tables.into_iter().map(|table| (open, table)));
    }
    let total = missing.len();
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.max(Duration::from_secs(60)) };
    let tables = stream::iter(missing.iter().enumerate()).map(async |(number, (open, table))| {
        place.tell.progress("analysed", number as u64, Some(total as u64), None, Unit::Tables);
        let session = connect::admin_in(place, &open.name, "switchover analyse", Timeouts::NONE).await?;
        session.run(&format!("SET session_replication_role = replica; ANALYZE {table}")).await
    });
    let working = tables.buffer_unordered(jobs()).collect::<Vec<Result<(), Trouble>>>();
    let done = wait::within(limit, "statistics", async { Ok(working.await) }).await?;
    done.into_iter().collect::<Result<Vec<()>, Trouble>>()?;
    Ok(total)
}

/// What is written down now need not be written down in the window.
async fn checkpoint(place: &Place) -> Result<(), Trouble> {
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.max(Duration::from_secs(60)) };
    for side in [Place { side: place.side.other(), ..place.clone() }, place.clone()] {
        let what = format!("a checkpoint on {}", side.side);
        wait::within(limit, &what, async {
            connect::admin(&side, "switchover", Timeouts::NONE).await?.run("CHECKPOINT").await
        })
        .await?;
    }
    Ok(())
}
