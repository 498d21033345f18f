//! Materialised views: no log carries what REFRESH does to one. Which of the leader's were refreshed shows by their files, and
//! (CONCURRENTLY keeps the file) by how many rows were ever written to them. Those are refreshed on the follower, too, when it
//! has applied what the leader's were made of: it is never behind the leader, and may be ahead.
//!
//! What the follower's are like is written down beside its copy; nothing is: it is not known, and all of them are refreshed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::databases::Open;
use super::follow;
use crate::engine::Place;
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::{connect, files, prepare};
use crate::tell::Unit;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// A materialised view at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    file: String,
    populated: bool,
    /// How many rows were ever written to it; `None`: this was not asked.
    written: Option<String>,
}

/// By database and quoted name.
pub(super) type Marks = BTreeMap<String, BTreeMap<String, Mark>>;

const MARKS: &str = "SELECT coalesce(json_object_agg(format('%I.%I', n.nspname, c.relname), json_build_object(
    'file', c.oid || ' ' || c.relfilenode, 'populated', c.relispopulated, 'written', :written)), '{}')
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'm'";

const WRITTEN: &str = "pg_stat_get_tuples_inserted(c.oid) || ' ' || pg_stat_get_tuples_deleted(c.oid)";

/// Up to 14 a collector is asked, which may take its time.
const WRITTEN_AT_ONCE: &str = "CASE WHEN current_setting('server_version_num')::int >= 150000 \
    THEN pg_stat_get_tuples_inserted(c.oid) || ' ' || pg_stat_get_tuples_deleted(c.oid) END";

/// What they are made of first, views in between; a circle of views has no depth and is cut.
const IN_ORDER: &str = "WITH RECURSIVE made_of AS (
    SELECT DISTINCT r.ev_class AS view, d.refobjid AS of FROM pg_rewrite AS r JOIN pg_depend AS d
      ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class AS c ON c.oid = d.refobjid WHERE d.refobjid <> r.ev_class AND c.relkind IN ('v', 'm')),
  deep(oid, depth) AS (SELECT oid, 0 FROM pg_class WHERE relkind = 'm' UNION
    SELECT m.view, deep.depth + 1 FROM deep JOIN made_of AS m ON m.of = deep.oid WHERE deep.depth < 64)
  SELECT coalesce(json_agg(name ORDER BY depth, name), '[]') FROM (
    SELECT format('%I.%I', n.nspname, c.relname) AS name, max(deep.depth) AS depth FROM deep
      JOIN pg_class AS c ON c.oid = deep.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE c.relkind = 'm' GROUP BY 1) AS x";

/// Which there are on the leader, as they are now.
pub(super) async fn look(leader: &[Open]) -> Result<Marks, Trouble> {
    marked(leader, WRITTEN).await
}

async fn marked(leader: &[Open], written: &str) -> Result<Marks, Trouble> {
    let sql = MARKS.replace(":written", written);
    let each = leader.iter().map(async |open| Ok((open.name.clone(), open.session.json(&sql).await?)));
    Ok(try_join_all(each).await?.into_iter().collect())
}

pub(super) async fn write_down(follower: &Place, marks: &Marks) -> Result<(), Trouble> {
    let text = serde_json::to_vec(marks).map_err(|error| Trouble::bug("marks do not become text").because(error))?;
    files::write(follower, files::VIEWS, &text).await
}

async fn written_down(follower: &Place) -> Result<Marks, Trouble> {
    let Some(text) = files::read(follower, files::VIEWS).await? else { return Ok(Marks::new()) };
    serde_json::from_slice(&text)
        .map_err(|error| Trouble::failed("what V2's materialised views are like cannot be read").because(error))
}

/// Quoted names by database: those that were refreshed since, or of which nothing is known.
fn refreshed(then: &Marks, now: &Marks) -> BTreeMap<String, Vec<String>> {
    let since = |database: &String, name: &String, mark: &Mark| {
        let was = then.get(database).and_then(|of| of.get(name));
        was.is_none_or(|was| {
            let both_asked = was.written.is_some() && mark.written.is_some();
            was.file != mark.file || was.populated != mark.populated || both_asked && was.written != mark.written
        })
    };
    let mut all = BTreeMap::new();
    for (database, marks) in now {
        let names: Vec<String> =
            marks.iter().filter(|(name, mark)| since(database, name, mark)).map(|(name, _)| name.clone()).collect();
        if !names.is_empty() {
            all.insert(database.clone(), names);
        }
    }
    all
}

