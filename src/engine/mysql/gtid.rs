//! GTIDs turned on while V1 serves, a step at a time, and off again. (Manual, "Enabling GTID Transactions Online".)

use std::time::Duration;

use super::before::Gtid;
use crate::engine::mysql_wire::session::Session;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const MODES: [&str; 4] = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"];

pub(super) async fn ensure_on(session: &Session, tell: &Teller) -> Result<(), Trouble> {
    if mode(session).await? == "ON" {
        return Ok(());
    }
    for consistency in ["WARN", "ON"] {
        session.run(&format!("SET GLOBAL enforce_gtid_consistency = {consistency}")).await?;
    }
    walk(session, "ON", tell).await
}

/// As it was before.
pub(super) async fn ensure_as(session: &Session, was: &Gtid, tell: &Teller) -> Result<(), Trouble> {
    walk(session, &was.mode, tell).await?;
    if matches!(was.consistency.as_str(), "ON" | "OFF" | "WARN") {
        session.run(&format!("SET GLOBAL enforce_gtid_consistency = {}", was.consistency)).await?;
    }
    Ok(())
}

async fn mode(session: &Session) -> Result<String, Trouble> {
    Ok(session.text("SELECT @@GLOBAL.gtid_mode").await?.unwrap_or_default())
}

/// The server takes one step at a time.
async fn walk(session: &Session, to: &str, tell: &Teller) -> Result<(), Trouble> {
    let at = |mode: &str| MODES.iter().position(|known| *known == mode);
    let Some(end) = at(to) else { return Err(Trouble::bug("no mode of GTIDs")) };
    loop {
        let now = mode(session).await?;
        let Some(now) = at(&now) else { return Err(Trouble::failed("V1's gtid_mode is not understood")) };
        let next = match now.cmp(&end) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => now + 1,
            std::cmp::Ordering::Greater => now - 1,
        };
        if MODES[next] == "ON" {
            no_anonymous(session, tell).await?;
        }
        session.run(&format!("SET GLOBAL gtid_mode = {}", MODES[next])).await?;
    }
}

async fn no_anonymous(session: &Session, tell: &Teller) -> Result<(), Trouble> {
    let wait = Wait {
        what: "V1's transactions without a GTID to end",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(60) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let ongoing = "SELECT variable_value FROM performance_schema.global_status \
                   WHERE variable_name = 'Ongoing_anonymous_transaction_count'";
    wait::until(wait, tell, async || match session.number(ongoing).await? {
        Some(0) => Ok(Look::Done(())),
        Some(n) => Ok(Look::NotYet(format!("{n} are left"))),
        None => Ok(Look::NotYet("V1 does not say how many are left".into())),
    })
    .await
}
