//! The way back: below the line V1, shut for good, becomes a follower of V2.
//!
//! V1 is stopped with SIGQUIT, so that no shutdown checkpoint is written past the point where V2 went its own way. It
//! is then started as a follower of nobody: in recovery a server writes nothing to its log, not even by being read
//! (an ordinary SELECT prunes pages), so that V1 can be compared with V2 and still follow it afterwards.

use std::time::Duration;

use super::before::Before;
use super::names::literal;
use super::session::{Session, Timeouts, Turned, turned};
use super::{auto_conf, connect, files, follow, names, prepare, rewind, standby};
use crate::engine::{Place, Side};
use crate::runtime::{Attachment, Call, Container, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const STOP_WITHIN: Duration = Duration::from_secs(120);

/// V1 stands still and can be read. What it holds is what it held when it was fenced.
pub(super) async fn ensure_still(place: &Place) -> Result<Session, Trouble> {
    let found = connect::found(place).await?;
    if found.auto_remove {
        return Err(Trouble::failed("V1 was started with --rm: stopping it would remove it, so it is left as it is"));
    }
    if rewind::begun(place).await?.is_some() {
        return Err(Trouble::failed("V1 is half rewound: it cannot be read before that is finished"));
    }
    if found.state != State::Running || files::read(place, "standby.signal").await?.is_none() {
        place.runtime.ensure_restart_policy(&found.id, "no").await?;
        quit(place, &found).await?;
        let network = place.plan.private_network.clone();
        place.runtime.ensure_joined(&found.id, &Attachment { network, ..Attachment::default() }).await?;
        let settings = files::text(place, "postgresql.auto.conf").await?;
        let original = auto_conf::without_ours(&settings, &place.plan);
        standby::write(place, &original, follow::keep_mib(place), standby::Leader::Nobody).await?;
        place.runtime.ensure_started(&found.id).await?;
    }
    until_readable(place).await
}

/// `$1` data directory. The server's own writers stand still since the fence, and cannot quit before they are continued.
/// Each is told to quit itself before that: one that goes on for a moment writes the log that it is late with (the
/// background writer every 15 s), past the fork.
const QUIT: &str = r#"
cd "$1" && read -r pid rest < postmaster.pid && kill -QUIT "$pid" || exit 0
for stat in /proc/[0-9]*/stat; do
  read -r line < "$stat" || continue
  set -- ${line##*) }
  [ "$2" = "$pid" ] || continue
  kill -QUIT "${line%% *}"
  kill -CONT "${line%% *}"
done 2>/dev/null
kill -CONT "$pid" 2>/dev/null
exit 0
"#;

/// V1 has ended, and its log does not go past the fork.
pub(super) async fn ensure_ended(place: &Place) -> Result<(), Trouble> {
    let found = connect::found(place).await?;
    place.runtime.ensure_restart_policy(&found.id, "no").await?;
    quit(place, &found).await
}

async fn quit(place: &Place, found: &Container) -> Result<(), Trouble> {
    if found.state == State::Running {
        let argv = ["sh", "-c", QUIT, "sh", connect::data(place)];
        let call = Call { argv: &argv, user: Some("0:0"), stdin: b"" };
        // It may end under this call: what counts is that it stops.
        if let Err(trouble) = place.runtime.exec(&found.id, &call).await {
            tracing::debug!("asking V1 to quit: {}", trouble.one_line());
        }
    }
    place.runtime.ensure_stopped(&found.id, "SIGQUIT", STOP_WITHIN).await.map(drop)
}

async fn until_readable(place: &Place) -> Result<Session, Trouble> {
    let wait = Wait {
        what: "V1 to be readable again",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    let timeouts = Timeouts::short(place.plan.limits.statement.0);
    let first = connect::found(place).await?;
    wait::until(wait, &place.tell, async || {
        let now = connect::found(place).await?;
        if now.state != State::Running || now.started_at != first.started_at {
            let log = place.runtime.log_tail(&now.id, 12).await?;
            return Err(Trouble::failed("V1 does not start as a follower").because(Trouble::failed(log)));
        }
        match connect::admin(place, "switchover", timeouts).await {
            Ok(session) => Ok(Look::Done(session)),
            Err(trouble) if turned(&trouble) == Some(Turned::Away) => Err(trouble),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        }
    })
    .await
}

/// V1 follows V2, or `Err` says why it cannot, and it is stopped.
pub(super) async fn ensure_way_back(place: &Place) -> Result<Result<String, String>, Trouble> {
    let v2 = Place { side: Side::V2, ..place.clone() };
    let leader = connect::either(&v2, Timeouts::short(place.plan.limits.statement.0)).await?;
    let Some(found) = place.runtime.container(&place.plan.v1.id).await? else {
        prepare::ensure_no_slot(&leader, place, &names::slot(&place.plan)).await?;
        return Ok(Err("V1's container is gone".into()));
    };
    match follow_v2(place, &leader).await {
        Ok(how) => Ok(Ok(how)),
        Err(trouble) => {
            if !found.auto_remove {
                place.runtime.ensure_restart_policy(&found.id, "no").await?;
                place.runtime.ensure_stopped(&found.id, "SIGINT", STOP_WITHIN).await?;
            }
            // Without a follower it would only fill V2's disk.
            prepare::ensure_no_slot(&leader, place, &names::slot(&place.plan)).await?;
            Ok(Err(trouble.one_line()))
        }
    }
}

async fn follow_v2(place: &Place, leader: &Session) -> Result<String, Trouble> {
    // First, as a run that was cut off while it tidied up has no role on V1 any more to ask there.
    if let Some(at) = followed(place, leader).await? {
        return Ok(format!("V1 follows V2, at {at}"));
    }
    prepare::ensure_slot(leader, &names::slot(&place.plan)).await?;
    if rewind::begun(place).await?.is_some() {
        return again(place).await.map(|how| format!("{how} (rewound)"));
    }
    let v1 = ensure_still(place).await?;
    if let standby::Follows::Yes(lsn) = standby::follows(&v1).await? {
        return Ok(format!("V1 follows V2, at {lsn}"));
    }
    let (end, fork) = (end_of(&v1).await?, fork_of(leader).await?);
    let past = format!("SELECT '{end}'::pg_lsn > '{fork}'::pg_lsn");
    if v1.text(&past).await?.as_deref() == Some("t") {
        drop(v1);
        return rewound(place, &end, &fork).await;
    }
    point_at_v2(place).await?;
    prepare::reload(&v1, place).await?;
    follow::until_following(place).await.map(|(_, how)| how)
}

/// How far V2 has sent its log to V1, if it does.
async fn followed(place: &Place, leader: &Session) -> Result<Option<String>, Trouble> {
    let slot = literal(&names::slot(&place.plan));
    leader
        .text(&format!(
            "SELECT r.flush_lsn FROM pg_stat_replication AS r JOIN pg_replication_slots AS s ON s.active_pid = r.pid \
             WHERE s.slot_name = {slot} AND r.state = 'streaming'"
        ))
        .await
}

async fn point_at_v2(place: &Place) -> Result<(), Trouble> {
    let settings = files::text(place, "postgresql.auto.conf").await?;
    let original = auto_conf::without_ours(&settings, &place.plan);
    standby::write(place, &original, follow::keep_mib(place), standby::Leader::Other).await
}

/// The end of V1's log.
async fn end_of(v1: &Session) -> Result<String, Trouble> {
    let end = v1.text("SELECT pg_last_wal_replay_lsn()").await?;
    end.ok_or_else(|| Trouble::failed("V1 does not say where its log ends"))
}

/// Where V2's log left V1's: the last line of its history.
async fn fork_of(leader: &Session) -> Result<String, Trouble> {
    let sql = "SELECT split_part((regexp_match(pg_read_file('pg_wal/' || name), \
               E'([0-9]+\\t[0-9A-F]+/[0-9A-F]+\\t[^\\n]*)\\n*$'))[1], E'\\t', 2) \
               FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{8}\\.history$' ORDER BY name DESC LIMIT 1";
    match leader.text(sql).await? {
        Some(lsn) if !lsn.is_empty() => Ok(lsn),
        _ => Err(Trouble::failed("V2 does not say where its log left V1's")),
    }
}

/// V1 has written a little past the switch.
async fn rewound(place: &Place, end: &str, fork: &str) -> Result<String, Trouble> {
    let past = format!("V1's log goes on to {end}, past {fork} where V2 left it");
    if !Before::of(&place.plan)?.can_rewind {
        return Err(Trouble::failed(format!(
            "{past}; without checksums or wal_log_hints it cannot be rewound, the way back needs a new copy"
        )));
    }
    let container = connect::found(place).await?;
    place.runtime.ensure_stopped(&container.id, "SIGINT", STOP_WITHIN).await?;
    again(place).await.map(|how| format!("{how} (rewound: {past})"))
}

/// From a V1 that is stopped, rewound or not yet, to one that follows behind its fence. The fence is kept while V1's data
/// directory may hold V2's rules.
async fn again(place: &Place) -> Result<String, Trouble> {
    let fence = match rewind::begun(place).await? {
        Some(fence) => fence,
        None => files::text(place, "pg_hba.conf").await?,
    };
    let rewound = rewind::ensure_rewound(place, &fence).await;
    files::write(place, "pg_hba.conf", fence.as_bytes()).await?;
    rewound?;
    let settings = files::text(place, "postgresql.auto.conf").await?;
    let original = auto_conf::without_any(&settings);
    standby::write(place, &original, follow::keep_mib(place), standby::Leader::Other).await?;
    rewind::ended(place).await?;
    place.runtime.ensure_started(&place.plan.v1.id).await?;
    follow::until_following(place).await.map(|(_, how)| how)
}
