//! V1 is a service of a compose project: V2 becomes it, and V1's container is none of compose's in the end.
//!
//! By its labels compose knows a container, and labels cannot be changed on one that exists: so a side's container is made anew on
//! the same data. The new one is found by whatever the plan calls the old one (`LABEL_CONTAINER`), so that nobody else notices.

use crate::engine::Side;
use crate::plan::COMPOSE_LABELS;
use crate::run::{Run, unless_v1_is_gone};
use crate::runtime::{Container, Labels, MountKind, Recipe};
use crate::trouble::Trouble;

const NO_SERVICE: &str = "V1 was not named by a compose file";

/// The file is guarded, as from here on compose takes both containers for the service.
pub(crate) async fn ensure_claimed(x: &Run) -> Result<String, Trouble> {
    let Some(service) = &x.service else { return Ok(NO_SERVICE.to_owned()) };
    service.ensure_guarded().await?;
    ensure_labelled(x, Side::V2, service.labels_after()).await?;
    x.v2.ensure_following().await?;
    Ok("V2 is the service's container to compose, whose file lets no command pass until it names V2".to_owned())
}

/// V2 is none of compose's before its commands run again.
pub(crate) async fn ensure_unclaimed(x: &Run) -> Result<(), Trouble> {
    let Some(service) = &x.service else { return Ok(()) };
    if x.runtime.container(x.plan.v2.handle()).await?.is_some() {
        ensure_labelled(x, Side::V2, &Labels::new()).await?;
    }
    service.ensure_as_before()?;
    // One that the run made goes anyway, on the way to nothing.
    if x.to_nothing && x.plan.made_v2() { Ok(()) } else { x.v2.ensure_following().await.map(drop) }
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
    let gone = || Trouble::failed(format!("{side}'s container {} is gone", planned.container));
    let old = runtime.container(planned.handle()).await?.ok_or_else(gone)?;
    // While the new one is made both exist.
    let (name, next) = names(&old.name);
    if is_labelled(&old, compose) {
        runtime
            .ensure_no_container(&next, &x.plan.run)
            .await
            .or_else(|trouble| if old.name == next { Ok(()) } else { Err(trouble) })?;
        return runtime.ensure_named(&old.id, &name).await;
    }
    match side {
        Side::V1 => server.ensure_ended().await?,
        Side::V2 => server.ensure_not_following().await?,
    }
    let mut labels = x.plan.labels(&side.to_string());
    labels.extend(compose.clone());
    // Of a process that died after it had other labels in mind.
    runtime.ensure_no_container(&next, &x.plan.run).await?;
    let recipe = Recipe {
        name: next,
        handle: Some(planned.handle().to_owned()),
        like: old.id.clone(),
        image: old.image_id.clone(),
        volumes: nameless_volumes(&old),
        leave_out: Vec::new(),
        network: x.plan.private_network.clone(),
        labels,
    };
    let made = runtime.ensure_created(&recipe).await?;
    for path in server.files_of_its_container()? {
        if let Some(file) = runtime.file(&old.id, &path).await? {
            runtime.put_file(&made.id, &file).await?;
        }
    }
    // Its volumes stay, also those without a name.
    runtime.ensure_retired(&old.id).await?;
    runtime.ensure_named(&made.id, &name).await
}

/// The name it keeps, and the one it has while it is made.
fn names(now: &str) -> (String, String) {
    let name = now.strip_suffix("-next").unwrap_or(now);
    (name.to_owned(), format!("{name}-next"))
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
    fn a_name_comes_back_after_a_crash_in_between() {
        assert_eq!(names("shop-db-1"), ("shop-db-1".into(), "shop-db-1-next".into()));
        assert_eq!(names("shop-db-1-next"), ("shop-db-1".into(), "shop-db-1-next".into()));
    }

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
