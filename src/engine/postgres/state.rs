//! What `status` shows of a server. Never fails: what cannot be said is unknown, with the reason.

use std::time::Duration;

use super::session::Timeouts;
use super::{connect, door, names};
use crate::engine::{Place, ServerState};
use crate::trouble::Trouble;

pub(super) async fn state(place: &Place) -> ServerState {
    match look(place).await {
        Ok(state) => state,
        Err(trouble) => ServerState { note: Some(trouble.one_line()), ..ServerState::default() },
    }
}

async fn look(place: &Place) -> Result<ServerState, Trouble> {
    let session = connect::either(place, Timeouts::short(Duration::from_secs(2))).await?;
    let ours = [names::admin(&place.plan), names::replication(&place.plan), names::probe(&place.plan)];
    let ours: Vec<String> = ours.iter().map(|role| names::literal(role)).collect();
    let sql = format!(
        "SELECT NOT pg_is_in_recovery(), \
         pg_is_in_recovery() AND EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
         (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' \
          AND pid <> pg_backend_pid() AND usename NOT IN ({}))",
        ours.join(", ")
    );
    let rows = session.rows(&sql, &[]).await?;
    let row = rows.first().ok_or_else(|| Trouble::bug("a look without a row"))?;
    let primary: bool = row.get(0);
    let admitted = door::knock(place).await.ok().map(|answer| answer == door::Answer::Open);
    Ok(ServerState {
        writable: admitted.map(|admitted| primary && admitted),
        clients_admitted: admitted,
        following: Some(row.get(1)),
        clients_connected: u32::try_from(row.get::<_, i64>(2)).ok(),
        note: None,
    })
}
