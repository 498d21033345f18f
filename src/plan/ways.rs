//! How clients reach V1: what was found, or of it what the user named.

use super::WayPlan;
use super::checks::refuse;
use crate::config::{Clients, NetworkAlias, Way};
use crate::engine::Check;
use crate::runtime::{Attachment, Container, LABEL_RUN, Network};

pub(super) struct Ways {
    pub(super) list: Vec<WayPlan>,
    /// Networks of V1's clients, to put V1 back on exactly.
    pub(super) networks: Vec<Attachment>,
    pub(super) checks: Vec<Check>,
}

/// On the engine's default network nobody has a name.
const NAMELESS: &str = "bridge";

/// `found`: every way that can be moved.
pub(super) fn of(v1: &Container, networks: &[Network], found: &[WayPlan], clients: &Clients) -> Ways {
    let theirs: Vec<Attachment> = v1.networks.iter().filter(|on| !is_private(on, networks)).cloned().collect();
    let mut checks = Vec::new();
    let list = match clients {
        Clients::Auto => found.to_vec(),
        Clients::These(list) => asked(v1, &theirs, list, &mut checks),
    };
    Ways { list, networks: theirs, checks }
}

/// Left by an earlier run, for the way back: no client is there.
fn is_private(on: &Attachment, networks: &[Network]) -> bool {
    networks.iter().any(|network| network.name == on.network && network.labels.contains_key(LABEL_RUN))
}

fn asked(v1: &Container, theirs: &[Attachment], list: &[Way], checks: &mut Vec<Check>) -> Vec<WayPlan> {
    let ports = list.iter().any(|way| matches!(way, Way::PublishedPort(_)));
    if ports && v1.ports.is_empty() {
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
    if ports {
        return vec![WayPlan::PublishedPort { ports: v1.ports.clone(), networks: theirs.to_vec() }];
    }
    checks.extend(left_behind(v1, theirs, &ways));
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
    use super::super::tests::container;
    use super::*;
    use crate::config::PublishedPort;
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

    #[test]
    fn what_was_found_is_taken_and_the_private_network_is_not_the_clients() {
        let v1 = v1(&[on("app", &["db"]), on("switchover-x", &[])], &[]);
        let private = Network {
            name: "switchover-x".into(),
            driver: "bridge".into(),
            internal: true,
            subnets: Vec::new(),
            labels: [(LABEL_RUN.to_owned(), "r".to_owned())].into(),
        };
        let found = [WayPlan::NetworkAlias { on: on("app", &["db"]) }];
        let ways = of(&v1, &[private], &found, &Clients::Auto);
        assert_eq!(ways.list, found);
        assert_eq!(ways.networks, [on("app", &["db"])]);
    }

    #[test]
    fn a_list_says_what_it_leaves_out_and_what_is_not_there() {
        let v1 = v1(&[on("app", &["db", "database"]), on("etl", &[])], &[port(false)]);
        let these = |list: Vec<Way>| of(&v1, &[], &[], &Clients::These(list));
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
