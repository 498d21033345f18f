//! V2's own health check, asked before V2 may take over: an image that never gets healthy is found while V1 serves.
//!
//! It is run here, as the engine runs it, so that nobody waits for the engine's next turn (30 s by default). V2 is closed
//! until it serves, so a check that logs in is refused by V2's access rules: that says nothing about V2.

use std::time::Duration;

use super::connect;
use crate::engine::Place;
use crate::runtime::{Call, HealthCheck, Output, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// As `allow:` names it.
const ALLOW: &str = "unhealthy-v2";

/// What a client is told whom V2's access rules refuse; in the check's output it is our own doing.
const OUR_REFUSAL: &str = "pg_hba.conf rejects";

/// Says how V2 is; nothing where it has no check.
pub(super) async fn ensure_healthy(place: &Place) -> Result<Option<&'static str>, Trouble> {
    let container = connect::found(place).await?;
    let Some(check) = &container.health_check else { return Ok(None) };
    if place.plan.allow.iter().any(|allowed| allowed == ALLOW) {
        return Ok(Some("its health check was not asked, as allowed"));
    }
    let side = place.side;
    let argv: Vec<&str> = check.argv.iter().map(String::as_str).collect();
    let wait = Wait {
        what: &format!("{side}'s health check to pass"),
        limit: Limit { name: "the check's own interval, retries and start period", value: patience(check) },
        every: Duration::from_millis(500),
        kind: Kind::Failed,
    };
    let healthy = wait::until(wait, &place.tell, async || {
        let call = Call { argv: &argv, ..Call::default() };
        let limit = Limit { name: "its own timeout", value: check.timeout };
        match wait::within(limit, "one try", place.runtime.exec(&container.id, &call)).await.map(|said| judged(&said)) {
            Ok(Look::Done(sentence)) => Ok(Look::Done(sentence)),
            Ok(Look::NotYet(why)) => refuse_ended(place, why).await,
            Err(trouble) => refuse_ended(place, trouble.one_line()).await,
        }
    });
    let sentence = healthy.await.map_err(|trouble| {
        trouble
            .hint("the check is its image's HEALTHCHECK, or V1's own: `docker inspect` shows it")
            .hint(format!("--allow {ALLOW} goes on without it; a check that logs in cannot pass before V2 serves"))
    })?;
    if sentence == UNKNOWN {
        place.tell.warning(format!("{side}'s health check logs in, which {side} refuses until it serves: not counted"));
    }
    Ok(Some(sentence))
}

const PASSES: &str = "its health check passes";
const UNKNOWN: &str = "its health check cannot pass before it serves";

fn judged(output: &Output) -> Look<&'static str> {
    if output.code == 0 {
        return Look::Done(PASSES);
    }
    let said = [&output.stdout[..], b"\n", &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    if said.contains(OUR_REFUSAL) {
        return Look::Done(UNKNOWN);
    }
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Look::NotYet(format!("exit code {}: {last}", output.code))
}

/// As long as the engine itself would try before it calls the container unhealthy.
fn patience(check: &HealthCheck) -> Duration {
    check.start_period + check.every * check.retries.max(1)
}

async fn refuse_ended(place: &Place, why: String) -> Result<Look<&'static str>, Trouble> {
    match connect::found(place).await?.state {
        State::Running => Ok(Look::NotYet(why)),
        state => Err(Trouble::failed(format!("{} no longer runs: {state:?}", place.side))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i64, stdout: &str, stderr: &str) -> Look<&'static str> {
        judged(&Output { code, stdout: stdout.into(), stderr: stderr.into() })
    }

    #[test]
    fn what_our_own_rules_refuse_is_not_held_against_v2() {
        assert!(matches!(said(0, "/run:5432 - accepting connections", ""), Look::Done(PASSES)));
        let refused = "psql: error: FATAL:  pg_hba.conf rejects connection for host \"[local]\", user \"app\"";
        assert!(matches!(said(2, "", refused), Look::Done(UNKNOWN)));
        assert!(matches!(said(1, "no\n\n", ""), Look::NotYet(why) if why == "exit code 1: no"));
        assert!(matches!(said(127, "", ""), Look::NotYet(why) if why.ends_with("says nothing")));
    }
}
