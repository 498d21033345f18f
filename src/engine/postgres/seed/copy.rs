//! The seed `copy`: pg_basebackup by V2's own image over the private network, into V2's volumes.
//!
//! A copy that was begun and not finished starts over: only a finished one bears our mark.

use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use secrecy::ExposeSecret;

use super::volume;
use crate::config::quantity::Bytes;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names::literal;
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::{connect, names, position, rewind, sessions, standby};
use crate::engine::{Place, Seeded, Side};
use crate::runtime::{File, Helper, HelperSpec, State};
use crate::tell::{Teller, Unit};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const PASSFILE: &str = "/switchover.pass";

/// Its sessions on the leader.
const APPLICATION: &str = "switchover seed";

/// `$1` run, `$2` data directory, `$3` owner, `$4` log directory or nothing, `$5` connection, `$6` slot, `$7` KiB a
/// second or nothing; the rest: directories of tablespaces. Says `seeded LSN` at its end.
const COPY: &str = r#"
run=$1 data=$2 owner=$3 log=$4 connection=$5 slot=$6 rate=$7; shift 7
set -e
finished() {
  if [ -s "$data/switchover.seeded" ]; then
    read -r whose lsn < "$data/switchover.seeded"
    [ "$whose" = "$run" ] && [ -s "$data/PG_VERSION" ]
  else
    false
  fi
}
if finished; then echo "seeded $lsn"; exit 0; fi
for dir in "$data" "$@" ${log:+"$log"}; do
  mkdir -p "$dir"
  find "$dir" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  chown "$owner" "$dir"
  chmod 700 "$dir"
done
export PGPASSFILE=/switchover.pass HOME=/tmp
set -- pg_basebackup -D "$data" -d "$connection" -X stream -c fast -S "$slot" --no-password --no-manifest
[ -z "$rate" ] || set -- "$@" --max-rate "$rate"
[ -z "$log" ] || set -- "$@" --waldir "$log"
command -v pg_basebackup >/dev/null || PATH=$PATH:$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_basebackup | head -n 1)")
if command -v gosu >/dev/null; then gosu "$owner" "$@"
elif command -v su-exec >/dev/null; then su-exec "$owner" "$@"
elif setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups true 2>/dev/null; then
  setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups "$@"
else
  "$@"
  chown -R "$owner" "$data"
fi
lsn=$(sed -n 's/^START WAL LOCATION: \([0-9A-F/]*\).*/\1/p' "$data/backup_label")
[ -n "$lsn" ]
rm -f "$data"/switchover.hba-* "$data"/switchover.new
printf '%s %s\n' "$run" "$lsn" > "$data/switchover.new"
chown "$owner" "$data/switchover.new"
sync "$data/switchover.new"
mv -f "$data/switchover.new" "$data/switchover.seeded"
sync "$data"
echo "seeded $lsn"
"#;

/// Empties the same directories.
const WIPE: &str = r#"
for dir; do
  if [ -d "$dir" ]; then find "$dir" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; fi
done
"#;

pub(in super::super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    let found = connect::found(place).await?;
    if found.state == State::Running {
        return Err(Trouble::bug("V2 runs while its data is to be copied"));
    }
    refuse_not_ours(place)?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    connect::refuse_shared(&connect::found(&leader).await?, &mounts(place))?;
    let session = connect::admin(&leader, "switchover", Timeouts::short(place.plan.limits.statement.0)).await?;
    ensure_no_copy(place).await?;
    ensure_no_sender(&session, place).await?;
    let helper = place.runtime.helper(&helper(place).await?).await?;
    let began = Instant::now();
    let mut progress = Progress { began, bytes: 0 };
    let (said, output) = {
        let copying = std::pin::pin!(finished(helper));
        let watching = std::pin::pin!(watch(&session, place, &mut progress));
        match select(copying, watching).await {
            Either::Left((copied, _)) => copied?,
            Either::Right((Err(trouble), _)) => return Err(trouble),
            Either::Right((Ok(()), copying)) => copying.await?,
        }
    };
    match said.as_deref().and_then(|line| line.strip_prefix("seeded ")) {
        Some(lsn) if output.code == 0 => {
            let bytes = if progress.bytes == 0 { place.plan.bytes } else { progress.bytes };
            Ok(Seeded { position: position::position(lsn, None), bytes })
        }
        _ => Err(failed(&String::from_utf8_lossy(&output.stderr))),
    }
}

