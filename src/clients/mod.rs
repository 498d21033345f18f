//! One way of pointing clients at a side, a file each.
//!
//! In no order of acts may a client reach a writable V1 after the fence. A way never decides whether to go on: it
//! is asked to hold, stand by, move, release or let go, and each may be asked again after a crash.

use std::rc::Rc;

use async_trait::async_trait;

use crate::config::{Clients, Limits, Way};
use crate::engine::{Address, Side, Survey};
use crate::plan::{Names, Plan, Proxy, SidePlan, WayPlan};
use crate::runtime::{Attachment, Container, Runtime};
use crate::tell::Teller;
use crate::trouble::Trouble;

mod find;
mod haproxy;
mod hook;
mod network_alias;
mod pgbouncer;
mod published_port;

pub use find::{checks, find};

/// Every way we know. A new one is a file and a line here.
pub fn from_plan(way: &WayPlan, plan: Rc<Plan>, runtime: Rc<dyn Runtime>, tell: Teller) -> Box<dyn ClientsWay> {
    let at = Sides { plan, runtime, tell };
    match way.clone() {
        WayPlan::NetworkAlias { on } => Box::new(network_alias::NetworkAlias::new(on, at)),
        WayPlan::PublishedPort { ports, networks } => Box::new(published_port::PublishedPort { ports, networks, at }),
        WayPlan::Haproxy(haproxy) => Box::new(haproxy::Haproxy::new(haproxy, at)),
        WayPlan::Pgbouncer(pgbouncer) => Box::new(pgbouncer::Pgbouncer::new(pgbouncer, at)),
        WayPlan::Hook(hook) => Box::new(hook::Hook::new(hook, at)),
    }
}

/// Looks at the proxies that the user named, in his order.
pub async fn proxies(clients: &Clients, around: &Around<'_>) -> Vec<Proxy> {
    let Clients::These(list) = clients else { return Vec::new() };
    let mut proxies = Vec::new();
    for way in list {
        match way {
            Way::NetworkAlias(_) | Way::PublishedPort(_) => {}
            Way::Haproxy(said) => proxies.push(haproxy::find(said, around).await),
            Way::Pgbouncer(said) => proxies.push(pgbouncer::find(said, around).await),
            Way::Hook(said) => proxies.push(hook::find(said, around).await),
        }
    }
    proxies
}

/// What proxies are in front of.
pub struct Around<'a> {
    pub v1: &'a Container,
    pub names: &'a Names,
    pub survey: &'a Survey,
    /// Where V1's server listens.
    pub port: u16,
    pub limits: &'a Limits,
    pub runtime: &'a Rc<dyn Runtime>,
}

impl Around<'_> {
    /// Where a proxy's container stands, as servers see it. Nothing where that cannot be said.
    async fn addresses_of(&self, container: Option<&str>) -> Vec<String> {
        let Some(container) = container else { return Vec::new() };
        let found = self.runtime.container(container).await.ok().flatten();
        found.into_iter().flat_map(|found| found.networks).filter_map(|on| on.address).collect()
    }
}

#[async_trait(?Send)]
pub trait ClientsWay {
    /// As in `network alias db on shop_default`.
    fn describe(&self) -> String;
    /// It can be moved, and points at V1: asked before the window.
    async fn check(&self) -> Result<(), Trouble>;
    /// Where it points now; `None`: at neither, or it cannot be said.
    async fn pointing_at(&self) -> Result<Option<Side>, Trouble>;
    /// It lets clients wait, some or all: whatever is slow is done before [`ClientsWay::ensure_held`].
    fn pauses(&self) -> bool {
        false
    }
    /// What the window needs is open.
    async fn ensure_connected(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Clients wait. `true`: all of them, their transactions finished. `false`: nobody, or those alone that come anew.
    async fn ensure_held(&self) -> Result<bool, Trouble> {
        Ok(false)
    }
    /// What can be done before anybody waits: V2, closed, stands where clients will look for it. `false`: nothing.
    async fn ensure_stand_by(&self) -> Result<bool, Trouble> {
        Ok(false)
    }
    /// On the way back, before [`ClientsWay::ensure_released`]: undoes [`ClientsWay::ensure_stand_by`], and whatever else was
    /// prepared for V2.
    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Clients reach `side`. The other one, which is shut by now, may still stand beside it where leaving would hurt
    /// clients that are reconnecting.
    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble>;
    /// `side`, which no longer serves, stands nowhere any more where clients look. Asked when they have found the
    /// other one.
    async fn ensure_withdrawn(&self, side: Side) -> Result<(), Trouble> {
        let _ = side;
        Ok(())
    }
    /// Held clients run.
    async fn ensure_released(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Where a client would connect, to prove a write.
    fn address(&self) -> Option<Address>;
}

/// What every way that lives in the container engine works with.
struct Sides {
    plan: Rc<Plan>,
    runtime: Rc<dyn Runtime>,
    tell: Teller,
}

impl Sides {
    fn plan_of(&self, side: Side) -> &SidePlan {
        match side {
            Side::V1 => &self.plan.v1,
            Side::V2 => &self.plan.v2,
        }
    }

    /// By id where it is known: names move from one side to the other.
    fn container(&self, side: Side) -> &str {
        let side = self.plan_of(side);
        if side.id.is_empty() { &side.container } else { &side.id }
    }

    async fn refuse_unless_v1_stands(&self, planned: &Attachment) -> Result<(), Trouble> {
        let network = &planned.network;
        if self.runtime.network(network).await?.is_none() {
            return Err(Trouble::refused(format!("network {network} is gone")));
        }
        let v1 = self.runtime.container(self.container(Side::V1)).await?;
        match v1.and_then(|v1| v1.networks.into_iter().find(|at| at.network == *network)) {
            // The user may have named only some of them.
            Some(now) if planned.aliases.iter().all(|alias| now.aliases.contains(alias)) => Ok(()),
            Some(now) => Err(Trouble::refused(format!(
                "V1's aliases on {network} were {:?} when this was planned and are {:?} now",
                planned.aliases, now.aliases
            ))
            .hint("plan anew")),
            None => Err(Trouble::refused(format!("V1 is no longer on network {network}")).hint("plan anew")),
        }
    }
}
