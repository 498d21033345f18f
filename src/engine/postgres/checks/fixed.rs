//! Where V1's files are, and how its process runs.

use super::{Found, Method, noted, passed, refused, some, unless_allowed};
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::postgres::logical::{MOST_UNLOGGED, UNLOGGED_ALLOWED};
use crate::runtime::MountKind;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![
        main_database(found),
        access_rules(found),
        other_files(found),
        nested_mounts(found),
        storage(found),
        removal(found),
        tablespaces(found),
        unlogged(found),
        reachable(found),
        main_process(found),
        hot_standby(found),
        recovery_settings(found),
        wal_level(found),
        rewind(found),
    ]
}

fn is_in(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn data<'a>(found: &'a Found<'_>) -> &'a str {
    found.moving.setting("data_directory")
}

fn main_database(found: &Found<'_>) -> Check {
    let id = "main-database";
    match (found.fixed.main_database, found.fixed.plpgsql) {
        (true, true) => passed(id, "database postgres, with plpgsql"),
        (false, _) => refused(id, "V1 has no database named postgres", "CREATE DATABASE postgres"),
        (true, false) => refused(
            id,
            "database postgres lacks plpgsql, in which the dead-man's switch is written",
            "CREATE EXTENSION plpgsql, in database postgres",
        ),
    }
}

/// We rewrite it in the window by its plain name, and V2 must have its own.
fn access_rules(found: &Found<'_>) -> Check {
    let id = "access-rules";
    let file = found.moving.setting("hba_file");
    let expected = format!("{}/pg_hba.conf", data(found).trim_end_matches('/'));
    if file != expected {
        return refused(
            id,
            format!("V1's access rules are in {file}, not in its data directory"),
            "start V1 without hba_file: pg_hba.conf in the data directory is then used",
        );
    }
    let mounted = found.container.mounts.iter().any(|mount| mount.destination == file);
    if mounted {
        return refused(
            id,
            format!("{file} is a mount of its own: it cannot be replaced in one act"),
            "copy it into the data directory instead of mounting it",
        );
    }
    if !found.text {
        return refused(
            id,
            "pg_hba.conf or postgresql.auto.conf of V1 is not text in UTF-8",
            "write them in UTF-8 (`iconv`); comments with umlauts are the usual cause",
        );
    }
    passed(id, "pg_hba.conf in the data directory")
}

/// Files outside the data directory are not copied: V2 has them by the same mount, or by its image.
fn other_files(found: &Found<'_>) -> Check {
    let id = "other-files";
    let missing: Vec<&str> =
        outside_files(found.moving, data(found)).into_iter().filter(|file| !carried(found, file)).collect();
    if missing.is_empty() {
        return passed(id, "settings, TLS and user maps come along");
    }
    refused(
        id,
        format!("V2 would not have {}", some(&missing)),
        "put these files into V1's data directory, or mount them (V2 gets V1's mounts)",
    )
}

fn carried(found: &Found<'_>, file: &str) -> bool {
    let mount = found.container.mount_of(file);
    mount.is_some_and(|mount| matches!(mount.kind, MountKind::Bind | MountKind::Volume))
        || found.v2.has.iter().any(|has| has == file)
}

/// Absolute paths, named by settings, that are not in the data directory.
pub(in super::super) fn outside_files<'a>(moving: &'a super::Moving, data: &str) -> Vec<&'a str> {
    let tls: &[&str] = match moving.setting("ssl") {
        "on" => &["ssl_ca_file", "ssl_cert_file", "ssl_crl_file", "ssl_key_file"],
        _ => &[],
    };
    ["config_file", "ident_file"]
        .iter()
        .chain(tls)
        .map(|name| moving.setting(name))
        .filter(|file| file.starts_with('/') && !is_in(file, data))
        .collect()
}

fn nested_mounts(found: &Found<'_>) -> Check {
    let id = "nested-mounts";
    let data = data(found);
    let nested: Vec<&str> = found
        .container
        .mounts
        .iter()
        .map(|mount| mount.destination.as_str())
        .filter(|destination| {
            is_in(destination, data) && destination.trim_end_matches('/') != data.trim_end_matches('/')
        })
        .collect();
    if nested.is_empty() {
        return passed(id, "none");
    }
    refused(
        id,
        format!("mounts inside the data directory: {}", some(&nested)),
        "mount them elsewhere and let links in the data directory point there",
    )
}

fn storage(found: &Found<'_>) -> Check {
    let id = "storage";
    let data = data(found);
    let Some(mount) = found.container.mount_of(data) else {
        return noted(id, format!("{data} is in V1's container itself, not in a volume; V2 gets a volume"));
    };
    match mount.kind {
        MountKind::Volume => passed(id, format!("{data} is in volume {}", mount.source)),
        MountKind::AnonymousVolume => noted(id, format!("{data} is in a volume without a name; V2's has one")),
        MountKind::Bind => noted(id, format!("{data} is in the host's {}; V2 gets a volume", mount.source)),
        MountKind::Tmpfs => noted(id, format!("{data} is in memory only; V2 gets a volume")),
        MountKind::Other => noted(id, format!("{data} is in a mount of another kind; V2 gets a volume")),
    }
}

