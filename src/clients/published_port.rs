//! Clients come through ports that the engine's host publishes.
//!
//! A port goes with a container's network. Older engines (20.10) hand it on to whatever other network the container
//! stands on, the private one included, so V1 leaves every network, the private one first, before V2 joins. A join
//! that finds the port taken leaves V2's network half-made, which only a restart of V2 mends: it is never tried while
//! V1 stands anywhere.

use std::time::Duration;

use async_trait::async_trait;

use super::{ClientsWay, Sides};
use crate::engine::{Address, Side};
use crate::runtime::{Attachment, Container, Port};
use crate::trouble::Trouble;

/// For a clean shutdown of a server whose port was not bound.
const TIME_TO_STOP: Duration = Duration::from_secs(120);

pub(super) struct PublishedPort {
    pub(super) ports: Vec<Port>,
    /// V1's places on the clients' networks, as they were.
    pub(super) networks: Vec<Attachment>,
    pub(super) at: Sides,
}

impl PublishedPort {
    /// The places of a side. V2 also answers to V1's name, which it will bear in the end.
    fn places(&self, side: Side) -> Vec<Attachment> {
        let name = &self.at.plan.v1.container;
        let mut places = self.networks.clone();
        for place in &mut places {
            place.address = None;
            // The default bridge knows no aliases.
            if side == Side::V2 && place.network != "bridge" && !place.aliases.contains(name) {
                place.aliases.push(name.clone());
            }
        }
        places
    }

    async fn look(&self, side: Side) -> Result<Option<Container>, Trouble> {
        self.at.runtime.container(self.at.container(side)).await
    }

    /// Off every network: the private one first, or the port would move there.
    async fn ensure_off(&self, side: Side) -> Result<(), Trouble> {
        self.at.runtime.ensure_left(self.at.container(side), &self.at.plan.private_network).await?;
        self.ensure_off_clients_networks(side).await
    }

    async fn ensure_off_clients_networks(&self, side: Side) -> Result<(), Trouble> {
        let container = self.at.container(side);
        for place in &self.networks {
            self.at.runtime.ensure_left(container, &place.network).await?;
        }
        Ok(())
    }

    async fn ensure_on(&self, side: Side) -> Result<(), Trouble> {
        for place in self.places(side) {
            self.at.runtime.ensure_joined(self.at.container(side), &place).await?;
        }
        Ok(())
    }

    /// An engine that does not bind the ports of a running container when it joins binds them when it starts.
    async fn ensure_on_by_restart(&self, side: Side) -> Result<(), Trouble> {
        let container = self.at.container(side);
        let signal = self.look(side).await?.map(|found| found.stop_signal).filter(|signal| !signal.is_empty());
        self.at.runtime.ensure_stopped(container, signal.as_deref().unwrap_or("SIGTERM"), TIME_TO_STOP).await?;
        for place in self.places(side) {
            self.at.runtime.ensure_left(container, &place.network).await?;
            self.at.runtime.ensure_joined(container, &place).await?;
        }
        self.at.runtime.ensure_started(container).await
    }

    async fn is_bound(&self, side: Side) -> Result<bool, Trouble> {
        Ok(self.look(side).await?.is_some_and(|found| self.are_bound(&found)))
    }

    fn are_bound(&self, container: &Container) -> bool {
        let same = |port: &Port, asked: &Port| port.container == asked.container && port.host_port == asked.host_port;
        self.ports.iter().all(|asked| container.ports.iter().any(|port| port.bound && same(port, asked)))
    }

    /// For the way back: a container on an internal network only binds no port.
    async fn ensure_private(&self, side: Side) -> Result<(), Trouble> {
        let private = Attachment { network: self.at.plan.private_network.clone(), ..Attachment::default() };
        self.at.runtime.ensure_joined(self.at.container(side), &private).await
    }
}

#[async_trait(?Send)]
impl ClientsWay for PublishedPort {
    fn describe(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(shown).collect();
        format!("published port {}", ports.join(", "))
    }

    async fn check(&self) -> Result<(), Trouble> {
        for place in &self.networks {
            self.at.refuse_unless_v1_stands(place).await?;
        }
        match self.look(Side::V1).await? {
            Some(v1) if self.are_bound(&v1) => Ok(()),
            _ => Err(Trouble::refused(format!("{} is not V1's any more", self.describe())).hint("plan anew")),
        }
    }

    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        for side in [Side::V1, Side::V2] {
            if self.is_bound(side).await? {
                return Ok(Some(side));
            }
        }
        Ok(None)
    }

    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        if self.is_bound(side).await? {
            // Moved before: the other side follows over the private network by now.
            self.ensure_off_clients_networks(side.other()).await?;
        } else {
            self.ensure_off(side.other()).await?;
        }
        let joined = self.ensure_on(side).await;
        if joined.is_err() || !self.is_bound(side).await? {
            let why = joined.map_or_else(|error| error.one_line(), |()| "the engine did not bind it".into());
            self.at.tell.warning(format!("{} needs a restart of {side}: {why}", self.describe()));
            self.ensure_on_by_restart(side).await?;
        }
        // Clients are served: what keeps the other side off the private network costs the way back only.
        if let Err(error) = self.ensure_private(side.other()).await {
            self.at.tell.warning(format!("{} cannot be reached for the way back: {}", side.other(), error.one_line()));
        }
        Ok(())
    }

    fn address(&self) -> Option<Address> {
        let server = self.at.plan.v1.port;
        let of_server = self.ports.iter().find(|port| port.container == format!("{server}/tcp"));
        let published = of_server.map(|port| Address {
            network: None,
            host: match port.host_ip.as_str() {
                "" | "0.0.0.0" => "127.0.0.1".into(),
                "::" => "::1".into(),
                address => address.into(),
            },
            port: port.host_port,
        });
        // Ports of something else in the container are published; clients of the server use a name.
        published.or_else(|| {
            let place = self.networks.iter().find(|place| place.network != "bridge")?;
            let host = place.aliases.first().unwrap_or(&self.at.plan.v1.container);
            Some(Address { network: Some(place.network.clone()), host: host.clone(), port: server })
        })
    }
}

fn shown(port: &Port) -> String {
    let host = if port.host_ip.is_empty() { "*" } else { &port.host_ip };
    format!("{host}:{} → {}", port.host_port, port.container)
}
