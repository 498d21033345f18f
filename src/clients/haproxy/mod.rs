//! Clients come through HAProxy, which finds the side that serves by its address on a network, or by a published port:
//! that one is moved by a way of its own beside this one (`plan/ways.rs`).
//!
//! HAProxy lets new connections wait where their frontend takes none (`maxconn 0`). Sessions that run go on: the fence
//! ends them, and their clients wait like the others. Many a HAProxy dies when such a frontend takes clients again (its
//! bug 2726): that one holds nobody, and V1 refuses who comes. All is told over one connection that is opened before the
//! window. Nothing of this is in HAProxy's file: one that is started or read anew begins with the file, so what is done is
//! looked at once more when clients run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;

use self::api::Api;
use self::said::Server;
use super::{ClientsWay, Sides};
use crate::engine::{Address, Side};
use crate::plan::{self, HaproxyHold, Route};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

mod api;
mod find;
mod fit;
mod said;

pub(super) use find::find;

pub(super) struct Haproxy {
    plan: plan::Haproxy,
    at: Sides,
    api: Api,
    /// Where V2 stands, looked up before clients wait.
    v2_at: RefCell<Option<(String, u16)>>,
}

impl Haproxy {
    pub(super) fn new(plan: plan::Haproxy, at: Sides) -> Haproxy {
        let api = Api::new(plan.api.clone(), Rc::clone(&at.runtime));
        Haproxy { plan, at, api, v2_at: RefCell::default() }
    }

    fn line(&self, side: Side) -> &str {
        match side {
            Side::V1 => &self.plan.v1,
            Side::V2 => &self.plan.v2,
        }
    }

    /// As commands have it.
    fn server(&self, line: &str) -> String {
        format!("{}/{line}", self.plan.backend)
    }

    /// Where HAProxy reaches a side. `None`: nowhere now.
    async fn stands(&self, side: Side) -> Result<Option<(String, u16)>, Trouble> {
        let Some(found) = self.at.runtime.container(self.at.container(side)).await? else { return Ok(None) };
        Ok(match &self.plan.route {
            Route::Port { host, port } => {
                let bound = found.ports.iter().any(|there| there.bound && there.host_port == *port);
                bound.then(|| (host.clone(), *port))
            }
            Route::Network(network) => {
                let on = found.networks.into_iter().find(|on| on.network == *network);
                on.and_then(|on| on.address).map(|address| (address, self.at.plan_of(side).port))
            }
        })
    }

    async fn servers(&self) -> Result<Vec<Server>, Trouble> {
        said::servers(&self.api.ask(&format!("show servers state {}", self.plan.backend)).await?)
    }

    /// How many clients the frontend takes that lets them wait. `None`: there is none.
    async fn maxconn(&self) -> Result<Option<u32>, Trouble> {
        let Some(HaproxyHold { frontend, .. }) = &self.plan.hold else { return Ok(None) };
        let frontends = said::frontends(&self.api.ask("show stat -1 1 -1").await?)?;
        let ours = frontends.into_iter().find(|there| there.name == *frontend);
        let missing = || Trouble::failed(format!("HAProxy at {} has no frontend {frontend}", self.api.name()));
        ours.map(|frontend| Some(frontend.maxconn)).ok_or_else(missing)
    }

    async fn ensure_maxconn(&self, hold: &HaproxyHold, maxconn: u32) -> Result<(), Trouble> {
        let frontend = &hold.frontend;
        let answer = self.api.ask(&format!("set maxconn frontend {frontend} {maxconn}")).await?;
        match self.maxconn().await? {
            Some(now) if now == maxconn => Ok(()),
            now => Err(Trouble::failed(format!(
                "HAProxy's frontend {frontend} takes {} clients, and was told to take {maxconn}",
                now.unwrap_or_default()
            ))
            .because(Trouble::failed(answer.trim().to_owned()))),
        }
    }

