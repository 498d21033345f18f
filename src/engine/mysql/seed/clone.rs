//! The seed `backup`: V1's pages, by the server's own CLONE, while V1 serves. Within one series.

use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use secrecy::ExposeSecret;

use super::{configured, directory, finished};
use crate::config::quantity::Bytes;
use crate::engine::mysql::before::Before;
use crate::engine::mysql::{follow, position};
use crate::engine::mysql_family::connect::{self, Session, Timeouts, code_of};
use crate::engine::mysql_family::{accounts, names, running};
use crate::engine::mysql_wire::quote::{account, literal};
use crate::engine::{Place, Seeded};
use crate::runtime::State;
use crate::tell::Unit;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// The copy is there, and nobody starts the server again: it is process 1 of its container, and has ended.
const NOT_SUPERVISED: u16 = 3707;

const HAS_PLUGIN: &str = "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'clone'";

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    directory::ensure_made(place).await?;
    let session = running::ensure_running(place).await?;
    if let Some(position) = finished(&session).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    // It outlasts the copy: V1's events must not run on V2 for a moment.
    let session = configured(session, place).await?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let donor = connect::admin(&leader, running::timeouts(place)).await?;
    ensure_plugin(&donor).await?;
    ensure_plugin(&session).await?;
    cloned(&session, place, &leader).await?;
    let session = started_again(place).await?;
    let bytes = "SELECT CAST(COALESCE(SUM(data), 0) AS UNSIGNED) FROM performance_schema.clone_progress";
    let bytes = session.number(bytes).await?.unwrap_or(place.plan.bytes);
    if !Before::of(&place.plan)?.has_clone {
        ensure_no_plugin(&session).await?;
        ensure_no_plugin(&donor).await?;
    }
    let at = position::now(&session).await?;
    follow::ensure_closed(&session).await?;
    Ok(Seeded { position: position::position(&at), bytes })
}

/// It makes no entry in the server's log.
async fn ensure_plugin(session: &Session) -> Result<(), Trouble> {
    if session.number(HAS_PLUGIN).await? == Some(0) {
        session.run("INSTALL PLUGIN clone SONAME 'mysql_clone.so'").await?;
    }
    Ok(())
}

pub(in crate::engine::mysql) async fn ensure_no_plugin(session: &Session) -> Result<(), Trouble> {
    if session.number(HAS_PLUGIN).await? == Some(0) {
        return Ok(());
    }
    session.run("UNINSTALL PLUGIN clone").await
}

async fn cloned(session: &Session, place: &Place, leader: &Place) -> Result<(), Trouble> {
    let host: String = connect::found(leader).await?.id.chars().take(12).collect();
    let port = connect::port(leader);
    session.run(&format!("SET GLOBAL clone_valid_donor_list = {}", literal(&format!("{host}:{port}")))).await?;
    let copier = connect::admin(place, Timeouts::NONE).await?;
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let sql = format!(
        "CLONE INSTANCE FROM {}:{port} IDENTIFIED BY {}",
        account(&names::admin(&place.plan), &host),
        literal(password.expose_secret())
    );
    let copying = std::pin::pin!(copier.run(&sql));
    let watching = std::pin::pin!(watch(session, place));
    let done = match select(copying, watching).await {
        Either::Left((done, _)) => done,
        Either::Right((Err(trouble), _)) => return Err(trouble),
        Either::Right((Ok(()), copying)) => copying.await,
    };
    match done {
        // A session that breaks is the restart at the end; whether it went well, the server says when it is up again.
        Err(trouble) if code_of(&trouble).is_none_or(|code| code == NOT_SUPERVISED) => Ok(()),
        Err(trouble) => Err(Trouble::failed("the server's own copy (CLONE) failed").because(trouble)),
        Ok(()) => Ok(()),
    }
}

/// Tells how far it is, until the server does not answer any more.
async fn watch(session: &Session, place: &Place) -> Result<(), Trouble> {
    let began = Instant::now();
    let sql = "SELECT CONCAT(CAST(COALESCE(SUM(data), 0) AS UNSIGNED), ' ', CAST(COALESCE(SUM(estimate), 0) AS UNSIGNED)) \
               FROM performance_schema.clone_progress";
    let wait = Wait {
        what: "the copy",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(500),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        let Ok(Some(said)) = session.text(sql).await else { return Ok(Look::Done(())) };
        let (done, of) = said.split_once(' ').unwrap_or_default();
        let (done, of) = (done.parse().unwrap_or(0), of.parse().ok().filter(|of| *of > 0));
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        place.tell.progress("V1's pages", done, of, Some(done.saturating_mul(1000) / ms), Unit::Bytes);
        Ok(Look::NotYet(format!("{} after {}", Bytes(done), wait::human(began.elapsed()))))
    })
    .await
}

/// Its server has ended by itself, to start on the copy: by the engine, or by us.
async fn started_again(place: &Place) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V2's server to start on the copy",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(200),
        kind: Kind::Failed,
    };
    let state = "SELECT CONCAT(state, ' ', error_no) FROM performance_schema.clone_status";
    wait::until(wait, &place.tell, async || {
        let found = connect::found(place).await?;
        if matches!(found.state, State::Exited(_)) {
            place.runtime.ensure_started(&found.id).await?;
        }
        let session = match connect::admin(place, running::timeouts(place)).await {
            Ok(session) => session,
            Err(trouble) => return Ok(Look::NotYet(trouble.one_line())),
        };
        match session.text(state).await.unwrap_or_default().as_deref() {
            Some("Completed 0") => Ok(Look::Done(session)),
            Some(said) if said.starts_with("Failed") => {
                Err(Trouble::failed(format!("the server's own copy (CLONE) failed: {}", said.escape_debug())))
            }
            said => Ok(Look::NotYet(format!("the copy is {}", said.unwrap_or("not known")))),
        }
    })
    .await
}
