//! Another major version: what is refused, and nothing else with it.

use super::*;
use crate::engine::postgres::logical::{Identity, Marked};

/// A world that is moved to another major version.
fn upgraded(change: impl FnOnce(&mut World)) -> Vec<String> {
    refusals(|w| {
        w.v2.version = "17.2".into();
        w.v2.libc = "glibc 2.41".into();
        setting("wal_level", "logical")(w);
        change(w);
    })
}

#[test]
fn what_logical_replication_asks() {
    assert_eq!(upgraded(|_| ()), [""; 0]);
    assert_eq!(upgraded(|w| w.fixed.version_num = 120_005), ["versions"]);
    assert_eq!(upgraded(|w| w.v2.version = "14.9".into()), ["versions", "v2-not-older"]);
    assert_eq!(upgraded(setting("wal_level", "replica")), ["wal-level"]);
    assert_eq!(upgraded(|w| w.v2.has.retain(|has| !has.starts_with("ext:"))), ["extensions"]);
    assert_eq!(upgraded(|w| w.in_databases[0].1.extensions[0].version = "1.10".into()), ["extensions"]);
    assert_eq!(upgraded(|w| w.v2.has.retain(|has| !has.starts_with("locale:"))), ["locales"]);
    assert_eq!(upgraded(|w| w.v2.tools.retain(|tool| tool != "pg_dump")), ["v2-tools"]);
    assert_eq!(upgraded(|w| w.in_databases[0].1.hashed_by_enum = vec!["t".into()]), ["partitions-by-enum"]);
    assert_eq!(upgraded(setting("max_replication_slots", "0")), ["free-slots"]);
    assert_eq!(upgraded(setting("max_connections", "19")), ["free-connections"]);
    let latin =
        Database { name: "shop ü".into(), encoding: "LATIN1".into(), connectable: true, ..Database::default() };
    assert_eq!(upgraded(|w| w.fixed.databases.push(latin)), ["database-names"]);
    let lines = Database { name: "a\nb".into(), encoding: "UTF8".into(), connectable: true, ..Database::default() };
    assert_eq!(upgraded(|w| w.fixed.databases.push(lines)), ["database-names"]);
    let closed = Database { name: "closed".into(), ..Database::default() };
    assert_eq!(upgraded(|w| w.fixed.databases.push(closed)), ["databases"]);
    let theirs = Subscription { oid: 16400, name: "s".into(), database: "shop".into(), enabled: true };
    assert_eq!(upgraded(|w| w.moving.subscriptions = vec![theirs]), ["subscriptions"]);
}

#[test]
fn rows_without_a_key_are_found_again_by_an_index_or_where_allowed() {
    let keyless = |index: Option<&str>| Identity {
        schema: "public".into(),
        table: "t".into(),
        was: Marked::Default,
        index: index.map(str::to_owned),
        bytes: 1,
    };
    assert_eq!(upgraded(|w| w.in_databases[0].1.keyless = vec![keyless(Some("t_a_key"))]), [""; 0]);
    assert_eq!(upgraded(|w| w.in_databases[0].1.keyless = vec![keyless(None)]), ["primary-keys"]);
    let allowed = |w: &mut World| {
        w.in_databases[0].1.keyless = vec![keyless(None)];
        w.allow = vec!["no-primary-key".into()];
    };
    assert_eq!(upgraded(allowed), [""; 0]);
    assert_eq!(upgraded(|w| w.in_databases[0].1.large_objects = 3), ["large-objects"]);
}