    /// One look, and what is to be done after it. `Done`: `side` is the one that gets clients.
    async fn point(&self, side: Side, at: &(String, u16)) -> Result<Look<()>, Trouble> {
        let servers = self.servers().await?;
        let (line, other) = (self.line(side), self.line(side.other()));
        let find = |name: &str| servers.iter().find(|server| server.name == name);
        let Some(now) = find(line) else {
            return Ok(Look::NotYet(format!("HAProxy has no server {}", self.server(line))));
        };
        let mut commands = Vec::new();
        if other != line && find(other).is_some_and(|other| other.is_ready) {
            commands.push(format!("set server {} state maint", self.server(other)));
            commands.push(format!("shutdown sessions server {}", self.server(other)));
        }
        if !now.stands_at(at) {
            // Of whoever stood there before.
            commands.push(format!("shutdown sessions server {}", self.server(line)));
            commands.push(format!("set server {} addr {} port {}", self.server(line), at.0, at.1));
        }
        if !now.is_ready {
            commands.push(format!("set server {} state ready", self.server(line)));
        }
        if !now.is_up {
            // Its checks, which a side that was shut has failed, would see so in seconds only.
            commands.push(format!("set server {} health up", self.server(line)));
        }
        if commands.is_empty() {
            return Ok(Look::Done(()));
        }
        let mut said = String::new();
        for command in commands {
            said.push_str(self.api.ask(&command).await?.trim());
        }
        Ok(Look::NotYet(format!("HAProxy says: {said}")))
    }

    /// After a fence checks may have taken the side for dead that serves again.
    async fn ensure_up(&self) -> Result<(), Trouble> {
        let ours = [&self.plan.v1, &self.plan.v2];
        for server in self.servers().await?.iter().filter(|server| ours.contains(&&server.name)) {
            if server.is_ready && !server.is_up {
                self.api.ask(&format!("set server {} health up", self.server(&server.name))).await?;
            }
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl ClientsWay for Haproxy {
    fn describe(&self) -> String {
        format!("HAProxy at {}, backend {}", self.api.name(), self.plan.backend)
    }

    async fn check(&self) -> Result<(), Trouble> {
        let looked = async { Ok::<_, Trouble>((self.servers().await?, self.maxconn().await?)) };
        let (servers, maxconn) = looked.await.map_err(|trouble| Trouble { kind: Kind::Refused, ..trouble })?;
        let v1 = self.stands(Side::V1).await?;
        fit::refuse_unfit(&self.plan, &servers, maxconn, v1.as_ref())
    }

    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        let servers = self.servers().await?;
        let takes_clients = |name: &str| servers.iter().find(|server| server.name == name && server.is_ready);
        let mut found = Vec::new();
        for side in [Side::V2, Side::V1] {
            let there = match (takes_clients(self.line(side)), self.stands(side).await?) {
                (Some(server), Some(at)) => server.stands_at(&at),
                _ => false,
            };
            found.extend(there.then_some(side));
        }
        Ok(if let [side] = found[..] { Some(side) } else { None })
    }

    fn pauses(&self) -> bool {
        true
    }

    async fn ensure_connected(&self) -> Result<(), Trouble> {
        self.api.ensure_open().await
    }

    /// New clients wait. Those that are there go on: nobody is held in the sense of the story.
    async fn ensure_held(&self) -> Result<bool, Trouble> {
        self.api.ensure_open().await?;
        self.v2_at.replace(self.stands(Side::V2).await?);
        if let Some(hold) = &self.plan.hold {
            self.ensure_maxconn(hold, 0).await?;
        }
        Ok(false)
    }

    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        self.v2_at.take();
        Ok(())
    }

    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        let known = self.v2_at.borrow().clone().filter(|_| side == Side::V2);
        let what = format!("HAProxy at {} to point at {side}", self.api.name());
        let limit = Limit { name: "limits.cutover", value: self.at.plan.limits.cutover.0 };
        let wait = Wait { what: &what, limit, every: Duration::from_millis(1), kind: Kind::Failed };
        wait::until(wait, &self.at.tell, async || {
            let at = match &known {
                Some(at) => Some(at.clone()),
                None => self.stands(side).await?,
            };
            let Some(at) = at else { return Ok(Look::NotYet(format!("{side} has no address that HAProxy reaches"))) };
            // Beyond the line it is only gone forward: whatever fails is tried again.
            Ok(self.point(side, &at).await.unwrap_or_else(|trouble| Look::NotYet(trouble.one_line())))
        })
        .await
    }

    /// HAProxy was perhaps read anew meanwhile, and began with its file.
    async fn ensure_withdrawn(&self, side: Side) -> Result<(), Trouble> {
        self.v2_at.take();
        self.api.forget();
        self.ensure_pointing_at(side.other()).await?;
        self.ensure_released().await
    }

    async fn ensure_released(&self) -> Result<(), Trouble> {
        if self.api.ask_if_it_runs("show info").await?.is_none() {
            self.at
                .tell
                .warning(format!("{} does not run: it holds nobody, and begins with its file", self.describe()));
            return Ok(());
        }
        self.ensure_up().await?;
        match &self.plan.hold {
            Some(hold) => self.ensure_maxconn(hold, hold.maxconn).await,
            None => Ok(()),
        }
    }

    fn address(&self) -> Option<Address> {
        self.plan.clients.clone()
    }
}
