//! Each refusal by its cause, and nothing else refused with it.

mod logical;

use std::collections::BTreeMap;

use super::*;
use crate::engine::postgres::said::{Aged, Archiver, Database, Replica, Setting, Slot, Subscription, Tablespace};
use crate::engine::{Verdict, postgres::logical::Extension};
use crate::runtime::{Mount, MountKind, State};

/// V1 and V2's image as most people have them.
struct World {
    container: Container,
    image: Image,
    moving: Moving,
    fixed: Fixed,
    inside: Vec<(String, Inside)>,
    in_databases: Vec<(String, InDatabase)>,
    cluster: Cluster,
    v1: Machine,
    v2: Machine,
    v1_free: Option<u64>,
    write_rate: Option<u64>,
    text: bool,
    allow: Vec<String>,
    limits: Limits,
}

const DATA: &str = "/var/lib/postgresql/data";

fn in_database() -> InDatabase {
    InDatabase {
        extensions: vec![Extension { name: "pg_trgm".into(), version: "1.6".into() }],
        ..InDatabase::default()
    }
}

fn world() -> World {
    let settings = [
        ("archive_mode", "off"),
        ("data_checksums", "on"),
        ("data_directory", DATA),
        ("dynamic_library_path", "$libdir"),
        ("hba_file", "/var/lib/postgresql/data/pg_hba.conf"),
        ("hot_standby", "on"),
        ("max_connections", "100"),
        ("max_replication_slots", "10"),
        ("max_slot_wal_keep_size", "-1"),
        ("max_wal_senders", "10"),
        ("wal_level", "replica"),
    ];
    let machine = Machine {
        architecture: "x86_64".into(),
        libc: "glibc 2.36".into(),
        icu: "72".into(),
        version: "15.20".into(),
        owner: Some((999, 999)),
        free: Some(100 << 30),
        tools: ["pg_basebackup", "pg_rewind", "psql", "initdb", "pg_dump", "pg_dumpall", "pg_restore"]
            .map(str::to_owned)
            .to_vec(),
        libraries_known: true,
        has: ["lib:pg_trgm", "ext:pg_trgm 1.6", "locale:en_US.utf8"].map(str::to_owned).to_vec(),
    };
    World {
        container: container(),
        image: image(),
        moving: Moving {
            superuser: true,
            settings: settings.into_iter().map(|(name, value)| (name.to_owned(), set(value, "default"))).collect(),
            ..Moving::default()
        },
        fixed: Fixed {
            version_num: 150_018,
            version: "15.18".into(),
            databases: vec![Database {
                name: "postgres".into(),
                bytes: 1 << 30,
                connectable: true,
                template: false,
                encoding: "UTF8".into(),
                collate: "en_US.utf8".into(),
                ctype: "en_US.utf8".into(),
            }],
            plpgsql: true,
            main_pid: "1".into(),
            main_database: true,
            ..Fixed::default()
        },
        inside: vec![(
            "postgres".into(),
            Inside {
                extensions: vec!["pg_trgm".into()],
                libraries: vec!["$libdir/pg_trgm".into()],
                ordered_by_libc: 3,
                ..Inside::default()
            },
        )],
        in_databases: vec![("postgres".into(), in_database())],
        cluster: Cluster::default(),
        v1: machine.clone(),
        v2: machine,
        v1_free: Some(50 << 30),
        write_rate: Some(1 << 20),
        text: true,
        allow: Vec::new(),
        limits: Limits::default(),
    }
}

fn set(value: &str, source: &str) -> Setting {
    Setting { value: value.into(), source: source.into(), pending: false }
}

fn container() -> Container {
    Container {
        id: "aa11".into(),
        name: "shop-db".into(),
        image: "postgres:15".into(),
        image_id: "sha256:1".into(),
        state: State::Running,
        started_at: String::new(),
        host_pid: Some(7),
        command: vec!["postgres".into()],
        entrypoint: vec!["docker-entrypoint.sh".into()],
        user: String::new(),
        init: false,
        stop_signal: "SIGINT".into(),
        auto_remove: false,
        health_check: None,
        restart_policy: "always".into(),
        network_mode: "bridge".into(),
        mounts: vec![mount("shop-db", DATA)],
        networks: Vec::new(),
        ports: Vec::new(),
        labels: BTreeMap::new(),
        settings: BTreeMap::new(),
    }
}