/// The follower's are not older than the leader's are at this moment, which is returned with how many were refreshed.
pub(super) async fn ensure_refreshed(
    place: &Place,
    leader: &[Open],
    follower: &[Open],
) -> Result<(Marks, usize), Trouble> {
    let (then, now) = (written_down(place).await?, look(leader).await?);
    let stale = refreshed(&then, &now);
    if stale.is_empty() {
        return Ok((now, 0));
    }
    until_applied(place, leader).await?;
    let total: usize = stale.values().map(Vec::len).sum();
    let (mut done, mut have) = (0, now.clone());
    for open in follower {
        let Some(names) = stale.get(&open.name) else { continue };
        let in_order: Vec<String> = open.session.json(IN_ORDER).await?;
        let session = connect::admin_in(place, &open.name, "switchover refresh", Timeouts::NONE).await?;
        session.run("SET session_replication_role = replica").await?;
        for name in in_order.iter().filter(|name| names.contains(name)) {
            place.tell.progress("refreshed", done as u64, Some(total as u64), None, Unit::Tables);
            let populated = now.get(&open.name).and_then(|of| of.get(name)).is_some_and(|mark| mark.populated);
            match refresh(place, &session, name, populated).await {
                Ok(()) => done += 1,
                Err(trouble) => {
                    place.tell.warning(stays_behind(&open.name, name, &trouble));
                    // It is tried again.
                    have.get_mut(&open.name).and_then(|of| of.remove(name));
                }
            }
        }
    }
    write_down(place, &have).await?;
    Ok((now, done))
}

fn stays_behind(database: &str, name: &str, why: &Trouble) -> String {
    format!(
        "materialised view {name} in {database} cannot be refreshed on V2 and is older there than on V1 ({}): \
         REFRESH it when V2 serves",
        why.one_line()
    )
    .escape_debug()
    .to_string()
}

async fn refresh(place: &Place, session: &Session, name: &str, populated: bool) -> Result<(), Trouble> {
    let how = if populated { "" } else { " WITH NO DATA" };
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.max(Duration::from_secs(60)) };
    let what = format!("materialised view {name}");
    wait::within(limit, &what, session.run(&format!("REFRESH MATERIALIZED VIEW {name}{how}"))).await
}

/// What the leader's were made of is there.
async fn until_applied(place: &Place, leader: &[Open]) -> Result<(), Trouble> {
    let Some(first) = leader.first() else { return Ok(()) };
    let at = prepare::written(&first.session).await?;
    let wait = Wait {
        what: "V2 to have what V1's materialised views were made of",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(20),
        kind: Kind::NotReady,
    };
    wait::until(wait, &place.tell, async || {
        Ok(match follow::has_applied(place, &first.session, &at).await? {
            true => Look::Done(()),
            false => Look::NotYet(format!("V2 has not applied {at} yet")),
        })
    })
    .await
}

/// For use inside the window, behind the fence: those that were refreshed on the leader since the follower was called ready.
pub(super) async fn refreshed_since(then: &Marks, leader: &[Open]) -> Result<Vec<String>, Trouble> {
    if then.values().all(BTreeMap::is_empty) {
        return Ok(Vec::new());
    }
    let now = marked(leader, WRITTEN_AT_ONCE).await?;
    let named = refreshed(then, &now).into_iter();
    Ok(named.flat_map(|(database, names)| names.into_iter().map(move |name| format!("{name} in {database}"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(file: &str, written: Option<&str>) -> Mark {
        Mark { file: file.into(), populated: true, written: written.map(Into::into) }
    }

    fn marks(all: &[(&str, Mark)]) -> Marks {
        Marks::from([("shop".into(), all.iter().map(|(name, mark)| ((*name).into(), mark.clone())).collect())])
    }

    #[test]
    fn a_refresh_of_either_kind_shows() {
        let then = marks(&[("a", mark("1", Some("5 0"))), ("b", mark("2", Some("5 0")))]);
        assert!(refreshed(&then, &then).is_empty());
        let of = |all: &[(&str, Mark)]| refreshed(&then, &marks(all)).remove("shop").unwrap_or_default();
        assert_eq!(of(&[("a", mark("9", Some("5 0"))), ("b", mark("2", Some("5 0")))]), ["a"]);
        assert_eq!(of(&[("b", mark("2", Some("6 1")))]), ["b"], "concurrently");
        assert_eq!(of(&[("b", mark("2", None))]), Vec::<String>::new(), "not asked");
        assert_eq!(of(&[("c", mark("3", Some("0 0")))]), ["c"], "nothing is known of it");
        let empty = Mark { populated: false, ..mark("1", Some("5 0")) };
        assert_eq!(of(&[("a", empty)]), ["a"]);
    }
}
