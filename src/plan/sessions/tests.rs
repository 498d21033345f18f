use super::super::tests::{container, image, survey};
use super::super::{Haproxy, HaproxyApi, Names};
use super::*;
use crate::config::Config;
use crate::runtime::{Attachment, Labels, Port};

fn network(name: &str, subnet: &str, gateway: &str) -> Network {
    Network {
        name: name.into(),
        driver: "bridge".into(),
        internal: false,
        subnets: vec![subnet.into()],
        gateways: vec![gateway.into()],
        labels: Labels::new(),
    }
}

fn from(address: &str, application: &str, user: &str) -> ClientSession {
    ClientSession { address: address.into(), application: application.into(), user: user.into() }
}

fn alias(network: &str) -> WayPlan {
    WayPlan::NetworkAlias { on: Attachment { network: network.into(), ..Attachment::default() } }
}

fn port() -> WayPlan {
    let port = Port { container: "1/tcp".into(), host_ip: String::new(), host_port: 1, ephemeral: false, bound: true };
    WayPlan::PublishedPort { ports: vec![port], networks: vec![] }
}

fn proxy_on(network: &str, addresses: &[&str]) -> Proxy {
    let way = WayPlan::Haproxy(Haproxy {
        api: HaproxyApi::Tcp("lb:9999".into()),
        backend: "db".into(),
        v1: "s1".into(),
        v2: "s1".into(),
        hold: None,
        route: Route::Network(network.into()),
        clients: None,
    });
    Proxy { way: Some(way), addresses: addresses.iter().map(ToString::to_string).collect(), checks: vec![] }
}

fn said(sessions: &[ClientSession], ways: &[WayPlan], proxies: &[Proxy]) -> Vec<(String, String)> {
    let (v1, v2, config) = (container(), image(), Config::default());
    let survey = crate::engine::Survey { sessions: sessions.to_vec(), ..survey() };
    let names = Names::new("01930b2e-7a51-7cc0-9f00-00007f3a1c2b", "shop-db", None);
    let storage = crate::storage::for_v2(&v1, "/data", &v2, "/data", &[], &names.volume).unwrap();
    let networks = [network("app", "10.1.0.0/16", "10.1.0.1"), network("etl", "fd00:1::/64", "fd00:1::1")];
    let drawing = Drawing {
        names: &names,
        v1: &v1,
        networks: &networks,
        ways: &[],
        ways_checks: &[],
        proxies,
        compose: None,
        v1_image: None,
        v2: &v2,
        taken: &[],
        survey: &survey,
        storage: &storage,
        config: &config,
        hold: None,
    };
    checks(&drawing, ways).into_iter().map(|check| (check.id, check.found)).collect()
}

#[test]
fn whoever_comes_by_no_way_is_named() {
    let sessions = [
        from("10.1.0.7", "shop", "app"),
        from("10.1.0.1", "psql", "root"),
        from("fd00:1::9", "", "loader"),
        from("fd00:1::9", "", "loader"),
        from("192.168.4.4", "bi", "reader"),
        from("127.0.0.1", "cron", "app"),
        from("::ffff:10.1.0.8", "shop", "app"),
    ];
    let both = said(&sessions, &[alias("app")], &[]);
    let named = "10.1.0.1 (psql, user root), 192.168.4.4 (bi, user reader), fd00:1::9 (user loader, 2 sessions)";
    let found = format!("on V1 by no way that is moved: {named}; it will not find V2 by itself");
    assert_eq!(both, [("clients-unseen".to_owned(), found)]);
    assert!(said(&sessions[2..4], &[alias("app"), alias("etl")], &[]).is_empty());
    // A published port has no addresses of its own: anybody may come by it.
    assert!(said(&sessions, &[port()], &[]).is_empty());
}

#[test]
fn names_are_those_of_networks() {
    let sessions = [from("shop-app-1.app", "", "app")];
    assert!(said(&sessions, &[alias("app")], &[]).is_empty());
    for elsewhere in ["shop-app-1.etl", ".app", "mapp", "app"] {
        assert_eq!(said(&[from(elsewhere, "", "app")], &[alias("app")], &[]).len(), 1, "{elsewhere}");
    }
}

#[test]
fn whoever_comes_past_the_proxy_is_named() {
    let sessions = [from("10.1.0.5", "", "app"), from("10.1.0.7", "report", "reader")];
    let past = |proxies: &[Proxy]| said(&sessions, &[alias("app")], proxies);
    let found = "comes past the proxy: 10.1.0.7 (report, user reader); it will be cut off and has to reconnect";
    assert_eq!(past(&[proxy_on("app", &["10.1.0.5"])]), [("clients-past-proxy".to_owned(), found.to_owned())]);
    assert!(past(&[proxy_on("app", &["10.1.0.5"]), proxy_on("app", &["10.1.0.7"])]).is_empty());
    // One that is elsewhere, or on another network, says nothing of this one.
    assert!(past(&[proxy_on("app", &["10.1.0.5"]), proxy_on("app", &["172.16.0.9"])]).is_empty());
    assert!(past(&[proxy_on("etl", &["fd00:1::5"])]).is_empty());
}

#[test]
fn of_many_only_some_are_named() {
    let many: Vec<ClientSession> = (1..=8).map(|n| from(&format!("192.168.0.{n}"), "", "app")).collect();
    assert!(said(&many, &[], &[])[0].1.contains("192.168.0.5 (user app), and 3 more;"));
}

#[test]
fn subnets_contain_what_they_contain() {
    let is_in = |subnet, address: &str| contains(subnet, address.parse().unwrap());
    assert!(is_in("10.1.0.0/16", "10.1.255.255") && !is_in("10.1.0.0/16", "10.2.0.0"));
    assert!(is_in("10.1.2.3/32", "10.1.2.3") && !is_in("10.1.2.3/32", "10.1.2.4"));
    assert!(is_in("0.0.0.0/0", "9.9.9.9") && !is_in("0.0.0.0/0", "::1"));
    assert!(is_in("fd00::/8", "fdff::1") && !is_in("fd00::/8", "fe80::1") && is_in("::/0", "fe80::1"));
    assert!(!is_in("10.1.0.0", "10.1.0.0") && !is_in("nonsense/8", "10.1.0.0"));
}
