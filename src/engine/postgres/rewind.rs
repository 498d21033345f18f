//! pg_rewind: a server whose log has gone its own way becomes a copy of the other one again, at the cost of the
//! blocks that differ.

use secrecy::ExposeSecret;

use super::{auto_conf, connect, names, standby};
use crate::engine::Place;
use crate::runtime::{File, HelperSpec};
use crate::trouble::Trouble;

/// `$1` data directory, `$2` connection. pg_rewind refuses to run as root, so the helper runs as the owner.
const REWIND: &str = r#"
export PGPASSFILE=/switchover.pass HOME=/tmp
command -v pg_rewind >/dev/null || PATH=$PATH:$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_rewind | head -n 1)")
rm -f "$1/postmaster.pid"
exec pg_rewind --target-pgdata="$1" --source-server="$2"
"#;

/// `place` is stopped, and is made like the other side, which serves. Its configuration files are the other's
/// afterwards: write ours before it is started.
pub(super) async fn ensure_rewound(
    place: &Place,
    (uid, gid): (u64, u64),
    mounts: &[(String, String, bool)],
) -> Result<(), Trouble> {
    let plan = &place.plan;
    let source = Place { side: place.side.other(), ..place.clone() };
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
        name: format!("switchover-{}-rewind", plan.tag()),
        image: plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", REWIND, "sh", connect::data(place), &connection].map(str::to_owned).to_vec(),
        user: Some(format!("{uid}:{gid}")),
        network: Some(plan.private_network.clone()),
        mounts: mounts.to_vec(),
        files: vec![File { path: "/switchover.pass".into(), content: line.into_bytes(), mode: 0o600, uid, gid }],
        labels: plan.labels("both"),
        ..HelperSpec::default()
    };
    let output = place.runtime.helper(&spec).await?.end().await?;
    if output.code == 0 {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = stderr.lines().filter(|line| line.contains("error") || line.contains("fatal")).collect();
    let why = if errors.is_empty() { stderr.trim().to_owned() } else { errors.join("; ") };
    Err(Trouble::failed("pg_rewind failed").because(Trouble::failed(why)))
}
