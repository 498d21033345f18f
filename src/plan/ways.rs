//! How clients reach V1: every alias and published port that is found, or those the user named.

use super::WayPlan;
use super::checks::{check, refuse};
use crate::config::{Clients, NetworkAlias, Way};
use crate::engine::{Check, Verdict};
use crate::runtime::{Attachment, Container, LABEL_RUN, Network};

pub(super) struct Ways {
    pub(super) list: Vec<WayPlan>,
    /// Networks of V1's clients, to put V1 back on exactly.
    pub(super) networks: Vec<Attachment>,
    pub(super) checks: Vec<Check>,
}

/// The engine's own networks: there is no name to find V1 by.
const NAMELESS: &str = "bridge";

pub(super) fn of(v1: &Container, networks: &[Network], clients: &Clients) -> Ways {
    if v1.network_mode == "host" || v1.network_mode.starts_with("container:") {
        let found = format!("V1 uses the network of another (`{}`): its clients cannot be moved", v1.network_mode);
        let hint = "give V1 a network or a published port of its own first";
        return Ways { list: Vec::new(), networks: Vec::new(), checks: vec![refuse("host-network", found, hint)] };
    }
    let theirs: Vec<Attachment> = v1.networks.iter().filter(|on| !is_private(on, networks)).cloned().collect();
    let mut checks = Vec::new();
    let ways = match clients {
        Clients::Auto => found(v1, &theirs),
        Clients::These(list) => asked(v1, &theirs, list, &mut checks),
    };
    checks.extend(ephemeral(&ways));
    checks.push(summary(v1, &theirs, &ways));
    Ways { list: ways, networks: theirs, checks }
}

/// Left by an earlier run, for the way back: no client is there.
fn is_private(on: &Attachment, networks: &[Network]) -> bool {
    networks.iter().any(|network| network.name == on.network && network.labels.contains_key(LABEL_RUN))
}

/// A published port takes all networks with it, so it stands for them.
fn found(v1: &Container, theirs: &[Attachment]) -> Vec<WayPlan> {
    if v1.ports.is_empty() {
        return theirs
            .iter()
            .filter(|on| on.network != NAMELESS)
            .cloned()
            .map(|on| WayPlan::NetworkAlias { on })
            .collect();
    }
    vec![WayPlan::PublishedPort { ports: v1.ports.clone(), networks: theirs.to_vec() }]
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

fn ephemeral(ways: &[WayPlan]) -> Option<Check> {
    let ports = ways.iter().find_map(|way| match way {
        WayPlan::PublishedPort { ports, .. } => Some(ports),
        WayPlan::NetworkAlias { .. } => None,
    })?;
    let chosen: Vec<String> = ports
        .iter()
        .filter(|port| port.ephemeral)
        .map(|port| format!("{} → {}", port.host_port, port.container))
        .collect();
    if chosen.is_empty() {
        return None;
    }
    let found = format!("the engine chose the published port itself ({})", chosen.join(", "));
    let hint = "V2 gets the same one unless another takes it in between; accept that with --allow ephemeral-port";
    Some(refuse("ephemeral-port", found, hint))
}

fn summary(v1: &Container, theirs: &[Attachment], ways: &[WayPlan]) -> Check {
    if ways.is_empty() {
        let names: Vec<&str> = theirs.iter().map(|on| on.network.as_str()).collect();
        let found = format!(
            "no way of clients is known: {} has neither an alias nor a published port (networks: {})",
            v1.name,
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        let hint = "clients that use V1's address must be told V2's by you; accept it with --allow no-clients";
        return refuse("no-clients", found, hint);
    }
    let text: Vec<String> = ways.iter().map(describe).collect();
    check("clients", Verdict::Passed, format!("clients come by {}", text.join("; ")))
}

/// As people say it.
pub(super) fn describe(way: &WayPlan) -> String {
    match way {
        WayPlan::NetworkAlias { on } if on.aliases.is_empty() => format!("its name on network {}", on.network),
        WayPlan::NetworkAlias { on } => format!("{} on network {}", on.aliases.join(", "), on.network),
        WayPlan::PublishedPort { ports, networks } => {
            let ports: Vec<String> = ports.iter().map(|port| port.host_port.to_string()).collect();
            let mut text = format!("published port {}", ports.join(", "));
            for on in networks.iter().filter(|on| on.network != NAMELESS) {
                text.push_str(" and ");
                text.push_str(&describe(&WayPlan::NetworkAlias { on: on.clone() }));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::container;
    use super::*;
    use crate::config::PublishedPort;
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
    fn every_network_is_found_and_the_private_one_is_not_theirs() {
        let v1 = v1(&[on("app", &["db"]), on("etl", &[]), on("switchover-x", &[])], &[]);
        let private = Network {
            name: "switchover-x".into(),
            driver: "bridge".into(),
            internal: true,
            subnets: Vec::new(),
            labels: [(LABEL_RUN.to_owned(), "r".to_owned())].into(),
        };
        let ways = of(&v1, &[private], &Clients::Auto);
        assert_eq!(ways.list.len(), 2);
        assert_eq!(ways.networks.iter().map(|on| on.network.as_str()).collect::<Vec<_>>(), ["app", "etl"]);
        assert!(refused(&ways).is_empty());
        assert_eq!(ways.checks[0].found, "clients come by db on network app; its name on network etl");
    }

    #[test]
    fn a_published_port_takes_every_network_along() {
        let ways = of(&v1(&[on("app", &["db"]), on("bridge", &[])], &[port(false)]), &[], &Clients::Auto);
        assert!(matches!(&ways.list[..], [WayPlan::PublishedPort { networks, .. }] if networks.len() == 2));
        assert_eq!(ways.checks[0].found, "clients come by published port 5432 and db on network app");
        let ways = of(&v1(&[on("bridge", &[])], &[port(true)]), &[], &Clients::Auto);
        assert_eq!(refused(&ways), ["ephemeral-port"]);
    }

    #[test]
    fn clients_nobody_can_move_are_refused() {
        assert_eq!(refused(&of(&v1(&[on("bridge", &[])], &[]), &[], &Clients::Auto)), ["no-clients"]);
        let host = Container { network_mode: "host".into(), ..container() };
        assert_eq!(refused(&of(&host, &[], &Clients::Auto)), ["host-network"]);
    }

    #[test]
    fn a_list_says_what_it_leaves_out_and_what_is_not_there() {
        let v1 = v1(&[on("app", &["db", "database"]), on("etl", &[])], &[port(false)]);
        let these = |list: Vec<Way>| of(&v1, &[], &Clients::These(list));
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
            ["clients", "clients", "clients-left", "no-clients"]
        );
    }
}