/// Reads what the helper says to its end.
async fn finished(mut helper: Box<dyn Helper>) -> Result<(Option<String>, crate::runtime::Output), Trouble> {
    let mut last = None;
    while let Some(line) = helper.line().await? {
        last = Some(line);
    }
    Ok((last, helper.end().await?))
}

async fn helper(place: &Place) -> Result<HelperSpec, Trouble> {
    let (plan, before) = (&place.plan, Before::of(&place.plan)?);
    let (uid, gid) = before.owners[1];
    let host = standby::host_of_other(place).await?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let port = connect::port(&leader).to_string();
    let user = names::replication(plan);
    let connection = crate::engine::postgres::auto_conf::conninfo(&[
        ("host", &host),
        ("port", &port),
        ("user", &user),
        ("application_name", APPLICATION),
        ("connect_timeout", "10"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
        ("gssencmode", "disable"),
    ]);
    let owner = format!("{uid}:{gid}");
    let log = before.wal_directory.unwrap_or_default();
    let rate = plan.limits.seed_rate.map(|rate| kib(rate).to_string()).unwrap_or_default();
    let slot = names::slot(plan);
    let mut argv: Vec<String> =
        ["sh", "-c", COPY, "sh", &plan.run, connect::data(place), &owner, &log, &connection, &slot, &rate]
            .map(str::to_owned)
            .to_vec();
    argv.extend(before.tablespaces);
    let password = place.secrets.secret(names::REPLICATION_SECRET)?;
    let line = standby::pass_line(&user, password.expose_secret());
    let file = File { path: PASSFILE.into(), content: line.into_bytes(), mode: 0o600, uid, gid };
    Ok(HelperSpec {
        name: helper_name(place),
        image: plan.v2.image_id.clone(),
        entrypoint: argv,
        user: Some("0:0".into()),
        network: Some(plan.private_network.clone()),
        mounts: mounts(place),
        files: vec![file],
        labels: plan.labels("V2"),
        ..HelperSpec::default()
    })
}

/// V2's own volumes, where V2 will have them.
pub(in super::super) fn mounts(place: &Place) -> Vec<(String, String, bool)> {
    place.plan.v2_volumes.iter().map(|(volume, path)| (volume.clone(), path.clone(), false)).collect()
}

/// What pg_basebackup takes: 32 KiB to 1 GiB a second.
fn kib(rate: Bytes) -> u64 {
    (rate.0 >> 10).clamp(32, 1 << 20)
}

struct Progress {
    began: Instant,
    bytes: u64,
}

/// Tells how far the copy is, until something else ends it.
async fn watch(session: &Session, place: &Place, progress: &mut Progress) -> Result<(), Trouble> {
    const LOOK: &str = "SELECT phase || '|' || coalesce(backup_streamed, 0) || '|' || coalesce(backup_total, 0) \
                        FROM pg_stat_progress_basebackup ORDER BY pid DESC LIMIT 1";
    let wait = Wait {
        what: "the copy",
        limit: Limit { name: "limits.total", value: place.plan.limits.total.0 },
        every: Duration::from_millis(500),
        kind: Kind::NotReady,
    };
    let silent = Teller::silent();
    wait::until(wait, &silent, async || {
        // The look is for show: V1 that is busy must not end the copy.
        if let Ok(Some(text)) = session.text(LOOK).await {
            tell(place, progress, &text);
        }
        Ok(Look::<()>::NotYet("it is not complete".into()))
    })
    .await
}

fn tell(place: &Place, progress: &mut Progress, text: &str) {
    let parts: Vec<&str> = text.split('|').collect();
    let [phase, streamed, total] = parts[..] else { return };
    let (Ok(streamed), Ok(total)) = (streamed.parse::<u64>(), total.parse::<u64>()) else { return };
    if streamed == 0 {
        return place.tell.waiting("the copy to begin", phase);
    }
    progress.bytes = streamed;
    let ms = u64::try_from(progress.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = streamed.saturating_mul(1000) / ms;
    place.tell.progress("copied", streamed, (total > 0).then_some(total), Some(rate), Unit::Bytes);
}

fn failed(stderr: &str) -> Trouble {
    let last: Vec<&str> = stderr.lines().rev().filter(|line| !line.trim().is_empty()).take(4).collect();
    let why = last.into_iter().rev().collect::<Vec<_>>().join("; ");
    let trouble = Trouble::failed("the copy of V1's data failed").because(Trouble::failed(why.clone()));
    if why.contains("No space left") {
        return trouble
            .hint("V2's disk is full: make room, or let V2's volume be elsewhere")
            .hint("`switchover resume` copies again from the beginning; `switchover abort` removes what is there");
    }
    if why.contains("already been removed") || why.contains("no longer") {
        return trouble.hint("V1 could not keep its log for as long as the copy took: raise limits.v1-wal");
    }
    trouble.hint("`switchover resume` copies again from the beginning")
}

/// Data that was there before the run is never emptied.
pub(in super::super) fn refuse_not_ours(place: &Place) -> Result<(), Trouble> {
    if place.side == Side::V2 && place.plan.made_v2() {
        return Ok(());
    }
    Err(Trouble::bug(format!("{}'s data was not made by this run: it is left alone", place.side)))
}

fn helper_name(place: &Place) -> String {
    format!("switchover-{}-seed", place.plan.tag())
}

/// A copy that an earlier process began and that still runs goes with its helper.
async fn ensure_no_copy(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&helper_name(place), &place.plan.run).await
}

/// The leader may not have noticed: it goes on sending to an address that is gone, for as long as TCP repeats (15 min).
async fn ensure_no_sender(session: &Session, place: &Place) -> Result<(), Trouble> {
    let of_a_copy = format!(
        "FROM pg_stat_activity AS a WHERE a.usename = {} AND a.application_name = {}",
        literal(&names::replication(&place.plan)),
        literal(APPLICATION)
    );
    sessions::ensure_ended(session, &of_a_copy, "an earlier copy's sessions to end", &place.tell).await
}

/// The data directory is empty again, and no copy runs.
pub(in super::super) async fn ensure_unseeded(place: &Place) -> Result<(), Trouble> {
    refuse_not_ours(place)?;
    ensure_no_copy(place).await?;
    volume::ensure_none(place).await?;
    rewind::ensure_no_rewind(place).await?;
    ensure_empty(place, &[]).await
}

/// Of data that this run has made; `more`: what it has made beside it.
pub(in super::super) async fn ensure_empty(place: &Place, more: &[String]) -> Result<(), Trouble> {
    let (plan, before) = (&place.plan, Before::of(&place.plan)?);
    for (volume, _) in &plan.v2_volumes {
        if !place.runtime.volume_exists(volume).await? {
            return Ok(());
        }
    }
    let mut argv: Vec<String> = ["sh", "-c", WIPE, "sh", connect::data(place)].map(str::to_owned).to_vec();
    argv.extend(before.tablespaces.iter().chain(&before.wal_directory).chain(more).cloned());
    let spec = HelperSpec {
        name: format!("switchover-{}-wipe", plan.tag()),
        image: plan.v2.image_id.clone(),
        entrypoint: argv,
        user: Some("0:0".into()),
        mounts: mounts(place),
        labels: plan.labels("V2"),
        ..HelperSpec::default()
    };
    let helper = place.runtime.helper(&spec).await?;
    let limit = Limit { name: "limits.catch-up", value: plan.limits.catch_up.0 };
    let output = wait::within(limit, "removing V2's copy", helper.end()).await?;
    if output.code == 0 {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Trouble::failed("V2's copy cannot be removed").because(Trouble::failed(why)))
}
