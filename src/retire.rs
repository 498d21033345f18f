//! Retiring the side that no client is on any more: its own small story. Nothing is removed that was not said yes to.
//!
//! In its plan `v1` is the side that goes and `v2` the one that serves: after a switchover as people call them, after
//! a switchback the other way round. Every act may be repeated with the same effect.

use std::rc::Rc;
use std::time::Duration;

use crate::clients::ClientsWay;
use crate::engine::{Server, Side};
use crate::facts::{Fact, Facts};
use crate::plan::Plan;
use crate::runtime::{Container, MountKind, Runtime};
use crate::saga::{Context, Line, Undo};
use crate::tell::Teller;
use crate::trouble::Trouble;

macro_rules! act {
    ($function:ident) => {
        |x| Box::pin($function(x))
    };
}

#[rustfmt::skip]
pub const RETIRE: &[Line<Retirement, Fact>] = &[
    Line::step("check",  "See that nobody uses V1",                  act!(check),       Undo::Nothing),
    Line::PointOfNoReturn,
    Line::step("part",   "Stop V1, and take its traces off V2",      act!(part),        Undo::Nothing),
    Line::step("remove", "Remove V1's container",                    act!(remove),      Undo::Nothing),
    Line::step("data",   "Remove V1's data, if that was said",       act!(remove_data), Undo::Nothing),
    Line::step("tidy",   "Remove the private network",               act!(tidy),        Undo::Nothing),
];

pub struct Retirement {
    pub plan: Rc<Plan>,
    pub facts: Facts,
    /// The side that serves.
    pub v2: Box<dyn Server>,
    pub ways: Vec<Box<dyn ClientsWay>>,
    pub runtime: Rc<dyn Runtime>,
    pub tell: Teller,
    /// The owner's separate yes.
    pub remove_data: bool,
    /// What an earlier retirement found, which left the data.
    pub known: Option<Fact>,
}

impl Context<Fact> for Retirement {
    fn done(&mut self, step: &str, fact: &Fact) {
        self.facts.note(step, fact.clone());
    }
    fn undone(&mut self, step: &str) {
        self.facts.forget(step);
    }
    fn attempt(&mut self, _: u32) {}
    fn tell(&self) -> &Teller {
        &self.tell
    }
    fn sentence(fact: &Fact) -> String {
        fact.to_string()
    }
}

/// Every client is on V2, V2 serves, and we know what holds V1's data.
pub async fn check(x: &mut Retirement) -> Result<Fact, Trouble> {
    for way in &x.ways {
        match way.pointing_at().await? {
            Some(Side::V2) => {}
            Some(Side::V1) => return Err(Trouble::refused(format!("clients are on V1: {}", way.describe()))),
            None => {
                let hint = "`switchover status` shows where everyone stands";
                return Err(Trouble::refused(format!("it cannot be said where {} points", way.describe())).hint(hint));
            }
        }
    }
    let serving = x.v2.state().await;
    if serving.writable != Some(true) {
        let why = serving.note.unwrap_or_else(|| "it takes no writes".to_owned());
        return Err(Trouble::refused("V2 does not serve: V1 may be needed yet").because(Trouble::failed(why)));
    }
    let Some(v1) = x.runtime.container(&x.plan.v1.id).await? else {
        return Ok(x.known.clone().unwrap_or(Fact::Retiring { volumes: Vec::new(), directories: Vec::new() }));
    };
    let v2 = x.runtime.container(x.plan.v2.handle()).await?;
    Ok(holds_data(&x.plan, &v1, v2.as_ref()))
}

