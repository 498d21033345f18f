//! How clients reach V1: what was found, or of it what the user named.

use serde::{Deserialize, Serialize};

use super::Drawing;
use super::checks::refuse;
use super::proxies::{Haproxy, Hook, Pgbouncer, Proxy, Route};
use crate::config::{Clients, NetworkAlias, Way};
use crate::engine::Check;
use crate::runtime::{Attachment, Container, LABEL_RUN, Network, Port};

/// One way of clients, as found or configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WayPlan {
    /// Clients on this network find the server by V1's aliases or name.
    NetworkAlias { on: Attachment },
    /// Clients come through ports of the engine's host. Owns all of V1's networks: a port moves only when V1 leaves
    /// every one of them.
    PublishedPort { ports: Vec<Port>, networks: Vec<Attachment> },
    /// Clients come through HAProxy, which can let new ones wait. Where it finds V1 is a way of its own beside it.
    Haproxy(Haproxy),
    /// The same of PgBouncer, which lets all of its clients wait, their transactions finished.
    Pgbouncer(Pgbouncer),
    /// The same of what programs of the owner's tell.
    Hook(Hook),
}

pub(super) struct Ways {
    pub(super) list: Vec<WayPlan>,
    /// Networks of V1's clients, to put V1 back on exactly.
    pub(super) networks: Vec<Attachment>,
    pub(super) checks: Vec<Check>,
}

/// On the engine's default network nobody has a name.
const NAMELESS: &str = "bridge";

pub(super) fn of(from: &Drawing<'_>) -> Ways {
    let v1 = from.v1;
    let theirs: Vec<Attachment> = v1.networks.iter().filter(|on| !is_private(on, from.networks)).cloned().collect();
    let mut checks = Vec::new();
    let list = match &from.config.clients {
        Clients::Auto => from.ways.to_vec(),
        Clients::These(list) => asked(from, &theirs, list, &mut checks),
    };
    Ways { list, networks: theirs, checks }
}

/// Left by an earlier run, for the way back: no client is there.
fn is_private(on: &Attachment, networks: &[Network]) -> bool {
    networks.iter().any(|network| network.name == on.network && network.labels.contains_key(LABEL_RUN))
}

fn asked(from: &Drawing<'_>, theirs: &[Attachment], list: &[Way], checks: &mut Vec<Check>) -> Vec<WayPlan> {
    let Drawing { v1, proxies, .. } = from;
    let said = list.iter().any(|way| matches!(way, Way::PublishedPort(_)));
    if said && v1.ports.is_empty() {
        let hint = "leave `published-port` out of `clients`";
        checks.push(refuse("clients", "V1 publishes no port", hint));
    }
    let mut ways: Vec<WayPlan> = Vec::new();
    for alias in list.iter().filter_map(|way| if let Way::NetworkAlias(alias) = way { Some(alias) } else { None }) {
        match theirs.iter().find(|on| on.network == alias.network) {
            None => {
                let found = format!("V1 is not on the network {}", alias.network);
                let names: Vec<&str> = theirs.iter().map(|on| on.network.as_str()).collect();
                checks.push(refuse("clients", found, format!("V1 is on: {}", names.join(", "))));
            }
            Some(on) => checks.extend(add(&mut ways, on, alias)),
        }
    }
    if proxies.iter().any(Proxy::takes_all) {
        ways = from.ways.to_vec();
    }
    let by_port = ways.iter().any(|way| matches!(way, WayPlan::PublishedPort { .. }));
    for route in proxies.iter().filter_map(Proxy::route) {
        ways = behind(ways, route, theirs);
    }
    if said || by_port || proxies.iter().any(|proxy| matches!(proxy.route(), Some(Route::Port { .. }))) {
        ways = vec![WayPlan::PublishedPort { ports: v1.ports.clone(), networks: theirs.to_vec() }];
    } else {
        checks.extend(left_behind(v1, theirs, &ways));
    }
    for proxy in *proxies {
        checks.extend(proxy.checks.iter().cloned());
        ways.extend(proxy.way.clone());
    }
    ways
}

/// The network on which a proxy finds V1 is moved with all of V1's names: whatever name stands in the proxy's file, it
/// finds the serving side when it is read again.
fn behind(mut ways: Vec<WayPlan>, route: &Route, theirs: &[Attachment]) -> Vec<WayPlan> {
    let Route::Network(network) = route else { return ways };
    ways.retain(|way| !matches!(way, WayPlan::NetworkAlias { on } if on.network == *network));
    ways.extend(theirs.iter().find(|on| on.network == *network).cloned().map(|on| WayPlan::NetworkAlias { on }));
    ways
}