/// The way back stops V1, and an engine removes such a container when it stops.
fn removal(found: &Found<'_>) -> Check {
    let id = "auto-remove";
    if !found.container.auto_remove {
        return passed(id, "V1 outlives its stop");
    }
    noted(id, "V1 was started with --rm: it is not stopped at the end, so that it cannot follow V2 as the way back")
}

fn tablespaces(found: &Found<'_>) -> Check {
    let id = "tablespaces";
    let data = data(found);
    let spaces = &found.fixed.tablespaces;
    let strange: Vec<&str> = spaces
        .iter()
        .filter(|space| !space.path.starts_with('/') || is_in(&space.path, data))
        .map(|space| space.name.as_str())
        .collect();
    if !strange.is_empty() {
        return refused(
            id,
            format!("tablespaces inside the data directory cannot be copied: {}", some(&strange)),
            "move their tables to another tablespace and drop them",
        );
    }
    match spaces.len() {
        0 => passed(id, "none"),
        _ => noted(
            id,
            format!(
                "carried over at the same paths: {}",
                some(&spaces.iter().map(|s| format!("{} at {}", s.name, s.path)).collect::<Vec<_>>())
            ),
        ),
    }
}

fn unlogged(found: &Found<'_>) -> Check {
    let id = "unlogged-tables";
    let bytes: u64 = found.inside.iter().map(|(_, inside)| inside.unlogged_bytes).sum();
    match found.inside.iter().map(|(_, inside)| inside.unlogged).sum() {
        0_u32 => passed(id, "none"),
        n if super::method(found) == Method::Logical && bytes <= MOST_UNLOGGED => {
            noted(id, format!("{n} unlogged tables hold {}; their rows are copied in the window", Bytes(bytes)))
        }
        n => unless_allowed(
            found.allow,
            UNLOGGED_ALLOWED,
            id,
            format!("{n} unlogged tables hold rows; they will be empty on V2, as after a crash of V1"),
            "nothing replicates them: ALTER TABLE … SET LOGGED carries them over",
        ),
    }
}

/// Databases that cannot be looked into are copied all the same.
fn reachable(found: &Found<'_>) -> Check {
    let id = "databases";
    let closed: Vec<&str> = found
        .fixed
        .databases
        .iter()
        .filter(|database| !database.connectable && database.name != "template0")
        .map(|database| database.name.as_str())
        .collect();
    match closed.is_empty() {
        true => passed(id, format!("{} databases", found.fixed.databases.len())),
        false => noted(id, format!("{} allow no connections: copied, but not looked into nor compared", some(&closed))),
    }
}

/// Only a server that is process 1 of its container can have its listener held.
fn main_process(found: &Found<'_>) -> Check {
    let id = "main-process";
    match found.fixed.main_pid.as_str() {
        "1" => passed(id, "the server is process 1 of its container: new connections can be held"),
        pid => noted(
            id,
            format!(
                "the server is process {pid} of its container: during the cutover new connections are refused, not held"
            ),
        ),
    }
}

fn hot_standby(found: &Found<'_>) -> Check {
    let id = "hot-standby";
    if found.moving.setting("hot_standby") == "off" && found.moving.on_command_line("hot_standby") {
        return refused(
            id,
            "hot_standby=off is on V1's command line: V2 could not be looked into",
            "take it off V1's command line",
        );
    }
    passed(id, "V2 can be looked into while it follows")
}

/// Left over from a restore, these would stop V2 in the middle; in files we override them.
fn recovery_settings(found: &Found<'_>) -> Check {
    let id = "recovery-settings";
    let set: Vec<&str> = found
        .moving
        .settings
        .keys()
        .filter(|name| name.starts_with("recovery_") || matches!(name.as_str(), "primary_conninfo" | "restore_command"))
        .filter(|name| found.moving.on_command_line(name) && !found.moving.setting(name).is_empty())
        .map(String::as_str)
        .collect();
    match set.is_empty() {
        true => passed(id, "none on V1's command line"),
        false => refused(id, format!("on V1's command line: {}", some(&set)), "take them off V1's command line"),
    }
}

fn wal_level(found: &Found<'_>) -> Check {
    match found.moving.setting("wal_level") {
        "minimal" => refused("wal-level", "wal_level is minimal", "set wal_level to replica on V1 and restart it"),
        level => passed("wal-level", level),
    }
}

/// Decides whether the way back survives V1 having written a little past the switch.
fn rewind(found: &Found<'_>) -> Check {
    let id = "rewind";
    let (checksums, hints) = (found.moving.setting("data_checksums"), found.moving.setting("wal_log_hints"));
    match checksums == "on" || hints == "on" {
        true => passed(id, "V1 could be rewound"),
        false => noted(
            id,
            "V1 has neither checksums nor wal_log_hints: if its log goes past the switch, the way back needs a new copy",
        ),
    }
}