/// What of V1's mounts is data, and not mounted by V2 as well.
fn holds_data(plan: &Plan, v1: &Container, v2: Option<&Container>) -> Fact {
    let is_data =
        |at: &String| plan.v1_data_mounts.contains(at) || plan.v2_volumes.iter().any(|(_, there)| there == at);
    let shared = |source: &String| v2.is_some_and(|v2| v2.mounts.iter().any(|mount| mount.source == *source));
    let data: Vec<_> = v1.mounts.iter().filter(|mount| is_data(&mount.destination) && !shared(&mount.source)).collect();
    let of = |kinds: &[MountKind]| {
        data.iter().filter(|mount| kinds.contains(&mount.kind)).map(|mount| mount.source.clone()).collect()
    };
    Fact::Retiring {
        volumes: of(&[MountKind::Volume, MountKind::AnonymousVolume]),
        directories: of(&[MountKind::Bind]),
    }
}

/// V1 runs no more, and V2 keeps nothing for it.
async fn part(x: &mut Retirement) -> Result<Fact, Trouble> {
    if let Some(v1) = x.runtime.container(&x.plan.v1.id).await? {
        let signal = if v1.stop_signal.is_empty() { "SIGTERM" } else { &v1.stop_signal };
        x.runtime.ensure_stopped(&v1.id, signal, Duration::from_secs(60)).await?;
    }
    x.v2.ensure_clean(false).await?;
    Ok(Fact::sentence("V1 is stopped; V2 keeps nothing for it any more"))
}

/// V1's container is gone; its volumes are not.
async fn remove(x: &mut Retirement) -> Result<Fact, Trouble> {
    // One that was made anew has another id than the plan says.
    if let Some(v1) = x.runtime.container(&x.plan.v1.id).await? {
        x.runtime.ensure_retired(&v1.id).await?;
    }
    Ok(Fact::sentence("V1's container is removed"))
}

/// V1's data is gone if that was said, else its place is told.
async fn remove_data(x: &mut Retirement) -> Result<Fact, Trouble> {
    let (volumes, directories) = match x.facts.of("check") {
        Some(Fact::Retiring { volumes, directories }) => (volumes.clone(), directories.clone()),
        _ => return Err(Trouble::bug("it is not known what held V1's data")),
    };
    for directory in &directories {
        x.tell.warning(format!("the directory {directory} of the host holds V1's data and is left where it is"));
    }
    if !x.remove_data {
        return Ok(Fact::sentence(match &volumes[..] {
            [] => "there is no volume with V1's data".to_owned(),
            kept => format!("V1's data is kept, in {}", kept.join(", ")),
        }));
    }
    for volume in &volumes {
        x.runtime.ensure_volume_retired(volume).await?;
    }
    Ok(Fact::sentence(match &volumes[..] {
        [] => "there was no volume with V1's data".to_owned(),
        gone => format!("V1's data is removed: {}", gone.join(", ")),
    }))
}

/// Nothing of the run is left but V2.
async fn tidy(x: &mut Retirement) -> Result<Fact, Trouble> {
    x.runtime.ensure_left(x.plan.v2.handle(), &x.plan.private_network).await?;
    x.runtime.ensure_no_network(&x.plan.private_network, &x.plan.run).await?;
    Ok(Fact::sentence("the private network is removed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{any_plan, container};
    use crate::runtime::Mount;

    #[test]
    fn only_what_held_v1s_data_goes_and_nothing_v2_uses() {
        let mount = |kind, source: &str, destination: &str| Mount {
            kind,
            source: source.into(),
            destination: destination.into(),
            read_only: false,
        };
        let plan = Plan { v1_data_mounts: vec!["/data".into(), "/ts".into(), "/wal".into()], ..any_plan() };
        let v1 = Container {
            mounts: vec![
                mount(MountKind::Volume, "old", "/data"),
                mount(MountKind::Bind, "/srv/ts", "/ts"),
                mount(MountKind::Volume, "both", "/wal"),
                mount(MountKind::Volume, "backups", "/backups"),
            ],
            ..container()
        };
        let v2 = Container { mounts: vec![mount(MountKind::Volume, "both", "/elsewhere")], ..container() };
        let expected = Fact::Retiring { volumes: vec!["old".into()], directories: vec!["/srv/ts".into()] };
        assert_eq!(holds_data(&plan, &v1, Some(&v2)), expected);
    }
}
