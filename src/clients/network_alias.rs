//! Clients on a network of the engine's find the server by V1's aliases and name.
//!
//! V2 stands by with the same aliases while it is closed. For a moment both answer to them: one that is shut costs a
//! client one more try and nothing else. A leave is what hurts: an address dies some 20 ms before its names do, and
//! whoever connects in between hears nothing at all (1 to 5 s, by the client's own timeouts). So the side that does not
//! serve leaves last, when clients have stopped coming to it.

use std::cell::Cell;
use std::time::Duration;

use async_trait::async_trait;

use super::{ClientsWay, Sides};
use crate::engine::{Address, Side};
use crate::runtime::{Attachment, Container};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// How long a side that is shut stands beside the other one at most, for the sake of clients that still come to it.
const LINGER: Limit<'static> = Limit { name: "3 s", value: Duration::from_secs(3) };

/// Fewer packets from one look to the next than two attempts to connect take, some noise on the network included.
const QUIET: u64 = 10;

pub(super) struct NetworkAlias {
    /// V1's place on the clients' network, as it was.
    on: Attachment,
    at: Sides,
    /// V2 was put there by this process: inside the window it is not asked again.
    v2_stands: Cell<bool>,
}

impl NetworkAlias {
    pub(super) fn new(on: Attachment, at: Sides) -> NetworkAlias {
        NetworkAlias { on, at, v2_stands: Cell::new(false) }
    }

    /// The place of a side. V2 also answers to V1's name, which it will bear in the end.
    fn place(&self, side: Side) -> Attachment {
        let mut place = Attachment { address: None, ..self.on.clone() };
        let name = &self.at.plan.v1.container;
        if side == Side::V2 && !place.aliases.contains(name) {
            place.aliases.push(name.clone());
        }
        place
    }

    /// An address that the user fixed can be only one side's.
    fn has_fixed_address(&self) -> bool {
        self.on.fixed_ipv4.is_some() || self.on.fixed_ipv6.is_some()
    }

    async fn stands(&self, side: Side) -> Result<Option<Attachment>, Trouble> {
        let found = self.at.runtime.container(self.at.container(side)).await?;
        Ok(found.and_then(|found| place_on(&found, &self.on.network).cloned()))
    }

    async fn ensure_gone(&self, side: Side) -> Result<(), Trouble> {
        if side == Side::V2 {
            self.v2_stands.set(false);
        }
        self.at.runtime.ensure_left(self.at.container(side), &self.on.network).await
    }

    /// Leaves when clients have stopped coming, or when it has lingered long enough.
    async fn ensure_gone_quietly(&self, side: Side) -> Result<(), Trouble> {
        if self.stands(side).await?.is_none() {
            return Ok(());
        }
        let wait = Wait {
            what: "clients to find the other side",
            limit: LINGER,
            every: Duration::from_millis(150),
            kind: Kind::Failed,
        };
        let mut before = None;
        let quiet = wait::until(wait, &self.at.tell, async || {
            let now = self.at.runtime.packets_received(self.at.container(side), &self.on.network).await?;
            Ok(match (before.replace(now).flatten(), now) {
                (Some(before), Some(now)) if now.saturating_sub(before) < QUIET => Look::Done(()),
                (_, Some(_)) => Look::NotYet(format!("clients still come to {side} and are sent away")),
                (_, None) => Look::NotYet(format!("whether clients still come to {side} cannot be told")),
            })
        });
        // Late or not to be told: it leaves all the same.
        let _quiet_or_not = quiet.await;
        self.ensure_gone(side).await
    }
}

#[async_trait(?Send)]
impl ClientsWay for NetworkAlias {
    fn describe(&self) -> String {
        match self.on.aliases.as_slice() {
            [] => format!("container name {} on network {}", self.at.plan.v1.container, self.on.network),
            aliases => format!("network alias {} on {}", aliases.join(", "), self.on.network),
        }
    }

    async fn check(&self) -> Result<(), Trouble> {
        let network = &self.on.network;
        self.at.refuse_unless_v1_stands(&self.on).await?;
        match self.stands(Side::V2).await? {
            Some(_) => Err(Trouble::refused(format!("V2 is on the clients' network {network} already"))),
            None => Ok(()),
        }
    }

    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        let stands = (self.stands(Side::V1).await?.is_some(), self.stands(Side::V2).await?.is_some());
        Ok(match stands {
            (true, false) => Some(Side::V1),
            (false, true) => Some(Side::V2),
            _ => None,
        })
    }

    async fn ensure_stand_by(&self) -> Result<bool, Trouble> {
        if self.has_fixed_address() {
            return Ok(false);
        }
        self.at.runtime.ensure_joined(self.at.container(Side::V2), &self.place(Side::V2)).await?;
        self.v2_stands.set(true);
        Ok(true)
    }

    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        self.ensure_gone_quietly(Side::V2).await
    }

    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        if side == Side::V2 && self.v2_stands.get() {
            return Ok(());
        }
        if self.has_fixed_address() {
            self.ensure_gone(side.other()).await?;
        }
        self.at.runtime.ensure_joined(self.at.container(side), &self.place(side)).await
    }

    async fn ensure_withdrawn(&self, side: Side) -> Result<(), Trouble> {
        self.ensure_gone_quietly(side).await
    }

    fn address(&self) -> Option<Address> {
        let host = self.on.aliases.first().unwrap_or(&self.at.plan.v1.container);
        Some(Address { network: Some(self.on.network.clone()), host: host.clone(), port: self.at.plan.v1.port })
    }
}

fn place_on<'a>(container: &'a Container, network: &str) -> Option<&'a Attachment> {
    container.networks.iter().find(|at| at.network == network)
}
