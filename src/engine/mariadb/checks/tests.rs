//! Each refusal is seen to be made, and not to be made where nothing is wrong.

use super::image::path;
use super::moving::{binary_log, checks as moving};
use super::*;
use crate::engine::Verdict;

fn server(version: &str) -> Said {
    let on = |names: &[(&str, &str)]| names.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Said {
        version: version.into(),
        may_all: true,
        connected: Some(3),
        variables: on(&[
            ("log_bin", "ON"),
            ("binlog_format", "MIXED"),
            ("binlog_row_image", "FULL"),
            ("server_id", "1"),
            ("max_connections", "151"),
            ("datadir", "/var/lib/mysql/"),
            ("log_bin_basename", "/var/lib/mysql/binlog"),
            ("innodb_log_group_home_dir", "./"),
        ]),
        ..Said::default()
    }
}

fn refusals(v1: &Said) -> Vec<String> {
    let all = moving(v1, None).into_iter().chain([alike::one_folder(v1), moving::side_door(v1)]);
    all.filter(|c| c.verdict == Verdict::Refused).map(|c| c.id).collect()
}

#[test]
fn the_same_or_a_newer_version_and_never_back() {
    for (old, new, goes) in [
        ("10.5.23-MariaDB", "11.8.9-MariaDB", true),
        ("10.11.19-MariaDB", "10.11.19-MariaDB", true),
        ("10.11.19-MariaDB", "10.11.18-MariaDB", false),
        ("11.8.9-MariaDB", "10.11.19-MariaDB", false),
        ("10.4.34-MariaDB", "11.8.9-MariaDB", false),
    ] {
        let v2 = Machine { version: new.into(), ..Machine::default() };
        assert_eq!(path(&server(old), &v2).verdict == Verdict::Passed, goes, "{old} → {new}");
    }
}

#[test]
fn what_cannot_be_followed_or_fenced_is_refused_by_name() {
    assert_eq!(refusals(&server("10.11.19")), Vec::<String>::new());
    let set = |name: &str, value: &str| {
        let mut changed = server("10.11.19");
        changed.variables.insert(name.into(), value.into());
        refusals(&changed)
    };
    assert_eq!(set("binlog_format", "STATEMENT"), ["row-format"]);
    assert_eq!(set("server_id", "0"), ["server-id"]);
    assert_eq!(set("read_only", "ON"), ["writable"]);
    assert_eq!(set("rpl_semi_sync_master_enabled", "ON"), ["semi-sync"]);
    assert_eq!(set("require_secure_transport", "ON"), ["secure-transport"]);
    assert_eq!(set("wsrep_on", "ON"), ["is-no-replica"]);
    assert_eq!(set("max_connections", "12"), ["free-connections"]);
    assert_eq!(set("extra_port", "3308"), ["extra-port"]);
    assert_eq!(set("log_bin_basename", "/var/log/mysql/binlog"), ["one-data-folder"]);
    assert_eq!(set("innodb_log_group_home_dir", "/var/lib/mysql/redo"), Vec::<String>::new());
    assert_eq!(refusals(&Said { prepared: 1, ..server("10.11.19") }), ["prepared-transactions"]);
    assert_eq!(refusals(&Said { channels: 1, ..server("10.11.19") }), ["is-no-replica"]);
}

#[test]
fn a_binary_log_takes_a_restart_that_must_be_allowed() {
    let mut v1 = server("10.11.19");
    assert_eq!(binary_log(&v1, &[]).verdict, Verdict::Passed);
    v1.variables.insert("log_bin".into(), "OFF".into());
    assert_eq!(binary_log(&v1, &[]).verdict, Verdict::Refused);
    assert_eq!(binary_log(&v1, &["v1-restart".into()]).verdict, Verdict::Accepted);
}
