//! pg_rewind: a server whose log has gone its own way becomes a copy of the other one again, at the cost of the
//! blocks that differ.
//!
//! Data on which one was cut off can be trusted no more, not even by a second one (PostgreSQL's documentation of
//! pg_rewind, Warning): it may have replaced the log that says what differs. So a mark outside the data tells that one
//! was begun, and the label it writes at its end that it was finished.

use std::time::Duration;

use secrecy::ExposeSecret;

use super::before::Before;
use super::session::Timeouts;
use super::{auto_conf, connect, files, names, standby};
use crate::engine::{Place, Side};
use crate::runtime::{Container, File, HelperSpec, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// `$1` data directory, `$2` connection. pg_rewind refuses to run as root, so the helper runs as the owner.
const REWIND: &str = r#"
export PGPASSFILE=/switchover.pass HOME=/tmp
command -v pg_rewind >/dev/null || PATH=$PATH:$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_rewind | head -n 1)")
rm -f "$1/postmaster.pid"
exec pg_rewind --target-pgdata="$1" --source-server="$2"
"#;

/// In the container's own layer: the data directory is the other side's in the end, marks included.
const MARK: &str = "/switchover.rewinding";

/// What was kept when a rewind was begun whose side does not run again yet.
pub(super) async fn begun(place: &Place) -> Result<Option<String>, Trouble> {
    let container = connect::container(place).await?;
    let kept = place.runtime.read_file(&container, MARK).await?.unwrap_or_default();
    Ok(String::from_utf8(kept).ok().filter(|kept| !kept.is_empty()))
}

/// Its files are ours again, or its data is another copy's.
pub(super) async fn ended(place: &Place) -> Result<(), Trouble> {
    if begun(place).await?.is_some() { mark(place, "").await } else { Ok(()) }
}

async fn mark(place: &Place, keep: &str) -> Result<(), Trouble> {
    let container = connect::container(place).await?;
    let file = File { path: MARK.into(), content: keep.as_bytes().to_vec(), mode: 0o600, uid: 0, gid: 0 };
    place.runtime.put_file(&container, &file).await
}

/// `place` is stopped, and is made like the other side, which serves. Its configuration files are the other's
/// afterwards: write ours before it is started, and say that it has [`ended`]. `keep`: what must be known then.
pub(super) async fn ensure_rewound(place: &Place, keep: &str) -> Result<(), Trouble> {
    ensure_no_rewind(place).await?;
    if begun(place).await?.is_some() {
        return match files::read(place, "backup_label").await? {
            Some(_) => Ok(()),
            None => Err(Trouble::failed("a rewind was cut off: its data can be trusted no more")),
        };
    }
    // Before the mark: what fails here has touched nothing.
    checkpoint(&Place { side: place.side.other(), ..place.clone() }).await?;
    mark(place, keep).await?;
    let rewound = rewind(place).await;
    if rewound.is_err() {
        ensure_no_rewind(place).await?;
    }
    rewound
}

/// pg_rewind (up to 15) reads the other side's timeline from its last checkpoint, and the one that follows a promotion may take
/// minutes: before its end the copy would ask for a point on the timeline before. On a busy server it takes its time.
async fn checkpoint(source: &Place) -> Result<(), Trouble> {
    let limit = Limit { name: "limits.catch-up", value: source.plan.limits.catch_up.0 };
    let what = format!("a checkpoint on {}", source.side);
    wait::within(limit, &what, async { connect::either(source, Timeouts::NONE).await?.run("CHECKPOINT").await }).await
}

async fn rewind(place: &Place) -> Result<(), Trouble> {
    let plan = &place.plan;
    let before = Before::of(plan)?;
    let container = connect::found(place).await?;
    if container.state == State::Running {
        return Err(Trouble::bug(format!("{} runs while it is to be rewound", place.side)));
    }
    let mounts = mounts(place, &container, &before)
        .ok_or_else(|| Trouble::failed(format!("{}'s data is in no volume: it cannot be rewound", place.side)))?;
    let source = Place { side: place.side.other(), ..place.clone() };
    connect::refuse_shared(&connect::found(&source).await?, &mounts)?;
    let (uid, gid) = if place.side == Side::V1 { before.owners[0] } else { before.owners[1] };
    let (host, port, user) =
        (standby::host_of_other(place).await?, connect::port(&source).to_string(), names::admin(plan));
    let connection = auto_conf::conninfo(&[
        ("host", &host),
        ("port", &port),
        ("user", &user),
        ("dbname", connect::DATABASE),
        ("application_name", "switchover rewind"),
        ("connect_timeout", "10"),
        ("gssencmode", "disable"),
    ]);
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    let line = standby::pass_line(&user, password.expose_secret());
    let spec = HelperSpec {
        name: helper_name(place),
        image: plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", REWIND, "sh", connect::data(place), &connection].map(str::to_owned).to_vec(),
        user: Some(format!("{uid}:{gid}")),
        network: Some(plan.private_network.clone()),
        mounts,
        files: vec![File { path: "/switchover.pass".into(), content: line.into_bytes(), mode: 0o600, uid, gid }],
        labels: plan.labels("both"),
        ..HelperSpec::default()
    };
    let helper = place.runtime.helper(&spec).await?;
    let limit = Limit { name: "limits.catch-up", value: plan.limits.catch_up.0 };
    let output = wait::within(limit, "pg_rewind", helper.end()).await?;
    if output.code == 0 {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = stderr.lines().filter(|line| line.contains("error") || line.contains("fatal")).collect();
    let why = if errors.is_empty() { stderr.trim().to_owned() } else { errors.join("; ") };
    Err(Trouble::failed("pg_rewind failed").because(Trouble::failed(why)))
}

fn helper_name(place: &Place) -> String {
    format!("switchover-{}-rewind", place.plan.tag())
}

/// One that an earlier process began may still be at work: its end is waited for, and nothing starts on that data before.
pub(super) async fn ensure_no_rewind(place: &Place) -> Result<(), Trouble> {
    let name = helper_name(place);
    let wait = Wait {
        what: "a rewind that an earlier process began",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(200),
        kind: Kind::Failed,
    };
    let ended = wait::until(wait, &place.tell, async || {
        Ok(match place.runtime.container(&name).await? {
            Some(left) if left.state == State::Running => Look::NotYet("it is at work".into()),
            _ => Look::Done(()),
        })
    });
    // In time or not, it is over then.
    let in_time = ended.await;
    place.runtime.ensure_no_container(&name, &place.plan.run).await?;
    in_time
}

/// This side's mounts that hold data. `None`: it is not in mounts.
fn mounts(place: &Place, container: &Container, before: &Before) -> Option<Vec<(String, String, bool)>> {
    let paths = std::iter::once(connect::data(place))
        .chain(before.tablespaces.iter().map(String::as_str))
        .chain(before.wal_directory.as_deref());
    let mut all = Vec::new();
    for path in paths {
        let mount = container.mount_of(path)?;
        all.push((mount.source.clone(), mount.destination.clone(), false));
    }
    all.sort();
    all.dedup();
    Some(all)
}
