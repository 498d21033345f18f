//! Client ways, runtime and guard in the fake world.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use switchover::clients::ClientsWay;
use switchover::engine::{Address, Side};
use switchover::guard::Guard;
use switchover::runtime::{
    Attachment, Call, Container, File, Helper, HelperSpec, Image, Labels, Network, Output, Recipe, Runtime, Stream,
};
use switchover::trouble::Trouble;
use switchover::wait::Deadline;

use super::machine::{Doing, Who};
use super::world::{State, World};

async fn once(world: &World, what: &'static str, change: impl FnOnce(&mut State)) -> Result<(), Trouble> {
    world.at(what).await?;
    world.change(change);
    world.at(what).await
}

pub struct NetworkWay(pub Rc<World>);

#[async_trait(?Send)]
impl ClientsWay for NetworkWay {
    fn describe(&self) -> String {
        "network alias db".into()
    }
    async fn check(&self) -> Result<(), Trouble> {
        match self.0.change(|s| s.on_clients_network) {
            [true, false] => Ok(()),
            other => Err(Trouble::failed(format!("the clients' network has {other:?}"))),
        }
    }
    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        Ok(None)
    }
    async fn ensure_stand_by(&self) -> Result<bool, Trouble> {
        once(&self.0, "V2 stands by", |s| s.on_clients_network[1] = true).await.map(|()| true)
    }
    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        once(&self.0, "V2 stands down", |s| s.on_clients_network[1] = false).await
    }
    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        once(&self.0, "join clients' network", |s| s.on_clients_network[side as usize] = true).await
    }
    async fn ensure_withdrawn(&self, side: Side) -> Result<(), Trouble> {
        once(&self.0, "leave clients' network", |s| s.on_clients_network[side as usize] = false).await
    }
    fn address(&self) -> Option<Address> {
        Some(Address { network: Some("clients".into()), host: "db".into(), port: 5432 })
    }
}

pub struct PoolerWay(pub Rc<World>);

#[async_trait(?Send)]
impl ClientsWay for PoolerWay {
    fn describe(&self) -> String {
        "pooler".into()
    }
    async fn check(&self) -> Result<(), Trouble> {
        Ok(())
    }
    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        Ok(None)
    }
    fn pauses(&self) -> bool {
        true
    }
    async fn ensure_connected(&self) -> Result<(), Trouble> {
        self.0.at("connect to the pooler").await
    }
    async fn ensure_held(&self) -> Result<bool, Trouble> {
        once(&self.0, "hold the pooler", |s| {
            s.pooler.paused = true;
            if s.kind.by_network {
                return;
            }
            let sessions = std::mem::take(&mut s.v1().sessions);
            for session in sessions {
                match session.who {
                    // Its transactions finish first.
                    Who::Client(_, Doing::InTransaction(row, _)) => s.commit(Side::V1, row),
                    Who::Client(..) => {}
                    _ => s.v1().sessions.push(session),
                }
            }
        })
        .await
        .map(|()| true)
    }
    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        once(&self.0, "point the pooler", |s| s.pooler.to_v2 = side == Side::V2).await
    }
    async fn ensure_released(&self) -> Result<(), Trouble> {
        once(&self.0, "let the pooler go", |s| s.pooler.paused = false).await
    }
    fn address(&self) -> Option<Address> {
        Some(Address { network: None, host: "pooler".into(), port: 6432 })
    }
}

pub struct FakeGuard(pub Rc<World>);

#[async_trait(?Send)]
impl Guard for FakeGuard {
    async fn ensure_started(&mut self) -> Result<(), Trouble> {
        self.0.at("start the guard").await
    }
    async fn ensure_armed(&mut self, _: Deadline) -> Result<(), Trouble> {
        once(&self.0, "arm the guard", |s| s.guard.armed = true).await
    }
    async fn ensure_dismissed(&mut self) -> Result<(), Trouble> {
        once(&self.0, "dismiss the guard", |s| s.guard.armed = false).await
    }
}

pub struct FakeRuntime(pub Rc<World>);

/// V1 by its id, V2 by either of its names.
fn side(container: &str) -> Side {
    if container == "v1-id" { Side::V1 } else { Side::V2 }
}

fn unused<T>() -> Result<T, Trouble> {
    Err(Trouble::bug("the story does not ask the runtime for this"))
}

