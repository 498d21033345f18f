//! A side's container made anew on the same data: labels cannot be changed on one that exists, and by its labels compose knows its
//! service.
//!
//! The new one is found by whatever the plan calls the old one (`LABEL_CONTAINER`), so that nobody else notices.

use crate::engine::Side;
use crate::plan::COMPOSE_LABELS;
use crate::run::Run;
use crate::runtime::{Container, Labels, MountKind, Recipe};
use crate::trouble::Trouble;

/// The side's container bears these labels of compose's, and no other ones; stopped, if it had to be made. On the private network
/// only. V1 is fenced for good by then, V2 follows.
pub(crate) async fn ensure_labelled(x: &Run, side: Side, compose: &Labels) -> Result<(), Trouble> {
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
