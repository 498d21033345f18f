//! What was made for the run alone goes: accounts, the probe's schema, the channel V2 followed by, what a follower is set to.

use super::before::Before;
use super::open;
use super::option_file::{self, Role};
use crate::engine::Place;
use crate::engine::mysql_family::{accounts, connect, events, names, running};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::{Kind, Trouble};

/// Cleans the leader of now; a follower gets the accounts' end by replication. `keep_following`: what the follower needs
/// stays.
pub(super) async fn ensure_clean(place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let plan = &place.plan;
    let mut secrets = vec![names::ADMIN_SECRET, names::PROBE_SECRET];
    let mut gone = vec![names::probe(plan)];
    if !keep_following {
        gone.push(names::replication(plan));
        secrets.push(names::REPLICATION_SECRET);
    }
    gone.push(names::admin(plan));
    match connect::either(place, running::timeouts(place)).await {
        Ok(session) => {
            ensure_events(&session, place).await;
            session.run("STOP SLAVE").await?;
            session.run("RESET SLAVE ALL").await?;
            ensure_settings(&session, place, keep_following).await?;
            accounts::ensure_no_schema(&session, place).await?;
            accounts::ensure_none(&session, &gone).await?;
        }
        Err(trouble) if trouble.kind == Kind::Refused => {}
        Err(trouble) => return Err(trouble),
    }
    match keep_following {
        true => option_file::ensure(place, Role::Leads).await?,
        false => option_file::ensure_none(place).await?,
    }
    secrets.into_iter().try_for_each(|secret| place.secrets.forget(secret))
}

/// As V1 had them. What an older version may not understand in a log goes in rows for as long as it follows.
async fn ensure_settings(session: &Session, place: &Place, keep_following: bool) -> Result<(), Trouble> {
    let was = Before::of(&place.plan)?.serving;
    session.run(&format!("SET GLOBAL slave_parallel_threads = {}", was.parallel_threads)).await?;
    let strict = u8::from(was.gtid_strict_mode == "ON");
    session.run(&format!("SET GLOBAL gtid_strict_mode = {strict}")).await?;
    if keep_following {
        return Ok(());
    }
    session.run(&format!("SET GLOBAL binlog_format = '{}'", format_of(&was.binlog_format)?)).await
}

fn format_of(said: &str) -> Result<&'static str, Trouble> {
    ["ROW", "MIXED", "STATEMENT"]
        .into_iter()
        .find(|known| *known == said)
        .ok_or_else(|| Trouble::person("the plan does not say in which format V1 wrote its log"))
}

/// Those that a tool which died in `open` did not come to.
async fn ensure_events(session: &Session, place: &Place) {
    let former = Place { side: place.side.other(), ..place.clone() };
    let left = async {
        let former = connect::either(&former, running::timeouts(place)).await?;
        events::put_aside(&former, session).await
    };
    match left.await {
        Ok(events) if events.is_empty() => {}
        Ok(events) => {
            if let Err(trouble) = open::ensure_lasts(session, place, &events).await {
                place.tell.warning(format!("events are not enabled on {}: {}", place.side, trouble.one_line()));
            }
        }
        Err(trouble) => tracing::debug!("the former leader's events are not known: {}", trouble.one_line()),
    }
}
