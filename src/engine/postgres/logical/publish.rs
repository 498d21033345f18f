//! The leader's side: what is published, by which tables' keys, and the slots.
//!
//! Tables are named one by one. A publication of all tables would also take in one that is made later without a key, and
//! the leader would then refuse its clients' updates of it (PostgreSQL 18 documentation, "Publication").

use std::time::Duration;

use super::databases::{self, Open};
use super::found::{Identity, Marked, OF_USERS};
use crate::engine::Place;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names::{self, ident, literal};
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::{prepare, roles};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Every table of a user's that can be published, quoted.
const TABLES: &str = "SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY 1), '[]') \
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE ";

const TOLD_APART: &str = "(c.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = c.oid \
    AND i.indimmediate AND i.indisvalid AND (c.relreplident = 'd' AND i.indisprimary OR c.relreplident = 'i' AND i.indisreplident)))";

/// Every table of every database is published, and changed rows can be told apart.
pub(super) async fn ensure_published(place: &Place) -> Result<usize, Trouble> {
    let before = Before::logical(&place.plan)?;
    let mut tables = 0;
    for open in databases::open(place, "switchover", timeouts(place)).await? {
        for identity in before.databases.get(open.number).into_iter().flat_map(|it| &it.identities) {
            ensure_marked(&open, place, identity).await?;
        }
        tables += ensure_publication(&open, place).await?;
    }
    Ok(tables)
}

fn timeouts(place: &Place) -> Timeouts {
    Timeouts::short(place.plan.limits.statement.0)
}

pub(super) async fn ensure_publication(open: &Open, place: &Place) -> Result<usize, Trouble> {
    let name = names::publication(&place.plan);
    let exists = format!("SELECT count(*) FROM pg_publication WHERE pubname = {}", literal(&name));
    if open.session.text(&exists).await?.as_deref() == Some("0") {
        let owner = roles::first_superuser(&open.session).await?;
        let name = ident(&name);
        // Both or none: what belongs to our role would keep it from being dropped.
        let make = format!("BEGIN; CREATE PUBLICATION {name}; ALTER PUBLICATION {name} OWNER TO {owner}; COMMIT");
        open.session.run(&make).await?;
    }
    // One whose rows cannot be told apart is never published: V1 would refuse its clients' updates of it.
    let all: Vec<String> = open.session.json(&format!("{TABLES}{OF_USERS} AND {TOLD_APART}")).await?;
    let published = format!(
        "{TABLES}{OF_USERS} AND c.oid IN (SELECT r.prrelid FROM pg_publication_rel AS r \
         JOIN pg_publication AS p ON p.oid = r.prpubid WHERE p.pubname = {})",
        literal(&name)
    );
    let published: Vec<String> = open.session.json(&published).await?;
    let missing: Vec<&String> = all.iter().filter(|table| !published.contains(table)).collect();
    for some in missing.chunks(200) {
        let list = some.iter().map(|table| format!("ONLY {table}")).collect::<Vec<_>>().join(", ");
        let add = format!("ALTER PUBLICATION {} ADD TABLE {list}", ident(&name));
        patiently(&open.session, place, "V1's tables to be free for the publication", &add).await?;
    }
    Ok(all.len())
}

/// Every table of every database is published: what was made after the publication, or has no key, would be missed.
pub(super) async fn refuse_unpublished(place: &Place, leader: &[Open]) -> Result<(), Trouble> {
    let name = literal(&names::publication(&place.plan));
    let not = format!(
        "{TABLES}{OF_USERS} AND NOT EXISTS (SELECT 1 FROM pg_publication_rel AS r JOIN pg_publication AS p \
         ON p.oid = r.prpubid WHERE p.pubname = {name} AND r.prrelid = c.oid)"
    );
    let mut missing = Vec::new();
    for open in leader {
        let tables: Vec<String> = open.session.json(&not).await?;
        missing.extend(tables.into_iter().map(|table| format!("{table} in {}", open.name)));
    }
    if missing.is_empty() {
        return refuse_other_databases(place, leader).await;
    }
    Err(Trouble::not_ready(format!("tables of V1 are not followed: {}", missing.join(", ").escape_debug()))
        .hint("`switchover abort`, then run again: the new plan knows them"))
}

/// Databases are those of the plan.
async fn refuse_other_databases(place: &Place, leader: &[Open]) -> Result<(), Trouble> {
    const NOW: &str = "SELECT coalesce(json_agg(datname), '[]') FROM pg_database WHERE NOT datistemplate";
    let Some(first) = leader.first() else { return Ok(()) };
    let known = Before::logical(&place.plan)?.databases;
    let mut now: Vec<String> = first.session.json(NOW).await?;
    now.retain(|name| !known.iter().any(|database| database.name == *name));
    if now.is_empty() {
        return Ok(());
    }
    Err(Trouble::not_ready(format!("databases were made on V1 since the plan: {}", now.join(", ").escape_debug()))
        .hint("`switchover abort`, then run again: the new plan knows them"))
}

