//! The former leader follows the new one, so that the way back stays open.
//!
//! V1 is ended with SIGQUIT: a clean stop would write a shutdown checkpoint beyond the point where V2's history
//! forked off, and without checksums or `wal_log_hints` nothing could mend that. It comes back as a standby, first
//! of nobody: then it stands still exactly at the switch, readable, which is what `verify` compares with. Then it is
//! told its leader, without another restart (`primary_conninfo` is reloadable since PostgreSQL 13).

use std::time::Duration;

use super::session::{Session, Timeouts};
use super::{connect, follow, names};
use crate::engine::Place;
use crate::runtime::{Attachment, Call, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// How long a server may take to stop, or to recover and answer.
const START: Limit<'_> = Limit { name: "limits.total", value: Duration::from_secs(120) };

/// Process 1 is told to quit; then every process is continued, as the background writer was stopped when the
/// listener was let go (it would have written into the log beyond the fork) and cannot quit while it is.
const QUIT: &str = r#"read -r pid rest < "$1/postmaster.pid" || exit 0; kill -QUIT "$pid"; kill -CONT -1; exit 0"#;

/// A slot on the leader-to-be keeps the log that the former leader will need. Made while it still follows, so that
/// it begins before the fork; bounded when the switch is done.
pub(super) async fn ensure_slot(session: &Session, place: &Place) -> Result<(), Trouble> {
    let slot = names::literal(&names::slot(&place.plan));
    session
        .run(&format!(
            "SELECT pg_create_physical_replication_slot({slot}, true) \
             WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = {slot})"
        ))
        .await
}

/// `Err` in the inner result: why it cannot follow; it is stopped then.
pub(super) async fn ensure_following(former: &Place) -> Result<Result<String, String>, Trouble> {
    ensure_standing_still(former).await?;
    let container = connect::container(former).await?;
    let leader = Place { side: former.side.other(), ..former.clone() };
    let leading = connect::either(&leader, timeouts(former)).await?;
    ensure_slot(&leading, &leader).await?;
    bound_slot(&leading, former).await?;
    follow::tell_leader(former).await?;
    match wait_for_streaming(&leading, former).await {
        Ok(()) => Ok(Ok(format!("{} follows {}", former.side, leader.side))),
        Err(trouble) => {
            let log = former.runtime.log_tail(&container, 5).await?;
            former.runtime.ensure_stopped(&container, "SIGINT", START.value).await?;
            drop_slot(&leading, former).await?;
            Ok(Err(format!("{}; its log ends: {}", trouble.one_line(), log.trim().replace('\n', " / "))))
        }
    }
}

/// The former leader as a standby of nobody, where the switch was. Does nothing if it is a standby already.
pub(super) async fn ensure_standing_still(former: &Place) -> Result<(), Trouble> {
    let found = connect::found(former).await?;
    former.runtime.ensure_restart_policy(&found.id, "no").await?;
    if found.state == State::Running {
        // After a crash of the tool it may be a standby already; one that does not answer is quit and started anew.
        let private = found.networks.iter().any(|on| on.network == former.plan.private_network);
        if private
            && let Ok(session) = connect::admin(former, "switchover", timeouts(former)).await
            && session.text("SELECT pg_is_in_recovery()").await?.as_deref() == Some("t")
        {
            return Ok(());
        }
        let argv = ["sh", "-c", QUIT, "sh", connect::data(former)];
        former.runtime.exec(&found.id, &Call { argv: &argv, user: Some("0:0"), stdin: b"" }).await?;
    }
    former.runtime.ensure_stopped(&found.id, "SIGQUIT", START.value).await?;
    follow::standby_files(former, None).await?;
    let private = Attachment { network: former.plan.private_network.clone(), ..Attachment::default() };
    former.runtime.ensure_joined(&found.id, &private).await?;
    former.runtime.ensure_started(&found.id).await?;
    wait_for_answer(former, &found.id).await
}

async fn wait_for_answer(former: &Place, container: &str) -> Result<(), Trouble> {
    let wait = Wait {
        what: "the former leader to come back as a standby",
        limit: START,
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    wait::until(wait, &former.tell, async || {
        let why = match connect::admin(former, "switchover", timeouts(former)).await {
            Ok(session) => match session.text("SELECT pg_is_in_recovery()").await?.as_deref() {
                Some("t") => return Ok(Look::Done(())),
                _ => return Err(Trouble::person("the former leader did not come back as a standby")),
            },
            Err(trouble) => trouble.one_line(),
        };
        match former.runtime.container(container).await? {
            Some(now) if now.state == State::Running => Ok(Look::NotYet(why)),
            _ => {
                let log = former.runtime.log_tail(container, 10).await?;
                Err(Trouble::failed("the former leader does not start as a standby").because(Trouble::failed(log)))
            }
        }
    })
    .await
}

async fn wait_for_streaming(leading: &Session, former: &Place) -> Result<(), Trouble> {
    let slot = names::literal(&names::slot(&former.plan));
    let wait = Wait {
        what: "the former leader to follow",
        limit: Limit { name: "limits.total", value: Duration::from_secs(30) },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    let streaming = format!(
        "SELECT count(*) FROM pg_replication_slots AS s JOIN pg_stat_replication AS r ON r.pid = s.active_pid \
         WHERE s.slot_name = {slot} AND r.state = 'streaming' AND r.replay_lsn IS NOT NULL"
    );
    wait::until(wait, &former.tell, async || {
        Ok(match leading.text(&streaming).await?.as_deref() {
            Some("1") => Look::Done(()),
            _ => Look::NotYet("it does not stream yet".into()),
        })
    })
    .await
}

/// What V2 keeps for V1 must not fill V2's disk: beyond the limit the way back is lost, and `status` says so.
async fn bound_slot(leading: &Session, former: &Place) -> Result<(), Trouble> {
    let megabytes = former.plan.limits.way_back.0 >> 20;
    leading.run(&format!("ALTER SYSTEM SET max_slot_wal_keep_size = '{megabytes}MB'")).await?;
    leading.run("SELECT pg_reload_conf()").await
}

/// Without a follower the slot would only fill the disk.
pub(super) async fn drop_slot(leading: &Session, place: &Place) -> Result<(), Trouble> {
    let slot = names::literal(&names::slot(&place.plan));
    let wait = Wait {
        what: "the slot to be let go",
        limit: Limit { name: "limits.statement", value: place.plan.limits.statement.0 },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    wait::until(wait, &place.tell, async || {
        // An active slot cannot be dropped; its sender ends when the follower is gone.
        leading
            .text(&format!(
                "SELECT count(pg_terminate_backend(active_pid)) FROM pg_replication_slots WHERE slot_name = {slot} AND active"
            ))
            .await?;
        leading
            .text(&format!(
                "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE slot_name = {slot} AND NOT active"
            ))
            .await?;
        let left = leading.text(&format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = {slot}")).await?;
        Ok(if left.as_deref() == Some("0") { Look::Done(()) } else { Look::NotYet("it is still in use".into()) })
    })
    .await
}

fn timeouts(place: &Place) -> Timeouts {
    Timeouts::short(place.plan.limits.statement.0)
}
