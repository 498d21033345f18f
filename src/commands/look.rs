//! Where both sides and every way of the clients stand now, in the person's words: V1 is what served at first.

use crate::engine::{ServerState, Side};
use crate::plan::SidePlan;
use crate::runtime::Runtime;
use crate::switchover::Run;

#[derive(Debug)]
pub(super) struct Scene {
    pub(super) v1: SideNow,
    pub(super) v2: SideNow,
    /// Each way, and where it points; `None`: at neither, or it cannot be said.
    pub(super) clients: Vec<(String, Option<Side>)>,
}

#[derive(Debug, Default)]
pub(super) struct SideNow {
    /// The container's name now; `None`: there is none.
    pub(super) container: Option<String>,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) digest: Option<String>,
    pub(super) version: String,
    pub(super) server: ServerState,
}

/// Never fails: what cannot be seen is said to be unknown.
pub(super) async fn look(run: &Run, exchanged: bool) -> Scene {
    let plan = &run.plan;
    let (leader, follower) = tokio::join!(run.v1.state(), run.v2.state());
    let mut scene = Scene {
        v1: side(&*run.runtime, &plan.v1, leader).await,
        v2: side(&*run.runtime, &plan.v2, follower).await,
        clients: Vec::new(),
    };
    for way in &run.ways {
        scene.clients.push((way.describe(), way.pointing_at().await.ok().flatten()));
    }
    if exchanged {
        std::mem::swap(&mut scene.v1, &mut scene.v2);
        for (_, side) in &mut scene.clients {
            *side = side.map(Side::other);
        }
    }
    scene
}

async fn side(runtime: &dyn Runtime, plan: &SidePlan, server: ServerState) -> SideNow {
    let container = runtime.container(plan.handle()).await.ok().flatten().map(|container| container.name);
    SideNow {
        container,
        image: plan.image.clone(),
        image_id: plan.image_id.clone(),
        digest: plan.digest.clone(),
        version: plan.version.clone(),
        server,
    }
}

impl Scene {
    /// The side that every way points at, if it is one.
    pub(super) fn clients_on(&self) -> Option<Side> {
        let mut sides = self.clients.iter().map(|(_, side)| *side);
        let first = sides.next().flatten()?;
        sides.all(|side| side == Some(first)).then_some(first)
    }

    pub(super) fn side(&self, side: Side) -> &SideNow {
        match side {
            Side::V1 => &self.v1,
            Side::V2 => &self.v2,
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let side = |now: &SideNow| {
            serde_json::json!({
                "container": now.container,
                "image": now.image,
                "image_id": now.image_id,
                "digest": now.digest,
                "version": now.version,
                "writable": now.server.writable,
                "admits_clients": now.server.clients_admitted,
                "following": now.server.following,
                "clients": now.server.clients_connected,
                "note": now.server.note,
            })
        };
        let clients: Vec<_> = self
            .clients
            .iter()
            .map(|(way, side)| serde_json::json!({ "way": way, "side": side.map(|side| side.to_string()) }))
            .collect();
        serde_json::json!({ "v1": side(&self.v1), "v2": side(&self.v2), "clients": clients })
    }
}