fn mount(source: &str, destination: &str) -> Mount {
    Mount { kind: MountKind::Volume, source: source.into(), destination: destination.into(), read_only: false }
}

fn image() -> Image {
    Image { reference: "postgres:15".into(), volumes: vec![DATA.into()], ..crate::plan::tests::image() }
}

impl World {
    fn checks(&self) -> Vec<Check> {
        all(&self.found())
    }

    fn method(&self) -> Method {
        method(&self.found())
    }

    fn found(&self) -> Found<'_> {
        Found {
            container: &self.container,
            v1_image: None,
            v2_image: &self.image,
            moving: &self.moving,
            fixed: &self.fixed,
            inside: &self.inside,
            in_databases: &self.in_databases,
            cluster: &self.cluster,
            v1: &self.v1,
            v2: &self.v2,
            v1_free: self.v1_free,
            write_rate: self.write_rate,
            wal_directory: None,
            text: self.text,
            allow: &self.allow,
            limits: &self.limits,
            seed: None,
        }
    }

    fn with_verdict(&self, verdict: Verdict) -> Vec<String> {
        self.checks().into_iter().filter(|check| check.verdict == verdict).map(|check| check.id).collect()
    }
}

fn with(change: impl FnOnce(&mut World)) -> World {
    let mut world = world();
    change(&mut world);
    world
}

fn refusals(change: impl FnOnce(&mut World)) -> Vec<String> {
    with(change).with_verdict(Verdict::Refused)
}

fn setting(name: &str, value: &str) -> impl FnOnce(&mut World) {
    move |world| drop(world.moving.settings.insert(name.into(), set(value, "configuration file")))
}

fn typed(name: &str, value: &str) -> impl FnOnce(&mut World) {
    move |world| drop(world.moving.settings.insert(name.into(), set(value, "command line")))
}

#[test]
fn most_people_are_not_refused_and_every_id_is_there_once() {
    assert_eq!(world().with_verdict(Verdict::Refused), [""; 0]);
    let mut ids: Vec<String> = world().checks().into_iter().map(|check| check.id).collect();
    let n = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), n);
}

#[test]
fn every_refusal_has_a_hint() {
    let refused = with(|world| {
        world.moving.in_recovery = true;
        world.moving.superuser = false;
        world.v2 = Machine::default();
        world.fixed = Fixed::default();
    });
    for check in refused.checks().iter().filter(|check| check.verdict == Verdict::Refused) {
        assert!(check.hint.is_some(), "{check:?}");
    }
}

#[test]
fn versions_and_machines() {
    assert_eq!(refusals(|w| w.v2.version = "15.3".into()), ["v2-not-older"]);
    assert_eq!(refusals(|w| w.v2.architecture = "aarch64".into()), ["architecture"]);
    assert_eq!(refusals(|w| w.v2.architecture = String::new()), ["architecture"], "unknown is not equal");
}

/// Another major version, or another order of text that something depends on.
#[test]
fn what_streaming_cannot_do_is_done_by_logical_replication() {
    let method = |change: fn(&mut World)| with(change).method();
    assert_eq!(method(|_| ()), Method::Physical);
    assert_eq!(method(|w| w.v2.version = "15.99".into()), Method::Physical);
    assert_eq!(method(|w| w.v2.version = "17.2".into()), Method::Logical);
    assert_eq!(method(|w| w.v2.libc = "glibc 2.41".into()), Method::Logical);
    assert_eq!(method(|w| w.v2.libc = "musl 1.2.5".into()), Method::Logical);
    let unused = |w: &mut World| {
        w.v2.libc = "musl 1.2.5".into();
        w.v2.icu = "74".into();
        w.inside[0].1.ordered_by_libc = 0;
    };
    assert_eq!(method(unused), Method::Physical);
    assert_eq!(with(unused).with_verdict(Verdict::Refused), [""; 0]);
    let both_unknown = |w: &mut World| (w.v1.libc, w.v2.libc) = (String::new(), String::new());
    assert_eq!(method(both_unknown), Method::Logical, "unknown is not equal");
    let icu = |w: &mut World| {
        w.v2.icu = "74".into();
        w.inside[0].1.ordered_by_icu = 1;
    };
    assert_eq!(method(icu), Method::Logical);
}

