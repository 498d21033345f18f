//! V1 is a service of a compose project: V2 becomes it, and V1's container is none of compose's in the end.
//!
//! By its labels compose knows a container, and labels cannot be changed on one that exists: so a side's container is made anew on
//! the same data. The new one is found by whatever the plan calls the old one (`LABEL_CONTAINER`), so that nobody else notices.

use std::time::Duration;

use crate::engine::Side;
use crate::plan::{COMPOSE_LABELS, SidePlan};
use crate::run::{Run, unless_v1_is_gone};
use crate::runtime::{Container, Labels, Mount, MountKind, Recipe, State};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const NO_SERVICE: &str = "V1 was not named by a compose file";

/// The file is guarded, as from here on compose takes both containers for the service.
pub(crate) async fn ensure_claimed(x: &Run) -> Result<String, Trouble> {
    let Some(service) = &x.service else { return Ok(NO_SERVICE.to_owned()) };
    service.ensure_guarded().await?;
    ensure_labelled(x, Side::V2, service.labels_after()).await?;
    x.v2.ensure_following().await?;
    // Its server is another one, whose cache is cold.
    x.v2.polish().await?;
    Ok("V2 is the service's container to compose, whose file lets no command pass until it names V2".to_owned())
}

/// V2 is none of compose's before its commands run again.
pub(crate) async fn ensure_unclaimed(x: &Run) -> Result<(), Trouble> {
    let Some(service) = &x.service else { return Ok(()) };
    let v2 = x.plan.v2.handle();
    if x.to_nothing && x.plan.made_v2() {
        // It goes anyway, by the steps before; with it one that was to take its place, which compose takes for the service as well.
        x.runtime.ensure_no_container(&next(&x.plan.v2.container, x), &x.plan.run).await?;
        x.runtime.ensure_no_container(v2, &x.plan.run).await?;
        return service.ensure_as_before();
    }
    if x.runtime.container(v2).await?.is_some() {
        ensure_labelled(x, Side::V2, &Labels::new()).await?;
    }
    service.ensure_as_before()?;
    match x.v2.ensure_following().await {
        Err(trouble) if x.to_nothing => {
            x.tell.warning(format!("V2 does not follow any more: {}", trouble.one_line()));
            Ok(())
        }
        followed => followed.map(drop),
    }
}

/// V1's container first: two that compose takes for the service must not be there when its commands run again.
pub(crate) async fn ensure_handed_over(x: &mut Run) -> Result<String, Trouble> {
    if x.service.is_none() {
        return Ok(NO_SERVICE.to_owned());
    }
    // Its sessions end with V1's container.
    x.window = None;
    unless_v1_is_gone(x, ensure_labelled(x, Side::V1, &Labels::new()).await).await?;
    if let Some(service) = &x.service {
        service.ensure_names_v2().await?;
    }
    Ok("the compose file names V2, and `docker compose up -d` changes nothing".to_owned())
}

/// The side's container bears these labels of compose's, and no other ones; stopped, if it had to be made. On the private network
/// only. V1 is fenced for good by then, V2 follows.
async fn ensure_labelled(x: &Run, side: Side, compose: &Labels) -> Result<(), Trouble> {
    let (server, planned) = match side {
        Side::V1 => (&x.v1, &x.plan.v1),
        Side::V2 => (&x.v2, &x.plan.v2),
    };
    let runtime = &x.runtime;
    let mut old = settled(x, side, planned).await?;
    // While the new one is made both exist: it has this name until the old one is gone, and is the side from then on.
    if let Some(name) = old.name.strip_suffix(&next("", x)) {
        let name = name.to_owned();
        runtime.ensure_named(&old.id, &name).await?;
        old.name = name;
    }
    let next = next(&old.name, x);
    // Of a process that died before it had taken the old one's place.
    runtime.ensure_no_container(&next, &x.plan.run).await?;
    if is_labelled(&old, compose) {
        return Ok(());
    }
    match side {
        Side::V1 => server.ensure_ended().await?,
        Side::V2 => server.ensure_not_following().await?,
    }
    let made = made_anew(x, side, &old, next, compose).await?;
    for path in server.files_of_its_container()? {
        if let Some(file) = runtime.file(&old.id, &path).await? {
            runtime.put_file(&made.id, &file).await?;
        }
    }
    // Its volumes stay, also those without a name.
    runtime.ensure_retired(&old.id).await?;
    settled(x, side, planned).await?;
    runtime.ensure_named(&made.id, &old.name).await
}

/// What the one is called that takes the place of a container of this name.
fn next(name: &str, x: &Run) -> String {
    format!("{name}-next-{}", x.plan.tag())
}

/// The side's container. One that the engine is about to remove is none, and hides the one that took its place until it is gone.
async fn settled(x: &Run, side: Side, planned: &SidePlan) -> Result<Container, Trouble> {
    let wait = Wait {
        what: "the engine to remove a container",
        limit: Limit { name: "a minute", value: Duration::from_secs(60) },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    wait::until(wait, &x.tell, async || match x.runtime.container(planned.handle()).await? {
        Some(found) if found.state == State::Dead => Ok(Look::NotYet(format!("{} is being removed", found.name))),
        Some(found) => Ok(Look::Done(found)),
        None => Err(Trouble::failed(format!("{side}'s container {} is gone", planned.container))),
    })
    .await
}

/// With every mount that the old one has, which is what it may be removed for.
async fn made_anew(x: &Run, side: Side, old: &Container, name: String, compose: &Labels) -> Result<Container, Trouble> {
    let planned = if side == Side::V1 { &x.plan.v1 } else { &x.plan.v2 };
    let mut labels = x.plan.labels(&side.to_string());
    labels.extend(compose.clone());
    let recipe = Recipe {
        name,
        in_place_of: Some(planned.handle().to_owned()),
        like: old.id.clone(),
        image: old.image_id.clone(),
        volumes: nameless_volumes(old),
        leave_out: Vec::new(),
        network: x.plan.private_network.clone(),
        labels,
    };
    let made = x.runtime.ensure_created(&recipe).await?;
    let lacks = |mount: &&Mount| {
        !made.mounts.iter().any(|there| (&there.source, &there.destination) == (&mount.source, &mount.destination))
    };
    match old.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs).find(lacks) {
        None => Ok(made),
        Some(mount) => Err(Trouble::failed(format!(
            "{side}'s container cannot be made anew: it would lack what is mounted at {}",
            mount.destination
        ))),
    }
}

fn is_labelled(container: &Container, compose: &Labels) -> bool {
    let theirs = container.labels.iter().filter(|(key, _)| key.starts_with(COMPOSE_LABELS));
    theirs.eq(compose.iter())
}

/// The engine would make new ones in their places.
fn nameless_volumes(of: &Container) -> Vec<(String, String)> {
    let nameless = of.mounts.iter().filter(|mount| mount.kind == MountKind::AnonymousVolume);
    nameless.map(|mount| (mount.source.clone(), mount.destination.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::container;

    #[test]
    fn only_composes_labels_are_compared() {
        let labels =
            |all: &[(&str, &str)]| all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Labels>();
        let service = ("com.docker.compose.service", "db");
        let of = Container { labels: labels(&[service, ("switchover.run", "r"), ("mine", "1")]), ..container() };
        assert!(is_labelled(&of, &labels(&[service])));
        assert!(
            !is_labelled(&of, &labels(&[]))
                && !is_labelled(&of, &labels(&[service, ("com.docker.compose.oneoff", "False")]))
        );
    }
}
