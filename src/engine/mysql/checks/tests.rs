//! Each refusal is seen to be made, and not to be made where nothing is wrong.

use super::image::{path, plugins};
use super::moving::checks as moving;
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
            ("binlog_format", "ROW"),
            ("binlog_row_image", "FULL"),
            ("gtid_mode", "ON"),
            ("server_id", "1"),
            ("performance_schema", "ON"),
            ("max_connections", "151"),
        ]),
        ..Said::default()
    }
}

fn refusals(v1: &Said) -> Vec<String> {
    moving(v1, &Own::default(), None).into_iter().filter(|c| c.verdict == Verdict::Refused).map(|c| c.id).collect()
}

#[test]
fn one_series_at_a_time_and_never_back() {
    for (old, new, goes) in [
        ("8.0.36", "8.0.44", true),
        ("8.0.36", "8.4.2", true),
        ("8.0.36", "8.1.0", true),
        ("8.0.36", "9.7.4", false),
        ("8.4.2", "9.7.4", true),
        ("8.4.2", "9.1.0", true),
        ("9.1.0", "9.7.4", true),
        ("8.4.2", "8.0.36", false),
        ("9.7.4", "9.7.4", true),
    ] {
        let v2 = Machine { version: new.into(), ..Machine::default() };
        assert_eq!(path(&server(old), &v2).verdict == Verdict::Passed, goes, "{old} → {new}");
    }
}

#[test]
fn what_cannot_be_followed_or_fenced_is_refused_by_name() {
    let sound = server("9.7.4");
    assert_eq!(refusals(&sound), Vec::<String>::new());
    let set = |name: &str, value: &str| {
        let mut changed = server("9.7.4");
        changed.variables.insert(name.into(), value.into());
        refusals(&changed)
    };
    assert_eq!(set("log_bin", "OFF"), ["binary-log"]);
    assert_eq!(set("binlog_format", "MIXED"), ["row-format"]);
    assert_eq!(set("binlog_row_image", "MINIMAL"), ["row-format"]);
    assert_eq!(set("server_id", "0"), ["server-id"]);
    assert_eq!(set("super_read_only", "ON"), ["writable"]);
    assert_eq!(set("rpl_semi_sync_source_enabled", "ON"), ["semi-sync"]);
    assert_eq!(set("require_secure_transport", "ON"), ["secure-transport"]);
    assert_eq!(set("max_connections", "9"), ["free-connections"]);
    assert_eq!(set("gtid_mode", "OFF"), Vec::<String>::new(), "the run turns it on");
    assert_eq!(refusals(&Said { prepared: 1, ..server("9.7.4") }), ["prepared-transactions"]);
    assert_eq!(refusals(&Said { channels: 1, ..server("9.7.4") }), ["is-no-replica"]);
    assert_eq!(
        refusals(&Said { replicas: vec!["other from 10.0.0.9:1".into()], ..server("9.7.4") }),
        ["other-replicas"]
    );
}

#[test]
fn a_plugin_that_v2_lacks_is_refused_where_it_lacks_it() {
    let v1 = Said { accounts: vec![("app@%".into(), "mysql_native_password".into())], ..server("8.4.0") };
    let of = |version: &str| plugins(&v1, &Machine { version: version.into(), ..Machine::default() }).verdict;
    assert_eq!((of("8.4.3"), of("9.7.4")), (Verdict::Passed, Verdict::Refused));
}
