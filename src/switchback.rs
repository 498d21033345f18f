//! Back to the side that served before, while it follows: the story's rows from `ready` on, with the sides exchanged.
//!
//! In the plan of a switchback `v1` is the side that serves when it begins (V2 to people) and `v2` the side that
//! follows (their V1); whoever tells a person something exchanges the words (`tell::Exchanged`). It keeps the id of the
//! run it undoes, as roles, slots, labels and networks derive from it and are the same ones; its journal has an own.

use std::sync::LazyLock;

use crate::facts::Fact;
use crate::plan::{Compose, Haproxy, Plan, SidePlan, WayPlan};
use crate::runtime::{Attachment, Container, Mount};
use crate::saga::{Line, Undo};
use crate::switchover::{Run, SWITCHOVER};
use crate::trouble::Trouble;

/// One row of its own: the tool's access was taken away when the other run settled.
static SWITCHBACK: LazyLock<Vec<Line<Run, Fact>>> = LazyLock::new(|| {
    let undo = Undo::By(|x| Box::pin(leave_again(x)));
    let mut story = vec![Line::step("meet", "Let the tool into V1 and V2 again", |x| Box::pin(meet(x)), undo)];
    let ready = SWITCHOVER.iter().position(|line| matches!(line, Line::Resting("ready")));
    story.extend(&SWITCHOVER[ready.unwrap_or_default()..]);
    story
});

pub fn story() -> &'static [Line<Run, Fact>] {
    &SWITCHBACK
}

/// The side that serves can be followed, and by replication the other one lets us in, too.
async fn meet(x: &mut Run) -> Result<Fact, Trouble> {
    let sentence = x.v1.ensure_followable().await?;
    x.v2.ensure_following().await?;
    Ok(Fact::sentence(sentence))
}

/// As the other run left it: only what the follower needs.
async fn leave_again(x: &mut Run) -> Result<(), Trouble> {
    x.v1.ensure_clean(true).await
}

/// The plan of a run that undoes another one. `serving` and `following` are the containers of the two sides now,
/// `before` is the engine's record of that run, exchanged.
pub fn plan(undone: &Plan, serving: &Container, following: &Container, before: serde_json::Value) -> Plan {
    let side = |was: &SidePlan, now: &Container, final_name: &str| SidePlan {
        container: now.name.clone(),
        id: now.id.clone(),
        final_name: final_name.to_owned(),
        ..was.clone()
    };
    Plan {
        v1: side(&undone.v2, serving, &spare_name(undone)),
        v2: side(&undone.v1, following, &serving.name),
        compose: undone.compose.as_ref().map(Compose::exchanged),
        ways: undone.ways.iter().map(|way| as_it_is_now(way, serving)).collect(),
        v1_networks: undone.v1_networks.iter().map(|on| place_now(on, serving)).collect(),
        v1_data_mounts: data_mounts(undone, serving).map(|mount| mount.destination.clone()).collect(),
        // Not made by this run, and so never emptied or removed by it (`Plan::made_v2`).
        v2_volumes: data_mounts(undone, following)
            .map(|mount| (mount.source.clone(), mount.destination.clone()))
            .collect(),
        before,
        ..undone.clone()
    }
}

/// Where a side has its data, if it is in mounts.
fn data_mounts<'a>(undone: &'a Plan, side: &'a Container) -> impl Iterator<Item = &'a Mount> {
    let holds_data = |at: &str| {
        undone.v1_data_mounts.iter().any(|there| there == at) || undone.v2_volumes.iter().any(|(_, there)| there == at)
    };
    side.mounts.iter().filter(move |mount| holds_data(&mount.destination))
}

/// The same way, with the aliases and ports of the side that serves now: it also bears its name as an alias.
fn as_it_is_now(way: &WayPlan, serving: &Container) -> WayPlan {
    match way {
        WayPlan::NetworkAlias { on } => WayPlan::NetworkAlias { on: place_now(on, serving) },
        WayPlan::PublishedPort { networks, .. } => WayPlan::PublishedPort {
            ports: serving.ports.clone(),
            networks: networks.iter().map(|on| place_now(on, serving)).collect(),
        },
        WayPlan::Haproxy(haproxy) => {
            let (v1, v2) = (haproxy.v2.clone(), haproxy.v1.clone());
            WayPlan::Haproxy(Haproxy { v1, v2, ..haproxy.clone() })
        }
        WayPlan::Pgbouncer(_) | WayPlan::Hook(_) => way.clone(),
    }
}

fn place_now(on: &Attachment, serving: &Container) -> Attachment {
    serving.networks.iter().find(|now| now.network == on.network).unwrap_or(on).clone()
}

/// What the side is called that gives the name back.
fn spare_name(undone: &Plan) -> String {
    let first = format!("{}-v1", undone.name);
    if undone.v1.final_name == first { format!("{}-v2", undone.name) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{any_plan, container};
    use crate::runtime::MountKind;

    #[test]
    fn it_goes_on_at_ready() {
        assert_eq!((story()[0].id(), story()[2].id()), (Some("meet"), Some("ready")));
        assert!(matches!(story()[1], Line::Resting("ready")));
        assert_eq!(story().last().and_then(Line::id), Some("settle"));
    }

    #[test]
    fn the_sides_are_exchanged_and_the_names_stay_bound_to_them() {
        let undone = any_plan();
        let serving = Container { id: "bb22".into(), name: "shop-db".into(), ..container() };
        let following = Container { id: "aa11".into(), name: "shop-db-v1".into(), ..container() };
        let back = plan(&undone, &serving, &following, serde_json::Value::Null);
        assert_eq!(back.run, undone.run);
        assert_eq!((back.v1.id.as_str(), back.v1.final_name.as_str()), ("bb22", "shop-db-v2"));
        assert_eq!((back.v2.id.as_str(), back.v2.final_name.as_str()), ("aa11", "shop-db"));
        assert_eq!(back.v1.image, undone.v2.image);
        // And back once more.
        let serving = Container { id: "aa11".into(), name: "shop-db".into(), ..container() };
        let following = Container { id: "bb22".into(), name: "shop-db-v2".into(), ..container() };
        let again = plan(&back, &serving, &following, serde_json::Value::Null);
        assert_eq!((again.v1.id.as_str(), again.v1.final_name.as_str()), ("aa11", "shop-db-v1"));
        assert_eq!((again.v2.id.as_str(), again.v2.final_name.as_str()), ("bb22", "shop-db"));
    }

    #[test]
    fn each_side_keeps_its_own_data() {
        let on = |source: &str| Mount {
            kind: MountKind::Volume,
            source: source.into(),
            destination: "/data".into(),
            read_only: false,
        };
        let undone = Plan { v2_volumes: vec![("new".into(), "/data".into())], ..any_plan() };
        let certificates = Mount { destination: "/tls".into(), ..on("tls") };
        let serving = Container { id: "bb22".into(), mounts: vec![on("new"), certificates], ..container() };
        let following = Container { id: "aa11".into(), mounts: vec![on("old")], ..container() };
        let back = plan(&undone, &serving, &following, serde_json::Value::Null);
        assert_eq!(back.v2_volumes, [("old".to_owned(), "/data".to_owned())], "never those of the side that serves");
        assert_eq!(back.v1_data_mounts, ["/data"]);
        assert!(!back.made_v2() && undone.made_v2());
        // Data in a container's own layer is in no mount.
        let bare = Container { mounts: Vec::new(), ..following };
        assert!(plan(&undone, &serving, &bare, serde_json::Value::Null).v2_volumes.is_empty());
    }
}
