//! What `status` shows of one side. A server that is down, or that does not let us in, is no error here.

use std::time::Duration;

use super::position::version;
use super::{follow, position, sessions};
use crate::engine::mysql_family::connect::{self, Session, Timeouts};
use crate::engine::mysql_family::door;
use crate::engine::{Place, ServerState};
use crate::runtime::State;
use crate::trouble::Trouble;

const QUICK: Duration = Duration::from_secs(2);

pub(super) async fn state(place: &Place) -> ServerState {
    match look(place).await {
        Ok(state) => state,
        Err(trouble) => ServerState { note: Some(trouble.one_line()), ..ServerState::default() },
    }
}

async fn look(place: &Place) -> Result<ServerState, Trouble> {
    let found = connect::found(place).await?;
    if found.state != State::Running {
        return Ok(ServerState {
            writable: Some(false),
            clients_admitted: Some(false),
            following: Some(false),
            clients_connected: Some(0),
            note: Some(format!("container {} is {:?}", found.name, found.state)),
            ..ServerState::default()
        });
    }
    let session = connect::either(place, Timeouts::short(QUICK)).await?;
    let flags = session.text("SELECT @@GLOBAL.read_only + @@GLOBAL.super_read_only").await?;
    let shut = session.text(&format!("SELECT {}", door::is_shut(false))).await?;
    let status = session.named(version(&session)?.show_status()).await?.unwrap_or_default();
    let following = !status.is_empty();
    let writable = flags.as_deref() == Some("0");
    let clients =
        format!("SELECT COUNT(*) FROM performance_schema.threads AS t WHERE {}", sessions::foreign(&place.plan));
    Ok(ServerState {
        writable: Some(writable),
        clients_admitted: Some(writable && shut.as_deref() == Some("0")),
        following: Some(following && !writable),
        behind: if following && !writable { behind(&session, place).await } else { None },
        clients_connected: session.number(&clients).await?.and_then(|n| u32::try_from(n).ok()),
        note: None,
    })
}

async fn behind(session: &Session, place: &Place) -> Option<crate::engine::Lag> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let leader = connect::either(&leader, Timeouts::short(QUICK)).await.ok()?;
    let now = position::now(&leader).await.ok()?;
    follow::behind(session, place, &position::position(&now)).await.ok().flatten()
}