#[test]
fn what_v2s_image_lacks() {
    let preload = |w: &mut World| {
        setting("shared_preload_libraries", "pg_stat_statements, \"auto explain\"")(w);
        w.v2.has.push("lib:pg_stat_statements".into());
    };
    let world = with(preload);
    let check = world.checks().into_iter().find(|check| check.id == "extension-libraries").unwrap();
    assert_eq!((check.verdict, check.found.as_str()), (Verdict::Refused, "V2's image lacks auto explain"));
    assert_eq!(refusals(|w| w.v2.has.clear()), ["extension-libraries"]);
    assert_eq!(refusals(|w| w.v2.tools.clear()), ["v2-tools"]);
}

#[test]
fn what_no_fence_stops_is_refused_by_name() {
    let cron = with(|w| w.moving.workers = vec!["pg_cron launcher".into()]);
    let check = cron.checks().into_iter().find(|check| check.id == "background-workers").unwrap();
    assert!(check.verdict == Verdict::Refused && check.found.contains("pg_cron launcher"));
}

#[test]
fn subscriptions_are_carried_but_only_those_of_the_plan() {
    let subscription = |enabled| Subscription { oid: 16400, name: "s".into(), database: "shop".into(), enabled };
    for enabled in [true, false] {
        assert_eq!(refusals(|w| w.moving.subscriptions = vec![subscription(enabled)]), [""; 0]);
    }
    let mut plan = crate::plan::tests::any_plan();
    let before = |subscriptions: &[u32]| {
        let mut before = crate::engine::postgres::before::tests::any();
        before["subscriptions"] = subscriptions.into();
        before
    };
    let now = with(|w| w.moving.subscriptions = vec![subscription(true)]);
    let refused = |plan: &crate::plan::Plan| {
        again(&now.moving, plan).into_iter().filter(|check| check.verdict == Verdict::Refused).map(|check| check.id)
    };
    plan.before = before(&[]);
    assert_eq!(refused(&plan).collect::<Vec<_>>(), ["subscriptions"]);
    plan.before = before(&[16400]);
    assert_eq!(refused(&plan).count(), 0);
}

#[test]
fn rows_that_nothing_replicates_are_given_up_only_when_allowed() {
    let unlogged = |w: &mut World| w.inside[0].1.unlogged = 2;
    assert_eq!(refusals(unlogged), ["unlogged-tables"]);
    let allowed = with(|w| {
        unlogged(w);
        w.allow = vec!["data-loss-unlogged".into()];
    });
    assert_eq!(allowed.with_verdict(Verdict::Accepted), ["unlogged-tables"]);
}

#[test]
fn followers_and_slots_can_be_allowed_but_ours_need_not() {
    let slot = |name: &str, logical| Slot { name: name.into(), logical };
    let replica = |user: &str| Replica { name: "walreceiver".into(), user: user.into() };
    assert_eq!(refusals(|w| w.moving.slots = vec![slot("theirs", false)]), ["other-replicas"]);
    assert_eq!(refusals(|w| w.moving.slots = vec![slot("cdc", true)]), ["logical-slots"]);
    let allowed = with(|w| {
        w.moving.slots = vec![slot("theirs", false), slot("cdc", true)];
        w.allow = vec!["other-replicas".into(), "logical-slots".into()];
    });
    assert_eq!(allowed.with_verdict(Verdict::Accepted), ["other-replicas", "logical-slots"]);
    let plan = crate::plan::tests::any_plan();
    let ours = with(|w| {
        w.moving.slots = vec![slot(&crate::engine::postgres::names::slot(&plan), false)];
        w.moving.replicas = vec![replica(&crate::engine::postgres::names::replication(&plan))];
    });
    assert!(again(&ours.moving, &plan).iter().all(|check| check.verdict != Verdict::Refused));
    assert_eq!(refusals(|w| w.moving.replicas = vec![replica("them")]), ["other-replicas"]);
}