#[async_trait(?Send)]
impl Runtime for FakeRuntime {
    async fn packets_received(&self, _: &str, _: &str) -> Result<Option<u64>, Trouble> {
        unused()
    }
    async fn ensure_network(&self, _: &str, _: bool, _: &Labels) -> Result<(), Trouble> {
        once(&self.0, "make the private network", |s| s.things.private_network = true).await
    }
    async fn ensure_no_network(&self, _: &str, _: &str) -> Result<(), Trouble> {
        if self.0.change(|s| s.things.on_private.contains(&true)) {
            return Err(Trouble::failed("the private network still has containers on it"));
        }
        once(&self.0, "remove the private network", |s| s.things.private_network = false).await
    }
    async fn ensure_volume(&self, _: &str, _: &Labels) -> Result<(), Trouble> {
        once(&self.0, "make the volume", |s| s.things.volume = true).await
    }
    async fn ensure_no_volume(&self, _: &str, _: &str) -> Result<(), Trouble> {
        if self.0.change(|s| s.things.container) {
            return Err(Trouble::failed("the volume is in use"));
        }
        once(&self.0, "remove the volume", |s| s.things.volume = false).await
    }
    async fn ensure_volume_retired(&self, _: &str) -> Result<(), Trouble> {
        Err(Trouble::bug("a run retires no volume"))
    }
    async fn ensure_created(&self, recipe: &Recipe) -> Result<Container, Trouble> {
        if !self.0.change(|s| s.things.volume && s.things.private_network) {
            return Err(Trouble::failed("no volume or network to make V2 with"));
        }
        once(&self.0, "create V2", |s| {
            s.things.container = true;
            s.things.on_private[1] = true;
            s.things.names[1] = "db-v2";
        })
        .await?;
        Ok(container(&recipe.name))
    }
    async fn ensure_no_container(&self, _: &str, _: &str) -> Result<(), Trouble> {
        once(&self.0, "remove V2", |s| {
            s.things.container = false;
            s.things.on_private[1] = false;
            s.things.names[1] = "";
            s.on_clients_network[1] = false;
            s.v2().up = false;
            s.v2().follows = false;
        })
        .await
    }
    async fn ensure_named(&self, id: &str, name: &str) -> Result<(), Trouble> {
        let side = side(id);
        if self.0.change(|s| s.things.names[side.other() as usize] == name) {
            return Err(Trouble::failed("another container has this name"));
        }
        let name = if name == "db" { "db" } else { "db-v1" };
        once(&self.0, "rename", |s| s.things.names[side as usize] = name).await
    }
    async fn ensure_restart_policy(&self, _: &str, _: &str) -> Result<(), Trouble> {
        once(&self.0, "restart policy", |s| s.things.restarts = false).await
    }
    async fn ensure_joined(&self, id: &str, _: &Attachment) -> Result<(), Trouble> {
        once(&self.0, "join the private network", |s| s.things.on_private[side(id) as usize] = true).await
    }
    async fn ensure_left(&self, id: &str, _: &str) -> Result<(), Trouble> {
        once(&self.0, "leave the private network", |s| s.things.on_private[side(id) as usize] = false).await
    }
    async fn ensure_no_helpers(&self, _: &str) -> Result<(), Trouble> {
        self.0.at("remove helpers").await
    }
    fn describe(&self) -> String {
        "a fake".into()
    }

    async fn container(&self, _: &str) -> Result<Option<Container>, Trouble> {
        unused()
    }
    async fn image(&self, _: &str) -> Result<Option<Image>, Trouble> {
        unused()
    }
    async fn registry_digest(&self, _: &str) -> Result<Option<String>, Trouble> {
        unused()
    }
    async fn tags(&self, _: &str) -> Result<Vec<String>, Trouble> {
        unused()
    }
    async fn registry_tags(&self, _: &str) -> Result<Vec<String>, Trouble> {
        unused()
    }
    async fn network(&self, _: &str) -> Result<Option<Network>, Trouble> {
        unused()
    }
    async fn volume_exists(&self, _: &str) -> Result<bool, Trouble> {
        unused()
    }
    async fn free_bytes(&self, _: &str, _: &str) -> Result<Option<u64>, Trouble> {
        unused()
    }
    async fn log_tail(&self, _: &str, _: usize) -> Result<String, Trouble> {
        unused()
    }
    async fn ensure_image(&self, _: &str) -> Result<Image, Trouble> {
        unused()
    }
    async fn ensure_newest_image(&self, _: &str) -> Result<Image, Trouble> {
        unused()
    }
    async fn ensure_retired(&self, _: &str) -> Result<(), Trouble> {
        unused()
    }
    async fn ensure_started(&self, _: &str) -> Result<(), Trouble> {
        unused()
    }
    async fn ensure_stopped(&self, _: &str, _: &str, _: Duration) -> Result<i64, Trouble> {
        unused()
    }
    async fn ensure_restarted(&self, _: &str, _: &str, _: Duration) -> Result<(), Trouble> {
        unused()
    }
    async fn exec(&self, _: &str, _: &Call) -> Result<Output, Trouble> {
        unused()
    }
    async fn put_file(&self, _: &str, _: &File) -> Result<(), Trouble> {
        unused()
    }
    async fn file(&self, _: &str, _: &str) -> Result<Option<File>, Trouble> {
        unused()
    }
    async fn helper(&self, _: &HelperSpec) -> Result<Box<dyn Helper>, Trouble> {
        unused()
    }
    async fn dial(&self, _: &str, _: &str, _: u16) -> Result<Box<dyn Stream>, Trouble> {
        unused()
    }
    async fn dial_inside(&self, _: &str, _: u16) -> Result<Box<dyn Stream>, Trouble> {
        unused()
    }
}

fn container(name: &str) -> Container {
    serde_json::from_value(serde_json::json!({
        "id": name, "name": name, "image": "", "image_id": "", "state": "created", "started_at": "", "host_pid": null,
        "command": [], "entrypoint": [], "user": "", "stop_signal": "", "auto_remove": false, "init": false, "restart_policy": "", "network_mode": "",
        "mounts": [], "networks": [], "ports": [], "labels": {}, "settings": {}
    }))
    .unwrap()
}
