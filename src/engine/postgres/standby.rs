//! The files that make a stopped server a closed follower of the other side, and a running one's own words on it.

use secrecy::ExposeSecret;

use super::session::Session;
use super::{access, auto_conf, connect, files, machine, names};
use crate::engine::Place;
use crate::trouble::Trouble;

/// Settings of a restore that V1's files may still hold, and what V2 must not do before it serves. Each is emptied.
const OFF: &[&str] = &[
    "archive_cleanup_command",
    "archive_command",
    "recovery_end_command",
    "recovery_min_apply_delay",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
    "restore_command",
    "synchronous_standby_names",
];

/// Whom a follower follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    Other,
    /// It stands still.
    Nobody,
}

/// What a follower is set to. `wal_log_hints`: a promotion thrown away can be rewound instead of seeded anew.
/// `keep_mib`: what it may keep for a follower of its own, once it serves.
fn settings(place: &Place, host: &str, keep_mib: u64) -> Vec<(&'static str, String)> {
    let plan = &place.plan;
    let other = Place { side: place.side.other(), ..place.clone() };
    let (port, passfile) = (connect::port(&other).to_string(), passfile(place));
    let slot = names::slot(plan);
    let conninfo = auto_conf::conninfo(&[
        ("host", host),
        ("port", &port),
        ("user", &names::replication(plan)),
        ("passfile", &passfile),
        ("application_name", &slot),
        ("connect_timeout", "5"),
        ("keepalives_idle", "10"),
        ("keepalives_interval", "5"),
        ("keepalives_count", "3"),
        ("gssencmode", "disable"),
    ]);
    let mut all: Vec<(&str, String)> = OFF.iter().map(|name| (*name, empty(name))).collect();
    // A name that a version does not know keeps it from starting.
    match machine::major_minor(&plan.v2.version) {
        Some((15.., _)) => all.push(("archive_library", String::new())),
        _ => all.push(("promote_trigger_file", String::new())),
    }
    all.extend([
        ("primary_conninfo", conninfo),
        ("primary_slot_name", slot),
        ("recovery_target_timeline", "latest".into()),
        ("hot_standby", "on".into()),
        ("wal_retrieve_retry_interval", "500ms".into()),
        ("wal_log_hints", "on".into()),
        // Its own health check's words are read, until it serves.
        ("lc_messages", "C".into()),
        ("max_slot_wal_keep_size", format!("{keep_mib}MB")),
    ]);
    all
}

fn empty(name: &str) -> String {
    if name.ends_with("delay") { "0".into() } else { String::new() }
}

pub(super) fn passfile(place: &Place) -> String {
    format!("{}/{}", connect::data(place).trim_end_matches('/'), files::PASSFILE)
}

/// A line of a password file: whatever host, port and database.
pub(super) fn pass_line(user: &str, password: &str) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    format!("*:*:*:{}:{}\n", escaped(user), escaped(password))
}

/// How the other side is reached by name on the private network, whatever it is called by then.
pub(super) async fn host_of_other(place: &Place) -> Result<String, Trouble> {
    let other = Place { side: place.side.other(), ..place.clone() };
    let id = connect::found(&other).await?.id;
    Ok(id.chars().take(12).collect())
}

/// Everything but the access rules. `original`: the side's own settings without ours.
pub(super) async fn write(place: &Place, original: &str, keep_mib: u64, leader: Leader) -> Result<(), Trouble> {
    let host = host_of_other(place).await?;
    let password = place.secrets.secret(names::REPLICATION_SECRET)?;
    let line = pass_line(&names::replication(&place.plan), password.expose_secret());
    files::write(place, files::PASSFILE, line.as_bytes()).await?;
    let mut settings = settings(place, &host, keep_mib);
    if leader == Leader::Nobody {
        settings.retain(|(name, _)| *name != "primary_conninfo" && *name != "primary_slot_name");
    }
    let text = auto_conf::with_ours(original, &place.plan, &settings);
    files::write(place, "postgresql.auto.conf", text.as_bytes()).await?;
    files::write(place, "standby.signal", b"").await
}

/// Closed to everybody but us, across restarts too.
pub(super) async fn close(place: &Place) -> Result<(), Trouble> {
    files::write(place, "pg_hba.conf", access::closed(&place.plan).as_bytes()).await
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// Receives, as of this position.
    Yes(String),
    NotYet(String),
    /// It is no follower: it was promoted.
    No,
}

pub(super) async fn follows(session: &Session) -> Result<Follows, Trouble> {
    let sql = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 'no' ELSE coalesce( \
        (SELECT status || ' ' || coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text \
         FROM pg_stat_wal_receiver), 'none') END";
    let said = session.text(sql).await?.unwrap_or_default();
    Ok(match said.split_once(' ') {
        Some(("streaming", lsn)) => Follows::Yes(lsn.to_owned()),
        Some((status, _)) => Follows::NotYet(format!("its receiver is {status}")),
        None if said == "no" => Follows::No,
        None => Follows::NotYet("it does not receive".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_line_keeps_its_five_fields() {
        assert_eq!(pass_line("me", r"a:b\c"), "*:*:*:me:a\\:b\\\\c\n");
    }
}