#[test]
fn what_moves() {
    assert_eq!(refusals(|w| w.moving.in_recovery = true), ["is-primary"]);
    assert_eq!(refusals(setting("max_wal_senders", "1")), ["free-senders"]);
    assert_eq!(refusals(setting("max_replication_slots", "0")), ["free-slots"]);
    assert_eq!(refusals(setting("synchronous_standby_names", "*")), ["synchronous-standbys"]);
    assert_eq!(refusals(|w| w.moving.in_backup = Some(true)), ["exclusive-backup"]);
    assert_eq!(refusals(|w| w.moving.broken_rules = 1), ["files-in-order"]);
    assert_eq!(refusals(|w| w.moving.prepared = Aged { count: 1, seconds: 3600 }), ["prepared-transactions"]);
    assert_eq!(refusals(|w| w.moving.prepared = Aged { count: 1, seconds: 2 }), [""; 0]);
    assert_eq!(refusals(|w| w.moving.long = Aged { count: 1, seconds: 3600 }), [""; 0]);
    let archiving = |w: &mut World| {
        setting("archive_mode", "on")(w);
        w.moving.archiver = Archiver { failing: true, waiting: 3 };
    };
    assert_eq!(refusals(archiving), ["archiver"]);
    let by_hand = |w: &mut World| {
        setting("archive_mode", "on")(w);
        typed("archive_command", "cp %p /archive")(w);
    };
    assert_eq!(refusals(by_hand), ["archiver"]);
}

#[test]
fn where_files_are() {
    assert_eq!(refusals(setting("hba_file", "/etc/pg_hba.conf")), ["access-rules"]);
    assert_eq!(refusals(|w| w.text = false), ["access-rules"]);
    assert_eq!(refusals(setting("config_file", "/etc/postgresql.conf")), ["other-files"]);
    let mounted = |w: &mut World| {
        setting("config_file", "/etc/pg/postgresql.conf")(w);
        w.container.mounts.push(mount("conf", "/etc/pg"));
    };
    assert_eq!(refusals(mounted), [""; 0]);
    let nested = |w: &mut World| w.container.mounts.push(mount("wal", "/var/lib/postgresql/data/pg_wal"));
    assert_eq!(refusals(nested), ["nested-mounts"]);
    let inside = Tablespace { name: "t".into(), path: "/var/lib/postgresql/data/t".into() };
    assert_eq!(refusals(|w| w.fixed.tablespaces = vec![inside]), ["tablespaces"]);
    assert_eq!(refusals(typed("hot_standby", "off")), ["hot-standby"]);
    assert_eq!(refusals(typed("recovery_target_time", "2020-01-01")), ["recovery-settings"]);
    assert_eq!(refusals(setting("recovery_target_time", "2020-01-01")), [""; 0], "overridden");
    assert_eq!(refusals(setting("wal_level", "minimal")), ["wal-level"]);
    assert_eq!(refusals(|w| w.fixed.main_database = false), ["main-database"]);
}

#[test]
fn disks() {
    assert_eq!(refusals(|w| w.v2.free = Some(1 << 30)), ["disk-for-copy"]);
    assert_eq!(refusals(|w| w.v2.free = None), [""; 0]);
    assert_eq!(refusals(|w| w.write_rate = Some(1 << 30)), ["disk-for-log"]);
    assert_eq!(refusals(|w| w.write_rate = None), [""; 0]);
    assert_eq!(refusals(setting("max_slot_wal_keep_size", "1")), ["max-slot-wal-keep-size"]);
    assert_eq!(refusals(setting("max_slot_wal_keep_size", "100000")), [""; 0]);
}

#[test]
fn many_names_are_cut_and_strange_ones_shown_safely() {
    assert_eq!(some(&["a", "b\n\u{1b}[31m"]), "a, b\\n\\u{1b}[31m");
    assert_eq!(some(&["1", "2", "3", "4", "5", "6", "7"]), "1, 2, 3, 4, 5 and 2 more");
}
