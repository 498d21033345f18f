use std::collections::BTreeMap;

use super::*;
use crate::runtime::{Labels, Mount, MountKind, Port, State};

fn v1(network_mode: &str, networks: &[&str]) -> Container {
    let place = |network: &&str| Attachment { network: (*network).into(), ..Attachment::default() };
    Container {
        id: "1".into(),
        name: "db".into(),
        image: String::new(),
        image_id: String::new(),
        state: State::Running,
        started_at: String::new(),
        host_pid: None,
        command: vec![],
        entrypoint: vec![],
        user: String::new(),
        stop_signal: String::new(),
        init: false,
        auto_remove: false,
        health_check: None,
        restart_policy: "no".into(),
        network_mode: network_mode.into(),
        mounts: vec![],
        networks: networks.iter().map(place).collect(),
        ports: vec![],
        labels: BTreeMap::new(),
        settings: BTreeMap::new(),
    }
}

fn network(name: &str, driver: &str, labels: &[(&str, &str)]) -> Network {
    let labels: Labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    Network { name: name.into(), driver: driver.into(), internal: false, subnets: vec![], gateways: vec![], labels }
}

fn port(ephemeral: bool) -> Port {
    Port { container: "5432/tcp".into(), host_ip: String::new(), host_port: 5432, ephemeral, bound: true }
}

fn names(ways: &[WayPlan]) -> Vec<String> {
    ways.iter()
        .map(|way| match way {
            WayPlan::NetworkAlias { on } => on.network.clone(),
            WayPlan::PublishedPort { networks, .. } => {
                format!("port on {}", networks.iter().map(|at| at.network.as_str()).collect::<Vec<_>>().join("+"))
            }
            WayPlan::Haproxy(_) | WayPlan::Pgbouncer(_) | WayPlan::Hook(_) => format!("{way:?}"),
        })
        .collect()
}

fn refusals(v1: &Container, networks: &[Network], allow: &[String]) -> Vec<String> {
    let refused = checks(v1, networks, allow).into_iter().filter(|check| check.verdict == Verdict::Refused);
    refused.map(|check| check.id).collect()
}

#[test]
fn one_way_a_network_or_one_for_all_where_ports_are_published() {
    let networks =
        [network("a", "bridge", &[]), network("b", "bridge", &[]), network("old", "bridge", &[(LABEL_RUN, "x")])];
    let mut db = v1("a", &["a", "b", "old"]);
    assert_eq!(names(&find(&db, &networks)), ["a", "b"]);
    db.ports = vec![port(false)];
    assert_eq!(names(&find(&db, &networks)), ["port on a+b"]);
    assert!(refusals(&db, &networks, &[]).is_empty());
}

#[test]
fn the_default_bridge_has_ports_but_no_names() {
    let networks = [network("bridge", "bridge", &[])];
    let mut db = v1("default", &["bridge"]);
    assert_eq!(refusals(&db, &networks, &[]), ["clients"]);
    assert!(refusals(&db, &networks, &["no-clients".into()]).is_empty());
    db.ports = vec![port(false)];
    assert_eq!(names(&find(&db, &networks)), ["port on bridge"]);
    assert!(refusals(&db, &networks, &[]).is_empty());
}

#[test]
fn a_port_that_the_engine_chose_needs_a_word() {
    let networks = [network("a", "bridge", &[])];
    let mut db = v1("a", &["a"]);
    db.ports = vec![port(true)];
    assert_eq!(refusals(&db, &networks, &[]), ["ephemeral-port"]);
    assert!(refusals(&db, &networks, &["ephemeral-port".into()]).is_empty());
}

#[test]
fn what_cannot_be_moved_is_refused_by_name() {
    let of = |db: &Container, driver: &str| refusals(db, &[network("a", driver, &[])], &[]);
    assert_eq!(of(&v1("host", &[]), "bridge"), ["clients-network"]);
    assert_eq!(of(&v1("container:1234", &[]), "bridge"), ["clients-network"]);
    assert_eq!(of(&v1("a", &["a"]), "macvlan"), ["clients-network-driver"]);
    let mut shared = v1("a", &["a"]);
    let destination = "/var/run/postgresql/".to_owned();
    shared.mounts = vec![Mount { kind: MountKind::Volume, source: "s".into(), destination, read_only: false }];
    assert_eq!(of(&shared, "bridge"), ["clients-socket"]);
}