/// One alias of a network; several of one network are one way.
fn add(ways: &mut Vec<WayPlan>, on: &Attachment, asked: &NetworkAlias) -> Option<Check> {
    let Some(alias) = &asked.alias else {
        ways.push(WayPlan::NetworkAlias { on: on.clone() });
        return None;
    };
    if !on.aliases.contains(alias) {
        let found = format!("V1 has no alias {alias} on {}", on.network);
        return Some(refuse("clients", found, format!("its aliases there are: {}", on.aliases.join(", "))));
    }
    let same = ways.iter_mut().find_map(|way| match way {
        WayPlan::NetworkAlias { on: there } if there.network == on.network => Some(there),
        _ => None,
    });
    match same {
        Some(there) => there.aliases.push(alias.clone()),
        None => ways.push(WayPlan::NetworkAlias { on: Attachment { aliases: vec![alias.clone()], ..on.clone() } }),
    }
    None
}

/// What the list leaves out will meet a fenced V1.
fn left_behind(v1: &Container, theirs: &[Attachment], ways: &[WayPlan]) -> Option<Check> {
    let moved =
        |network: &str| ways.iter().any(|way| matches!(way, WayPlan::NetworkAlias { on } if on.network == network));
    let mut left: Vec<String> = theirs
        .iter()
        .filter(|on| on.network != NAMELESS && !moved(&on.network))
        .map(|on| format!("network {}", on.network))
        .collect();
    left.extend(v1.ports.iter().map(|port| format!("port {}", port.host_port)));
    if left.is_empty() {
        return None;
    }
    let found = format!("clients that come by {} are not moved: they would meet V1, fenced", left.join(", "));
    Some(refuse("clients-left", found, "add them to `clients`, or accept it with --allow clients-left"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{container, image, survey};
    use super::super::{Config, HaproxyApi, HaproxyHold, Names};
    use super::*;
    use crate::config::PublishedPort;
    use crate::config::quantity::Span;
    use crate::engine::Verdict;
    use crate::runtime::Port;

    fn on(network: &str, aliases: &[&str]) -> Attachment {
        let aliases = aliases.iter().map(ToString::to_string).collect();
        Attachment { network: network.into(), aliases, ..Default::default() }
    }
    fn port(ephemeral: bool) -> Port {
        Port { container: "5432/tcp".into(), host_ip: "127.0.0.1".into(), host_port: 5432, ephemeral, bound: true }
    }
    fn v1(networks: &[Attachment], ports: &[Port]) -> Container {
        Container { networks: networks.to_vec(), ports: ports.to_vec(), ..container() }
    }
    fn by(network: &str, alias: Option<&str>) -> Way {
        Way::NetworkAlias(NetworkAlias { network: network.into(), alias: alias.map(str::to_owned) })
    }
    fn refused(ways: &Ways) -> Vec<&str> {
        ways.checks.iter().filter(|check| check.verdict == Verdict::Refused).map(|check| check.id.as_str()).collect()
    }

    fn of(v1: &Container, networks: &[Network], found: &[WayPlan], proxies: &[Proxy], clients: Clients) -> Ways {
        let (v2, survey, config) = (image(), survey(), Config { clients, ..Config::default() });
        let names = Names::new("01930b2e-7a51-7cc0-9f00-00007f3a1c2b", "shop-db", None);
        let storage = crate::storage::for_v2(v1, "/data", &v2, "/data", &[], &names.volume).unwrap();
        super::of(&Drawing {
            names: &names,
            v1,
            v1_image: None,
            networks,
            ways: found,
            ways_checks: &[],
            proxies,
            compose: None,
            v2: &v2,
            taken: &[],
            survey: &survey,
            storage: &storage,
            config: &config,
            hold: None,
        })
    }
    fn haproxy(route: Route) -> Proxy {
        let way = WayPlan::Haproxy(Haproxy {
            api: HaproxyApi::Tcp("lb:9999".into()),
            backend: "db".into(),
            v1: "s1".into(),
            v2: "s1".into(),
            hold: Some(HaproxyHold { frontend: "db".into(), maxconn: 2000 }),
            route,
            clients: None,
        });
        Proxy { way: Some(way), ..Proxy::default() }
    }
    fn names(ways: &Ways) -> Vec<&str> {
        let name = |way: &WayPlan| match way {
            WayPlan::NetworkAlias { .. } => "alias",
            WayPlan::PublishedPort { .. } => "port",
            WayPlan::Haproxy(_) => "haproxy",
            WayPlan::Pgbouncer(_) => "pgbouncer",
            WayPlan::Hook(_) => "hook",
        };
        ways.list.iter().map(name).collect()
    }

    #[test]
    fn a_proxy_takes_along_what_it_finds_v1_by() {
        let clients = || Clients::These(vec![by("app", Some("db"))]);
        let by_network = haproxy(Route::Network("app".into()));
        let ways =
            of(&v1(&[on("app", &["db", "shop-db"])], &[]), &[], &[], std::slice::from_ref(&by_network), clients());
        assert_eq!((names(&ways), refused(&ways)), (vec!["alias", "haproxy"], vec![]));
        assert!(matches!(&ways.list[0], WayPlan::NetworkAlias { on } if on.aliases == ["db", "shop-db"]));
        // Another network and a port would be left behind.
        let more = v1(&[on("app", &[]), on("etl", &[])], &[port(false)]);
        let ways = of(&more, &[], &[], &[by_network], Clients::These(vec![]));
        assert_eq!((names(&ways), refused(&ways)), (vec!["alias", "haproxy"], vec!["clients-left"]));
        let by_port = haproxy(Route::Port { host: "127.0.0.1".into(), port: 5432 });
        let ways = of(&more, &[], &[], &[by_port], Clients::These(vec![]));
        assert_eq!((names(&ways), refused(&ways)), (vec!["port", "haproxy"], vec![]));
    }

    #[test]
    fn a_program_that_is_told_no_network_takes_along_all_that_is_found() {
        let hook = |takes_all| Proxy {
            way: Some(WayPlan::Hook(Hook {
                programs: std::collections::BTreeMap::new(),
                directory: "/".into(),
                within: Span(std::time::Duration::from_secs(5)),
                route: Route::Network("app".into()),
                takes_all,
            })),
            ..Proxy::default()
        };
        let (app, etl) = (on("app", &["db"]), on("etl", &[]));
        let by_alias = |on: &Attachment| WayPlan::NetworkAlias { on: on.clone() };
        let found = [by_alias(&app), by_alias(&etl)];
        let both = v1(&[app.clone(), etl.clone()], &[]);
        let ways = |all| of(&both, &[], &found, &[hook(all)], Clients::These(vec![]));
        assert_eq!((names(&ways(true)), refused(&ways(true))), (vec!["alias", "alias", "hook"], vec![]));
        assert_eq!((names(&ways(false)), refused(&ways(false))), (vec!["alias", "hook"], vec!["clients-left"]));
        let by_port = [WayPlan::PublishedPort { ports: vec![port(false)], networks: vec![app.clone()] }];
        let ways = of(&v1(&[app], &[port(false)]), &[], &by_port, &[hook(true)], Clients::These(vec![]));
        assert_eq!((names(&ways), refused(&ways)), (vec!["port", "hook"], vec![]));
    }

    #[test]
    fn what_was_found_is_taken_and_the_private_network_is_not_the_clients() {
        let v1 = v1(&[on("app", &["db"]), on("switchover-x", &[])], &[]);
        let private = Network {
            name: "switchover-x".into(),
            driver: "bridge".into(),
            internal: true,
            subnets: Vec::new(),
            gateways: Vec::new(),
            labels: [(LABEL_RUN.to_owned(), "r".to_owned())].into(),
        };
        let found = [WayPlan::NetworkAlias { on: on("app", &["db"]) }];
        let ways = of(&v1, &[private], &found, &[], Clients::Auto);
        assert_eq!(ways.list, found);
        assert_eq!(ways.networks, [on("app", &["db"])]);
    }

    #[test]
    fn a_list_says_what_it_leaves_out_and_what_is_not_there() {
        let v1 = v1(&[on("app", &["db", "database"]), on("etl", &[])], &[port(false)]);
        let these = |list: Vec<Way>| of(&v1, &[], &[], &[], Clients::These(list));
        let ways = these(vec![by("app", Some("db"))]);
        assert_eq!(refused(&ways), ["clients-left"]);
        assert!(ways.checks[0].found.contains("network etl, port 5432"));
        assert!(matches!(&ways.list[..], [WayPlan::NetworkAlias { on }] if on.aliases == ["db"]));
        let ways = these(vec![
            by("app", Some("db")),
            by("app", Some("database")),
            by("etl", None),
            Way::PublishedPort(PublishedPort {}),
        ]);
        assert!(refused(&ways).is_empty() && ways.list.len() == 1);
        assert_eq!(
            refused(&these(vec![by("moon", None), by("etl", Some("x"))])),
            ["clients", "clients", "clients-left"]
        );
    }
}
