//! V2 is to serve: it writes already, so that what is left is to have everything for certain, V1's sequences, and the slots
//! from which V1 can follow. Turned back, it goes on applying: nobody but us has written to it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{self, LocalBoxFuture, try_join, try_join_all, try_join4};

use super::databases::Open;
use super::sequences::{self, Sequences};
use super::unlogged::Pipes;
use super::views::{self, Marks};
use super::{follow, large, publish, triggers};
use crate::engine::Place;
use crate::engine::postgres::names::literal;
use crate::engine::postgres::session::Session;
use crate::trouble::Trouble;
use crate::wait::human;

/// Opened and read before the window.
pub(super) struct Ready {
    /// Sessions in each database of the leader and of the follower.
    pub(super) leader: Vec<Open>,
    pub(super) follower: Vec<Open>,
    /// Of each database.
    pub(super) sequences: Vec<Rc<Sequences>>,
    pub(super) triggers: triggers::Known,
    /// For what no log carries.
    pub(super) unlogged: Pipes,
    pub(super) large: large::Pairs,
    /// The leader's materialised views, when the follower's were not older.
    pub(super) views: Marks,
    /// The leader's catalogs, as they were when its schema was last compared.
    pub(super) catalogs: Vec<String>,
    pub(super) reading: RefCell<Option<Reading>>,
}

/// The leader's catalogs and sequences, read behind the fence.
type Reading = LocalBoxFuture<'static, Result<(Vec<String>, sequences::Values), Trouble>>;

impl Ready {
    /// Behind the fence: the leader answers while the follower still applies. Once in a window.
    pub(super) fn begin_to_read(&self) {
        let mut reading = self.reading.borrow_mut();
        if reading.is_none() {
            let mut begun = self.read();
            // The questions are sent by this; the answers are waited for when all is applied.
            let done = (&mut begun).now_or_never();
            *reading = Some(done.map_or(begun, |done| future::ready(done).boxed_local()));
        }
    }

    fn read(&self) -> Reading {
        let (sequences, leader) = (self.sequences.clone(), self.leader.clone());
        async move { try_join(catalogs(&leader), sequences::read(&sequences, &leader)).await }.boxed_local()
    }

    pub(super) fn is_alive(&self) -> bool {
        self.leader.iter().chain(&self.follower).all(|open| open.session.is_alive())
            && self.sequences.iter().all(|sequences| sequences.is_alive())
            && self.large.are_alive()
    }
}

/// A few catalogs, by which versions of which rows they have: DDL leaves a trace in one of them. Temporary tables
/// come and go, and what `TRUNCATE` changes of a table is not its schema. A row that was changed since another look bears a
/// transaction that the look did not see: their sum tells, and is quick. Columns are looked up relation by relation, as most of
/// them may be sequences' own.
const CATALOGS: &str =
    "WITH lasting AS (SELECT c.oid, c.relname, c.relnamespace, c.relnatts, c.reloptions, c.relpersistence,
    c.relrowsecurity, c.relispartition FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid >= 16384 AND c.relkind <> 'S' AND n.nspname !~ '^pg_(toast_)?temp_' AND n.nspname <> 'pg_toast')
  SELECT string_agg(x.c || ':' || x.n || ':' || x.newest, ' ') FROM (
    SELECT 'r' AS c, count(*) AS n, coalesce(sum(hashtext(l::text)::bigint), 0) AS newest FROM lasting AS l
  UNION ALL SELECT 'a', coalesce(sum(a.n), 0), coalesce(sum(a.newest), 0) FROM lasting AS l, LATERAL
    (SELECT count(*) AS n, sum(xmin::text::bigint) AS newest FROM pg_attribute WHERE attrelid = l.oid) AS a
  UNION ALL SELECT 'k', count(*), coalesce(sum(k.xmin::text::bigint), 0)
    FROM pg_constraint AS k JOIN lasting AS l ON l.oid = k.conrelid
  UNION ALL SELECT 'd', count(*), coalesce(sum(d.xmin::text::bigint), 0)
    FROM pg_attrdef AS d JOIN lasting AS l ON l.oid = d.adrelid
  UNION ALL SELECT 't', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_trigger
  UNION ALL SELECT 'f', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_proc WHERE oid >= 16384
  UNION ALL SELECT 'q', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_sequence
  UNION ALL SELECT 'n', count(*), coalesce(sum(hashname(relname)::bigint # (oid::bigint << 32 | relnamespace::bigint)), 0)
    FROM pg_class WHERE oid >= 16384 AND relkind = 'S' AND relpersistence <> 't'
  UNION ALL SELECT 'v', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_rewrite WHERE oid >= 16384
  UNION ALL SELECT 'p', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_policy
  UNION ALL SELECT 'm', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_auth_members
  UNION ALL SELECT 'o', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_db_role_setting
  UNION ALL SELECT 'e', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_enum
  UNION ALL SELECT 's', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_authid
  UNION ALL SELECT 'b', count(*), coalesce(sum(xmin::text::bigint), 0) FROM pg_database) AS x";

pub(super) async fn catalogs(leader: &[Open]) -> Result<Vec<String>, Trouble> {
    try_join_all(leader.iter().map(async |open| Ok(open.session.text(CATALOGS).await?.unwrap_or_default()))).await
}

/// For use inside the window: round trips over sessions that are open. The slots come last: that they are there says
/// that all the rest was done, also to a process that was not there.
pub(super) async fn ensure_promoted(
    place: &Place,
    session: &Session,
    ready: Option<&Ready>,
) -> Result<String, Trouble> {
    if publish::has_slots(place, session).await? {
        return Ok("V2 is ready to serve, and closed to clients".into());
    }
    let ready = ready.ok_or_else(|| Trouble::failed("V2 was not made ready to serve: its sessions are gone"))?;
    let run = literal(&place.plan.run);
    let durable = format!("SET synchronous_commit = on; SELECT pg_logical_emit_message(true, 'switchover', {run})");
    let reading = ready.reading.take();
    let ((catalogs, set), (), (unlogged, large), refreshed) = try_join4(
        async {
            let began = Instant::now();
            let (catalogs, now) = reading.unwrap_or_else(|| ready.read()).await?;
            let set = sequences::ensure_equal(&ready.sequences, now, &ready.follower).await?;
            Ok((catalogs, format!("{set} sequences set in {}", human(began.elapsed()))))
        },
        session.run(&durable),
        try_join(ready.unlogged.copy(), ready.large.carry(&ready.leader)),
        views::refreshed_since(&ready.views, &ready.leader),
    )
    .await?;
    if catalogs != ready.catalogs {
        return Err(Trouble::not_ready("V1's schema was changed a moment before the switch")
            .hint("`switchover cutover` looks at it again"));
    }
    follow::ensure_disabled(place, &ready.follower).await?;
    triggers::ensure_on(&ready.follower, &ready.triggers).await?;
    publish::ensure_slots(place, &ready.follower).await?;
    if !refreshed.is_empty() {
        let names = refreshed.join(", ").escape_debug().to_string();
        place.tell.warning(format!(
            "V1 refreshed materialised views a moment before the switch; REFRESH them on V2: {names}"
        ));
    }
    let more = [(unlogged, "unlogged tables copied"), (large, "large objects carried")];
    let more = more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
    Ok(format!("V2 is ready to serve, and closed to clients; {set}{}", more.collect::<String>()))
}

/// A follower as before.
pub(super) async fn ensure_demoted(place: &Place, session: &Session) -> Result<(), Trouble> {
    publish::ensure_no_slots(place, session).await
}