/// A statement that needs a lock which clients or a vacuum may hold: tried again until it has it, so that it never waits
/// for long in front of others.
async fn patiently(session: &Session, place: &Place, what: &str, statement: &str) -> Result<(), Trouble> {
    let wait = Wait {
        what,
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.min(Duration::from_secs(600)) },
        every: Duration::from_millis(500),
        kind: Kind::NotReady,
    };
    // Whoever waits for a lock makes others wait behind: not for long, and not often.
    session.run("SET lock_timeout = '50ms'").await?;
    wait::until(wait, &place.tell, async || match session.run(statement).await {
        Ok(()) => Ok(Look::Done(())),
        // lock_not_available
        Err(trouble) if trouble.what.contains("(55P03)") => Ok(Look::NotYet("another session has a lock".into())),
        Err(trouble) => Err(trouble),
    })
    .await
}

async fn ensure_marked(open: &Open, place: &Place, identity: &Identity) -> Result<(), Trouble> {
    let wanted = match &identity.index {
        Some(index) => Marked::Index(index.clone()),
        None => Marked::Full,
    };
    set_mark(open, place, identity, &wanted).await
}

async fn restore_mark(open: &Open, place: &Place, identity: &Identity) -> Result<(), Trouble> {
    set_mark(open, place, identity, &identity.was).await
}

/// Nothing where the table is gone, or is marked so already.
async fn set_mark(open: &Open, place: &Place, identity: &Identity, mark: &Marked) -> Result<(), Trouble> {
    let table = format!("{}.{}", ident(&identity.schema), ident(&identity.table));
    let now = format!(
        "SELECT c.relreplident::text || coalesce(' ' || (SELECT x.relname FROM pg_index AS i \
         JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisreplident), '') \
         FROM pg_class AS c WHERE c.oid = to_regclass({})",
        literal(&table)
    );
    let (is, statement) = match mark {
        Marked::Default => ("d".to_owned(), "DEFAULT".to_owned()),
        Marked::Nothing => ("n".to_owned(), "NOTHING".to_owned()),
        Marked::Full => ("f".to_owned(), "FULL".to_owned()),
        Marked::Index(index) => (format!("i {index}"), format!("USING INDEX {}", ident(index))),
    };
    match open.session.text(&now).await? {
        Some(now) if now != is => {
            let alter = format!("ALTER TABLE ONLY {table} REPLICA IDENTITY {statement}");
            patiently(&open.session, place, &format!("table {table} to be free for its new mark"), &alter).await
        }
        _ => Ok(()),
    }
}

/// Slots, publications and marks of this run are gone from the leader. `session`: in any database.
pub(super) async fn ensure_unpublished(place: &Place, session: &Session) -> Result<(), Trouble> {
    ensure_no_slots(place, session).await?;
    let before = Before::logical(&place.plan)?;
    for open in databases::reachable(place, timeouts(place)).await? {
        let drop = format!("DROP PUBLICATION IF EXISTS {}", ident(&names::publication(&place.plan)));
        patiently(&open.session, place, "the publication to be free", &drop).await?;
        for identity in before.databases.get(open.number).into_iter().flat_map(|it| &it.identities) {
            restore_mark(&open, place, identity).await?;
        }
    }
    Ok(())
}

pub(super) async fn ensure_no_slots(place: &Place, session: &Session) -> Result<(), Trouble> {
    for number in 0..Before::logical(&place.plan)?.databases.len() {
        prepare::ensure_no_slot(session, place, &names::slot_of(&place.plan, number)).await?;
    }
    Ok(())
}

/// A slot in each database, from now on. The publications must be there already.
pub(super) async fn ensure_slots(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    futures_util::future::try_join_all(all.iter().map(async |open| {
        let name = literal(&names::slot_of(&place.plan, open.number));
        let make = format!(
            "SELECT pg_create_logical_replication_slot({name}, 'pgoutput') \
             WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = {name})"
        );
        open.session.run(&make).await
    }))
    .await
    .map(drop)
}

/// All of this run's slots are there. (They are made last, so that this says what came before.)
pub(super) async fn has_slots(place: &Place, session: &Session) -> Result<bool, Trouble> {
    let databases = Before::logical(&place.plan)?.databases.len();
    let names: Vec<String> = (0..databases).map(|number| literal(&names::slot_of(&place.plan, number))).collect();
    let sql = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name IN ({})", names.join(", "));
    Ok(session.text(&sql).await? == Some(databases.to_string()))
}
