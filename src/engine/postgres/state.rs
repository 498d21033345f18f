//! What `status` shows of one side. A server that is down, or that does not let us in, is no error here.

use std::time::Duration;

use super::access::{self, Fence};
use super::checks::Method;
use super::names::{self, literal};
use super::session::{Session, Timeouts};
use super::{connect, door, files, logical};
use crate::engine::{Lag, Place, ServerState};
use crate::runtime::State;
use crate::trouble::Trouble;

const QUICK: Duration = Duration::from_secs(2);

pub(super) async fn state(place: &Place) -> ServerState {
    match look(place).await {
        Ok(state) => with_reason(place, state).await,
        Err(trouble) => ServerState { note: Some(trouble.one_line()), ..ServerState::default() },
    }
}

async fn look(place: &Place) -> Result<ServerState, Trouble> {
    let found = connect::found(place).await?;
    if found.state != State::Running {
        let note = Some(format!("container {} is {:?}", found.name, found.state));
        return Ok(ServerState {
            writable: Some(false),
            clients_admitted: Some(false),
            following: Some(false),
            clients_connected: Some(0),
            note,
            ..ServerState::default()
        });
    }
    let admitted = admitted(place).await;
    match connect::either(place, Timeouts::short(QUICK)).await {
        Ok(session) => said(&session, place, admitted).await,
        // Shut, and our role is gone with the run: the other side knows whether it follows.
        Err(trouble) => {
            let seen = seen_by_other(place).await;
            let following = seen.map(|seen| seen.following);
            let writable = (following == Some(true) || admitted == Some(false)).then_some(false);
            let note = following.is_none().then(|| trouble.one_line());
            let behind = seen.and_then(|seen| seen.behind);
            Ok(ServerState { writable, clients_admitted: admitted, following, behind, note, ..ServerState::default() })
        }
    }
}

/// Of one that is shut and follows nobody.
async fn with_reason(place: &Place, state: ServerState) -> ServerState {
    if state.following != Some(false) || state.clients_admitted != Some(false) || state.note.is_some() {
        return state;
    }
    let is_lost = seen_by_other(place).await.is_some_and(|seen| seen.lost);
    let note = match Method::of(&place.plan) {
        _ if is_lost => Some(format!("{} no longer keeps the log that it lacks", place.side.other())),
        Method::Logical => logical::why_it_applies_nothing(place).await,
        Method::Physical => None,
    };
    ServerState { note, ..state }
}

/// By the rules in force where we can knock, else by those on disk.
async fn admitted(place: &Place) -> Option<bool> {
    if let Ok(answer) = door::knock(place).await {
        return Some(answer == door::Answer::Open);
    }
    let rules = files::text(place, "pg_hba.conf").await.ok()?;
    let closed = access::closed(&place.plan);
    let mark = closed.lines().next().unwrap_or_default();
    Some(access::fence_of(&rules, &place.plan) == Fence::None && !rules.starts_with(mark))
}

async fn said(session: &Session, place: &Place, admitted: Option<bool>) -> Result<ServerState, Trouble> {
    let receives = match Method::of(&place.plan) {
        Method::Physical => "SELECT count(*) > 0 FROM pg_stat_wal_receiver WHERE status = 'streaming'".to_owned(),
        Method::Logical => format!(
            "SELECT count(s.oid) > 0 AND count(s.oid) = count(w.pid) FROM pg_subscription AS s \
             LEFT JOIN pg_stat_subscription AS w ON w.subid = s.oid AND w.relid IS NULL AND w.received_lsn IS NOT NULL \
             WHERE s.subname ~ {}",
            literal(&names::any_slot(&place.plan))
        ),
    };
    let sql = format!(
        "SELECT pg_is_in_recovery() || ' ' || ({receives}) || ' ' || (SELECT count(*) FROM pg_stat_activity AS a WHERE a.backend_type = 'client backend' \
         AND a.pid <> pg_backend_pid() AND a.usename IS DISTINCT FROM {})",
        literal(&names::admin(&place.plan)),
    );
    let said = session.text(&sql).await?.unwrap_or_default();
    match said.split(' ').collect::<Vec<_>>()[..] {
        [recovery, streaming, clients] => Ok(ServerState {
            writable: admitted.map(|admitted| admitted && recovery == "false"),
            clients_admitted: admitted,
            following: Some(streaming == "true"),
            clients_connected: clients.parse().ok(),
            ..ServerState::default()
        }),
        _ => Err(Trouble::bug("a server's state was not understood")),
    }
}

#[derive(Clone, Copy)]
struct Seen {
    following: bool,
    /// What it lacks is gone.
    lost: bool,
    behind: Option<Lag>,
}

/// A follower as the side it follows sees it.
async fn seen_by_other(place: &Place) -> Option<Seen> {
    let other = Place { side: place.side.other(), ..place.clone() };
    let session = connect::either(&other, Timeouts::short(QUICK)).await.ok()?;
    // All of its slots: a database that is not followed is missed like all of them.
    let sql = format!(
        "SELECT (count(*) > 0 AND count(*) = count(r.pid)) || ' ' || coalesce(bool_or(s.wal_status = 'lost'), false) || ' ' \
         || coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn))::text, 'unknown') \
         FROM pg_replication_slots AS s LEFT JOIN pg_stat_replication AS r ON r.pid = s.active_pid AND r.state = 'streaming' \
         WHERE s.slot_name ~ {}",
        literal(&names::any_slot(&place.plan))
    );
    let said = session.text(&sql).await.ok().flatten()?;
    match said.split(' ').collect::<Vec<_>>()[..] {
        [following, lost, bytes] => Some(Seen {
            following: following == "true",
            lost: lost == "true",
            behind: bytes.parse().ok().map(|bytes| Lag { bytes }),
        }),
        _ => None,
    }
}
