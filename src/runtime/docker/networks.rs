//! Networks, and who stands on them.

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    NetworkInspect,
};
use bollard::query_parameters::InspectNetworkOptions;

use super::lifecycle::{is_gone, no_container, short};
use super::{Attachment, Container, Docker, Labels, Network, said};
use crate::runtime::LABEL_RUN;
use crate::trouble::Trouble;

impl Docker {
    pub(super) async fn look_at_network(&self, name: &str) -> Result<Option<Network>, Trouble> {
        Ok(self.inspect_network(name).await?.map(network))
    }

    async fn inspect_network(&self, name: &str) -> Result<Option<NetworkInspect>, Trouble> {
        // A name with a slash never comes back from the engine's router.
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Ok(None);
        }
        match self.engine.api.inspect_network(&in_path(name), None::<InspectNetworkOptions>).await {
            // The engine also finds networks by the beginning of their ids.
            Ok(found) if found.name.as_deref() == Some(name) || found.id.as_deref() == Some(name) => Ok(Some(found)),
            Ok(_) => Ok(None),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(self.engine.trouble(format!("cannot look at network {name}"), error)),
        }
    }

    pub(super) async fn have_network(&self, name: &str, internal: bool, labels: &Labels) -> Result<(), Trouble> {
        if let Some(found) = self.look_at_network(name).await? {
            if found.labels.get(LABEL_RUN) == labels.get(LABEL_RUN) && found.internal == internal {
                return Ok(());
            }
            return Err(Trouble::refused(format!("a network that is not of this run is called {name} already"))
                .hint(format!("remove it if nobody needs it: `docker network rm {name}`")));
        }
        let wanted = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".into()),
            internal: Some(internal),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        match self.engine.api.create_network(wanted).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.engine.trouble(format!("cannot make network {name}"), error)),
        }
    }

    pub(super) async fn have_no_network(&self, name: &str, run: &str) -> Result<(), Trouble> {
        let Some(found) = self.inspect_network(name).await? else { return Ok(()) };
        if found.labels.as_ref().and_then(|labels| labels.get(LABEL_RUN)).map(String::as_str) != Some(run) {
            return Err(Trouble::refused(format!("network {name} was not made by this run and is left alone")));
        }
        let Err(error) = self.engine.api.remove_network(found.id.as_deref().unwrap_or(name)).await else {
            return Ok(());
        };
        if is_gone(&error) {
            return Ok(());
        }
        let on_it: Vec<String> = found.containers.into_iter().flatten().filter_map(|(_, end)| end.name).collect();
        let trouble = self.engine.trouble(format!("cannot remove network {name}"), error);
        Err(if on_it.is_empty() { trouble } else { trouble.hint(format!("containers on it: {}", on_it.join(", "))) })
    }

    pub(super) async fn have_joined(&self, container: &str, to: &Attachment) -> Result<(), Trouble> {
        let network = in_path(&to.network);
        let api = &self.engine.api;
        let join = async |id: String| {
            let request = NetworkConnectRequest { container: id, endpoint_config: Some(endpoint(to)) };
            api.connect_network(&network, request).await
        };
        let Err(error) = self.on(container, &join).await else { return Ok(()) };
        let Some(found) = self.look_at_container(container).await? else { return Err(no_container(container)) };
        // Only this answer says so: after a join that failed half-way the container is listed as standing there too.
        if is_there_already(&error) {
            if place_on(&found, &to.network).is_some_and(|there| stands_as_wanted(there, to)) {
                return Ok(());
            }
            self.have_left(container, &to.network).await?;
            if self.on(container, &join).await.is_ok() {
                return Ok(());
            }
        }
        Err(self.engine.trouble(format!("{} cannot join network {}", called(&found), to.network), error))
    }

    pub(super) async fn have_left(&self, container: &str, network: &str) -> Result<(), Trouble> {
        let api = &self.engine.api;
        let path = in_path(network);
        let left = self.on(container, async |id| {
            // Never by force: that takes an endpoint away by the name of its container, whoever bears it.
            let request = NetworkDisconnectRequest { container: id, force: Some(false) };
            api.disconnect_network(&path, request).await
        });
        let Err(error) = left.await else { return Ok(()) };
        if said::message(&error).contains("is not connected to") {
            return Ok(());
        }
        match self.look_at_container(container).await? {
            None => Ok(()),
            Some(found) if place_on(&found, network).is_none() => Ok(()),
            Some(found) => {
                Err(self.engine.trouble(format!("{} cannot leave network {network}", called(&found)), error))
            }
        }
    }
}

fn called(container: &Container) -> String {
    format!("container {} ({})", container.name, short(&container.id))
}

fn place_on<'a>(container: &'a Container, network: &str) -> Option<&'a Attachment> {
    container.networks.iter().find(|at| at.network == network)
}

fn is_there_already(error: &bollard::errors::Error) -> bool {
    said::message(error).contains("already exists in network") || said::message(error).contains("already attached")
}

fn stands_as_wanted(there: &Attachment, wanted: &Attachment) -> bool {
    wanted.aliases.iter().all(|alias| there.aliases.contains(alias))
        && there.aliases.len() == wanted.aliases.len()
        && there.fixed_ipv4 == wanted.fixed_ipv4
        && there.fixed_ipv6 == wanted.fixed_ipv6
}

fn endpoint(to: &Attachment) -> EndpointSettings {
    let fixed = to.fixed_ipv4.is_some() || to.fixed_ipv6.is_some();
    EndpointSettings {
        aliases: (!to.aliases.is_empty()).then(|| to.aliases.clone()),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: to.fixed_ipv4.clone(),
            ipv6_address: to.fixed_ipv6.clone(),
            link_local_ips: None,
        }),
        ..EndpointSettings::default()
    }
}

fn network(found: NetworkInspect) -> Network {
    let subnets = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    Network {
        name: found.name.unwrap_or_default(),
        driver: found.driver.unwrap_or_default(),
        internal: found.internal.unwrap_or_default(),
        gateways: subnets.iter().filter_map(|config| config.gateway.clone()).collect(),
        subnets: subnets.into_iter().filter_map(|config| config.subnet).collect(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
    }
}

/// Networks may be called almost anything; a name must stay one part of a request's path.
fn in_path(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let part = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(part).collect()
}
