//! How clients reach V1, told from where it stands. Pure.

use crate::engine::{Check, SOCKET_FOLDERS, Verdict};
use crate::plan::WayPlan;
use crate::runtime::{Attachment, Container, LABEL_RUN, Network};

/// The networks whose members can be exchanged without anybody noticing.
const DRIVERS: &[&str] = &["bridge"];

/// What `allow:` calls a port whose number the engine chose.
const EPHEMERAL_PORT: &str = "ephemeral-port";
/// What `allow:` calls a V1 for which no client is found.
const NO_CLIENTS: &str = "no-clients";

/// Every way that can be moved: one for all published ports, which takes all networks along, else one a network.
/// `networks` are those that V1 stands on.
pub fn find(v1: &Container, networks: &[Network]) -> Vec<WayPlan> {
    let places: Vec<Attachment> = v1.networks.iter().filter(|at| is_clients(at, networks)).cloned().collect();
    if !v1.ports.is_empty() && !places.is_empty() {
        return vec![WayPlan::PublishedPort { ports: v1.ports.clone(), networks: places }];
    }
    // On the default bridge nobody has a name.
    let named = places.into_iter().filter(|at| at.network != "bridge");
    named.map(|on| WayPlan::NetworkAlias { on }).collect()
}

/// The private networks of earlier runs are nobody's way.
fn is_clients(at: &Attachment, networks: &[Network]) -> bool {
    let network = networks.iter().find(|network| network.name == at.network);
    network.is_some_and(|network| DRIVERS.contains(&network.driver.as_str()) && !network.labels.contains_key(LABEL_RUN))
}

/// Whether all clients can be moved. `allow` is what the plan may do.
pub fn checks(v1: &Container, networks: &[Network], allow: &[String]) -> Vec<Check> {
    let mut checks = vec![own_network(v1), drivers(v1, networks), sockets(v1)];
    checks.retain(|check| check.verdict == Verdict::Refused);
    if checks.is_empty() {
        checks.push(somebody(v1, networks, allow));
        checks.extend(ephemeral_ports(v1, allow));
    }
    checks
}

fn own_network(v1: &Container) -> Check {
    const ID: &str = "clients-network";
    match v1.network_mode.as_str() {
        "host" => refused(
            ID,
            "V1 uses the network of its host itself, which cannot be handed over while it runs",
            "run V1 with a published port (`-p`) or on a network of its own first",
        ),
        mode if mode.starts_with("container:") => refused(
            ID,
            "V1 uses another container's network, which cannot be handed over",
            "run V1 on a network of its own first",
        ),
        _ => passed(ID, "V1 has a network of its own"),
    }
}

fn drivers(v1: &Container, networks: &[Network]) -> Check {
    const ID: &str = "clients-network-driver";
    let other = v1.networks.iter().find_map(|at| {
        let network = networks.iter().find(|network| network.name == at.network)?;
        let known = DRIVERS.contains(&network.driver.as_str()) || network.driver == "null";
        (!known).then_some(network)
    });
    match other {
        None => passed(ID, "V1's networks are bridges"),
        Some(network) => refused(
            ID,
            format!("V1 is on network {}, of the kind `{}`: its clients cannot be moved", network.name, network.driver),
            "only bridge networks can be handed over between containers",
        ),
    }
}

/// A server that starts in a shared socket directory takes the socket from the one that is there.
fn sockets(v1: &Container) -> Check {
    const ID: &str = "clients-socket";
    let shared = v1.mounts.iter().find(|mount| SOCKET_FOLDERS.contains(&mount.destination.trim_end_matches('/')));
    match shared {
        None => passed(ID, "V1 shares no socket directory"),
        Some(mount) => refused(
            ID,
            format!("V1 shares its socket directory {} with others, who cannot be moved", mount.destination),
            "let them connect over a network, and make V1 without that mount",
        ),
    }
}

fn somebody(v1: &Container, networks: &[Network], allow: &[String]) -> Check {
    const ID: &str = "clients";
    let ways = find(v1, networks);
    if !ways.is_empty() {
        return passed(
            ID,
            format!("{} to move", if ways.len() == 1 { "one way".into() } else { format!("{} ways", ways.len()) }),
        );
    }
    let found = "no network alias, name or published port was found by which clients reach V1";
    if allow.iter().any(|allowed| allowed == NO_CLIENTS) {
        return Check { id: ID.into(), verdict: Verdict::Accepted, found: found.into(), hint: None };
    }
    refused(
        ID,
        found,
        format!("whoever uses V1's address alone will not find V2; `allow: [{NO_CLIENTS}]` goes on all the same"),
    )
}

fn ephemeral_ports(v1: &Container, allow: &[String]) -> Option<Check> {
    let chosen: Vec<String> =
        v1.ports.iter().filter(|port| port.ephemeral).map(|port| port.host_port.to_string()).collect();
    if chosen.is_empty() {
        return None;
    }
    let allowed = allow.iter().any(|allowed| allowed == EPHEMERAL_PORT);
    Some(Check {
        id: EPHEMERAL_PORT.into(),
        verdict: if allowed { Verdict::Accepted } else { Verdict::Refused },
        found: format!(
            "the engine chose the published port {}; V2 asks for the same, but somebody may take it in between",
            chosen.join(", ")
        ),
        hint: (!allowed).then(|| format!("publish a fixed port, or accept it with `allow: [{EPHEMERAL_PORT}]`")),
    })
}

fn passed(id: &str, found: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Passed, found: found.into(), hint: None }
}

fn refused(id: &str, found: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Refused, found: found.into(), hint: Some(hint.into()) }
}

#[cfg(test)]
mod tests;
