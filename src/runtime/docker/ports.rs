//! Published ports: what was asked for, with the numbers that the engine chose where it was asked to choose.

use bollard::models::{HostConfig, NetworkSettings, PortBinding};

use crate::runtime::Port;

pub(super) fn ports(host: &HostConfig, net: &NetworkSettings) -> Vec<Port> {
    let asked = host.port_bindings.clone().unwrap_or_default();
    let bound = net.ports.clone().unwrap_or_default();
    let mut all = Vec::new();
    for (container, bindings) in &asked {
        let bound = bound.get(container).and_then(Option::as_deref).unwrap_or_default();
        all.extend(bindings.iter().flatten().map(|binding| port(container, binding, bound)));
    }
    if host.publish_all_ports == Some(true) {
        let chosen = bound.iter().filter(|(container, _)| !asked.contains_key(*container));
        for (container, bindings) in chosen {
            let bound = bindings.as_deref().unwrap_or_default();
            // One a family is bound; asking for one brings both again.
            all.extend(bound.first().map(|first| {
                let any = PortBinding { host_port: None, ..first.clone() };
                port(container, &any, bound)
            }));
        }
    }
    all.sort_by(|a, b| (&a.container, &a.host_ip, a.host_port).cmp(&(&b.container, &b.host_ip, b.host_port)));
    all
}

fn port(container: &str, asked: &PortBinding, bound: &[PortBinding]) -> Port {
    let host_ip = asked.host_ip.clone().unwrap_or_default();
    let fixed = number(asked);
    let mut here = bound.iter().filter(|binding| is_any(&host_ip) || binding.host_ip.as_ref() == Some(&host_ip));
    let chosen = match fixed {
        Some(fixed) => here.find_map(number_if(fixed)),
        None => here.find_map(number),
    };
    Port {
        container: container.to_owned(),
        host_port: fixed.or(chosen).unwrap_or_default(),
        ephemeral: fixed.is_none(),
        bound: chosen.is_some(),
        host_ip,
    }
}

/// No number, zero, or a range: the engine chooses.
fn number(binding: &PortBinding) -> Option<u16> {
    binding.host_port.as_deref().and_then(|port| port.parse().ok()).filter(|port| *port > 0)
}

fn number_if(wanted: u16) -> impl Fn(&PortBinding) -> Option<u16> {
    move |binding| number(binding).filter(|port| *port == wanted)
}

fn is_any(address: &str) -> bool {
    matches!(address, "" | "0.0.0.0" | "::")
}
