//! Sessions on V1, compared with the ways of clients: whoever comes by none of them will meet V1, fenced.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::checks::noted;
use super::proxies::Route;
use super::{Drawing, Proxy, WayPlan};
use crate::engine::{Check, ClientSession};
use crate::runtime::Network;

/// How many are named.
const NAMED: usize = 5;

/// How a session came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// By a way that is moved, or from inside V1's own container.
    Seen,
    /// By the network that a proxy is on, and not from the proxy.
    PastProxy,
    Unseen,
}

/// What is worth knowing of those that are there now.
pub(super) fn checks(from: &Drawing<'_>, ways: &[WayPlan]) -> Vec<Check> {
    let among = |came| -> Vec<&ClientSession> {
        from.survey.sessions.iter().filter(|session| how(session, from, ways) == came).collect()
    };
    let mut checks = Vec::new();
    let past = among(Came::PastProxy);
    if !past.is_empty() {
        let found = format!("comes past the proxy: {}; it will be cut off and has to reconnect", listed(&past));
        checks.push(noted("clients-past-proxy", found, "let it come through the proxy, if it shall wait instead"));
    }
    let unseen = among(Came::Unseen);
    if !unseen.is_empty() {
        let found = format!("on V1 by no way that is moved: {}; it will not find V2 by itself", listed(&unseen));
        let hint = "whoever uses V1's address needs another one: a name on a network, a published port, or a hook in `clients`";
        checks.push(noted("clients-unseen", found, hint));
    }
    checks
}

fn how(session: &ClientSession, from: &Drawing<'_>, ways: &[WayPlan]) -> Came {
    let by_port = ways.iter().any(|way| matches!(way, WayPlan::PublishedPort { .. }));
    let Ok(address) = session.address.parse::<IpAddr>() else {
        return if by_port || ways.iter().any(|way| is_named_on(&session.address, way)) {
            Came::Seen
        } else {
            Came::Unseen
        };
    };
    let address = address.to_canonical();
    let network = from.networks.iter().find(|network| is_on(network, address));
    if address.is_loopback() {
        return Came::Seen;
    }
    if network.is_some_and(|network| is_past_proxy(from.proxies, network, address)) {
        return Came::PastProxy;
    }
    let moved = |network: &&Network| {
        let name = &network.name;
        ways.iter().any(|way| matches!(way, WayPlan::NetworkAlias { on } if on.network == *name))
    };
    // The host itself has no name for V1: it came by V1's address.
    let host = |network: &Network| network.gateways.iter().any(|gateway| gateway.parse() == Ok(address));
    match network.filter(moved) {
        _ if by_port => Came::Seen,
        Some(network) if !host(network) => Came::Seen,
        _ => Came::Unseen,
    }
}

/// A server that looks names up finds containers as `NAME.NETWORK`.
fn is_named_on(host: &str, way: &WayPlan) -> bool {
    let WayPlan::NetworkAlias { on } = way else { return false };
    host.strip_suffix(on.network.as_str()).is_some_and(|name| name.len() > 1 && name.ends_with('.'))
}

/// `false` also where it is not known where the proxies of this network are.
fn is_past_proxy(proxies: &[Proxy], network: &Network, address: IpAddr) -> bool {
    let here = |proxy: &&Proxy| matches!(proxy.route(), Some(Route::Network(name)) if *name == network.name);
    let mut known = false;
    for proxy in proxies.iter().filter(here) {
        let addresses = proxy.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
        let addresses: Vec<IpAddr> = addresses.filter(|proxy| is_on(network, *proxy)).collect();
        if addresses.is_empty() || addresses.contains(&address) {
            return false;
        }
        known = true;
    }
    known
}

fn is_on(network: &Network, address: IpAddr) -> bool {
    network.subnets.iter().any(|subnet| contains(subnet, address))
}

/// Whether `10.0.0.0/16` or `fd00::/64` contains an address.
fn contains(subnet: &str, address: IpAddr) -> bool {
    let Some((base, length)) = subnet.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (base, address, bits) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => (u32::from(base).into(), u32::from(address).into(), 32),
        (IpAddr::V6(base), IpAddr::V6(address)) => (u128::from(base), u128::from(address), 128),
        _ => return false,
    };
    let host = bits - length.min(bits);
    // Nothing of a number is left where all of it is shifted out.
    base.checked_shr(host).unwrap_or(0) == address.checked_shr(host).unwrap_or(0)
}

/// Each kind once, with how many there are of it.
fn listed(sessions: &[&ClientSession]) -> String {
    let mut kinds: BTreeMap<&ClientSession, usize> = BTreeMap::new();
    for session in sessions {
        *kinds.entry(session).or_default() += 1;
    }
    let mut named: Vec<String> = kinds.iter().take(NAMED).map(|(session, count)| in_words(session, *count)).collect();
    if kinds.len() > NAMED {
        named.push(format!("and {} more", kinds.len() - NAMED));
    }
    named.join(", ")
}

fn in_words(session: &ClientSession, count: usize) -> String {
    let ClientSession { address, application, user } = session;
    let application = if application.is_empty() { String::new() } else { format!("{}, ", application.escape_debug()) };
    let sessions = if count == 1 { String::new() } else { format!(", {count} sessions") };
    format!("{address} ({application}user {}{sessions})", user.escape_debug())
}

#[cfg(test)]
mod tests;
