//! What an upgrade in place leaves to people: indexes in the order of V2's libraries, collation versions, extensions.

use futures_util::StreamExt;
use futures_util::stream;

use super::cluster::jobs;
use super::loader::Loader;
use crate::engine::Place;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names::ident;
use crate::engine::postgres::session::Session;
use crate::tell::Unit;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// On a server that nobody else uses.
pub(super) async fn rebuild(place: &Place, loader: &Loader) -> Result<(), Trouble> {
    let logical = Before::logical(&place.plan)?;
    let names = logical.databases.iter().map(|it| &it.name).chain(&logical.templates);
    let mut ordered = Vec::new();
    for name in names {
        let session = session(loader, name).await?;
        update_extensions(place, &session, name).await?;
        if logical.other_order || is_of_another_order(&session).await? {
            let indexes: Vec<String> = session.json(ORDERED).await?;
            ordered.extend(indexes.into_iter().map(|index| (name.clone(), index)));
        }
    }
    let limit = Limit { name: "limits.total", value: place.plan.limits.total.0 };
    wait::within(limit, "indexes in V2's order", reindex(place, loader, &ordered)).await?;
    let names = logical.databases.iter().map(|it| &it.name).chain(&logical.templates);
    for name in names {
        refresh_versions(&session(loader, name).await?, name).await?;
    }
    Ok(())
}

/// Nothing of the user's acts on what we do.
async fn session(loader: &Loader, database: &str) -> Result<Session, Trouble> {
    let session = loader.session(database).await?;
    session.run("SET session_replication_role = replica").await?;
    if session.major().await? >= 17 {
        session.run("SET event_triggers = off").await?;
    }
    Ok(session)
}

/// V1's files may have been written with another library than V1 has now: they know with which. Up to 14 they do not.
async fn is_of_another_order(session: &Session) -> Result<bool, Trouble> {
    if session.major().await? < 15 {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_database AS d WHERE d.datname = current_database() \
            AND d.datcollversion IS DISTINCT FROM pg_database_collation_actual_version(d.oid)) \
        OR EXISTS (SELECT 1 FROM pg_collation AS c WHERE c.collversion IS NOT NULL \
            AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database())) \
            AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid))";
    Ok(session.text(sql).await?.as_deref() == Some("t"))
}

/// Largest first. Byte order needs no library. What an expression or a condition depends on is not known, and documents, rows
/// and ranges are in the order of the text in them.
const ORDERED: &str = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, x.relname) ORDER BY x.relpages DESC), '[]') \
    FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = x.relnamespace \
    WHERE x.relkind = 'i' AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL \
        OR EXISTS (SELECT 1 FROM unnest(i.indcollation::oid[]) AS u(oid) \
            JOIN pg_collation AS c ON c.oid = u.oid WHERE c.collname NOT IN ('C', 'POSIX', 'ucs_basic', 'pg_c_utf8')) \
        OR EXISTS (SELECT 1 FROM unnest(i.indclass::oid[]) AS u(oid) JOIN pg_opclass AS o ON o.oid = u.oid \
            JOIN pg_type AS y ON y.oid = o.opcintype WHERE y.typname IN ('jsonb', 'record', 'anyrange', 'anymultirange')))";

async fn reindex(place: &Place, loader: &Loader, ordered: &[(String, String)]) -> Result<(), Trouble> {
    let total = ordered.len() as u64;
    let work = stream::iter(ordered.iter().enumerate()).map(async |(number, (database, index))| {
        place.tell.progress("indexes rebuilt", number as u64, Some(total), None, Unit::Tables);
        session(loader, database).await?.run(&format!("REINDEX INDEX {index}")).await.map_err(|trouble| {
            Trouble::failed(format!("index {index} of {database} cannot be built in V2's order")).because(trouble)
        })
    });
    work.buffer_unordered(jobs())
        .collect::<Vec<Result<(), Trouble>>>()
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

/// Otherwise every new session would be warned.
async fn refresh_versions(session: &Session, database: &str) -> Result<(), Trouble> {
    const OTHERS: &str = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.collname)), '[]') FROM pg_collation AS c \
        JOIN pg_namespace AS n ON n.oid = c.collnamespace WHERE c.collprovider <> 'd' AND c.collversion IS NOT NULL \
        AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid) \
        AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database()))";
    let others: Vec<String> = session.json(OTHERS).await?;
    for collation in others {
        session.run(&format!("ALTER COLLATION {collation} REFRESH VERSION")).await?;
    }
    // From 15 on a database has one, too.
    if session.major().await? >= 15 {
        session.run(&format!("ALTER DATABASE {} REFRESH COLLATION VERSION", ident(database))).await?;
    }
    Ok(())
}

/// To what V2's image has: a dump would have made them so, too.
async fn update_extensions(place: &Place, session: &Session, database: &str) -> Result<(), Trouble> {
    const OLD: &str = "SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions \
        WHERE installed_version IS NOT NULL AND installed_version <> default_version";
    let old: Vec<String> = session.json(OLD).await?;
    for extension in old {
        if let Err(trouble) = session.run(&format!("ALTER EXTENSION {} UPDATE", ident(&extension))).await {
            let why = trouble.one_line();
            place.tell.warning(format!("extension {extension} of {database} stays in its old version: {why}"));
        }
    }
    Ok(())
}
