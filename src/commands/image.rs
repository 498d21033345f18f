//! Which image V2 is made from: what the configuration says, as the engine has it or as the registry does.

use super::invocation::Invocation;
use crate::config::{self, Limits, Pull, Within};
use crate::engine::ENGINES;
use crate::plan::{self, Now, Plan, Version};
use crate::runtime::{Image, LABEL_RUN, LABEL_SIDE, Reference, Runtime};
use crate::standing::Standing;
use crate::target::{self, Target};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// As it was said, or with the tag that is picked within the bounds.
pub(super) async fn reference(typed: &Invocation, runtime: &dyn Runtime, target: &Target) -> Result<String, Trouble> {
    let said = typed.image()?;
    match typed.config.v2.within {
        None => Ok(said.to_owned()),
        Some(within) => picked(typed, runtime, target, within).await,
    }
}

/// Either bounds or a tag.
pub(super) fn refuse_both(v2: &config::V2) -> Result<(), Trouble> {
    let (Some(_), Some(image)) = (v2.within, &v2.image) else { return Ok(()) };
    match Reference::of(image) {
        Reference { tag: None, digest: None, .. } => Ok(()),
        Reference { name, .. } => {
            Err(Trouble::usage(format!("v2.within picks the tag, and v2.image says one: {image}"))
                .hint(format!("`v2: {{ image: \"{name}\", within: minor }}`; or leave `within` out")))
        }
    }
}

/// For a run: here afterwards, and with `v2.pull: always` what the registry has now.
pub(super) async fn have(typed: &Invocation, runtime: &dyn Runtime, target: &Target) -> Result<Image, Trouble> {
    let reference = reference(typed, runtime, target).await?;
    let limit = Limit { name: "limits.total", value: typed.config.limits.over(&Limits::default())?.total.0 };
    match typed.config.v2.pull {
        Pull::Missing => wait::within(limit, "the pull", runtime.ensure_image(&reference)).await,
        Pull::Always => match wait::within(limit, "the pull", runtime.ensure_newest_image(&reference)).await {
            Ok(image) => Ok(image),
            Err(trouble) => Err(what_is_here(runtime, &reference, trouble).await),
        },
    }
}

/// Whether V1 runs what a run would move to.
pub(super) enum Seen {
    /// It does, under this reference.
    Runs(String),
    /// Why it does not.
    Another(String),
}

/// Looks only, pulls nothing.
pub(super) async fn look(typed: &Invocation, runtime: &dyn Runtime, target: &Target) -> Result<Seen, Trouble> {
    let reference = reference(typed, runtime, target).await?;
    let v1_image = &target.container.image_id;
    if let Some(digest) = asked_for(typed, runtime, &reference).await? {
        let known = runtime.image(v1_image).await?.is_some_and(|image| image.is_known_as(&digest));
        return Ok(match known {
            true => Seen::Runs(reference),
            false => Seen::Another(format!("the registry has another image under {reference}: {digest}")),
        });
    }
    Ok(match runtime.image(&reference).await? {
        Some(image) if image.id == *v1_image => Seen::Runs(reference),
        Some(_) => Seen::Another(format!("it runs another image than {reference}")),
        None => Seen::Another(format!("{reference} is not here, so it is not what runs")),
    })
}

/// What the registry has under the reference, where it is to be asked.
pub(super) async fn asked_for(
    typed: &Invocation,
    runtime: &dyn Runtime,
    reference: &str,
) -> Result<Option<String>, Trouble> {
    match typed.config.v2.pull {
        Pull::Missing => Ok(None),
        Pull::Always => match runtime.registry_digest(reference).await {
            Ok(digest) => Ok(digest),
            Err(trouble) => Err(what_is_here(runtime, reference, trouble).await),
        },
    }
}

/// Nothing is taken instead of what the registry has: the owner wants the newest, and the one that is here may be any.
async fn what_is_here(runtime: &dyn Runtime, reference: &str, trouble: Trouble) -> Trouble {
    match runtime.image(reference).await {
        Ok(Some(image)) => trouble.hint(format!(
            "one is here under that name, of an earlier pull, and is not used: {}; `v2: {{ pull: missing }}` takes it",
            image.digest().unwrap_or(&image.id)
        )),
        Ok(None) => trouble.hint(format!("no {reference} is here, either")),
        Err(_) => trouble,
    }
}

/// A run that is under way is to the image that is wanted. The tag it was begun with may have moved since, and with bounds
/// another may be picked now: it goes on with what it has, and the next run is to the newer one.
pub(super) async fn refuse_another(typed: &Invocation, plan: &Plan) -> Result<(), Trouble> {
    let Some(wanted) = typed.config.v2.image.as_deref() else { return Ok(()) };
    let same_repository = || Reference::of(wanted).repository() == Reference::of(&plan.v2.image).repository();
    if wanted == plan.v2.image || typed.config.v2.within.is_some() && same_repository() {
        return Ok(());
    }
    let image = typed.runtime().await?.image(wanted).await?;
    if image.is_some_and(|image| image.id == plan.v2.image_id) {
        return Ok(());
    }
    let name = &plan.name;
    Err(Trouble::refused(format!("a run of {name} to {} is under way, not to {wanted}", plan.v2.image))
        .hint(format!("`switchover abort --container {name}` turns it back; `resume` goes on with it")))
}

async fn picked(typed: &Invocation, runtime: &dyn Runtime, target: &Target, within: Within) -> Result<String, Trouble> {
    let name = typed.image()?;
    let now = now(typed, runtime, target).await?;
    let (tags, whose) = match typed.config.v2.pull {
        Pull::Missing => (runtime.tags(name).await?, "that the engine has"),
        Pull::Always => (runtime.registry_tags(name).await?, "in the registry"),
    };
    match plan::pick(&now, within, tags.iter().map(String::as_str)) {
        Some(tag) => Ok(format!("{name}:{tag}")),
        None => Err(none_fits(name, &now, whose, &tags)),
    }
}

fn none_fits(name: &str, now: &Now, whose: &str, tags: &[String]) -> Trouble {
    let like = format!("{}{}", now.version.text(), now.suffix);
    let what = format!("no tag of {name} {whose} is within the bounds (v2.within): V1 is {like}");
    let shown = tags.iter().rev().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tags {
        [] => Trouble::refused(what).hint(format!("there is none at all; `docker pull {name}:TAG`, or `pull: always`")),
        _ => Trouble::refused(what).hint(format!("there are: {shown}{}", if tags.len() > 12 { ", …" } else { "" })),
    }
}

/// What V1 runs: the version is that of its image, what stands behind it is in the tag it was made from.
async fn now(typed: &Invocation, runtime: &dyn Runtime, target: &Target) -> Result<Now, Trouble> {
    let image = runtime.image(&target.container.image_id).await?;
    let engine = image.as_ref().and_then(|image| ENGINES.iter().find(|engine| engine.recognises(image)));
    let tag = tag_of_v1(typed, target);
    let said = image.as_ref().zip(engine).and_then(|(image, engine)| engine.version_of(image));
    let version = said.and_then(Version::read).or_else(|| tag.as_deref().and_then(Version::read));
    let (Some(version), Some(engine)) = (version, engine) else {
        return Err(Trouble::refused(format!("the image of {} does not say its version", target.container.name))
            .hint("name a tag in v2.image, without `within`"));
    };
    let series = engine.series(version.first());
    Ok(Now { version, series, suffix: tag.as_deref().map(plan::suffix).unwrap_or_default() })
}

/// The engine only knows an id of a container that a run of ours has made: what it was made from is in that run's journal.
fn tag_of_v1(typed: &Invocation, target: &Target) -> Option<String> {
    let container = &target.container;
    // One that was only made anew is still of the image that it was made from first.
    let is_v2 = container.labels.get(LABEL_SIDE).is_some_and(|side| side == "V2");
    let ours = container.labels.get(LABEL_RUN).filter(|_| is_v2).zip(target::belongs_to(container));
    let made_from = ours.and_then(|(run, name)| {
        let standing = Standing::of(&typed.state.run(name, run).read().ok()?).ok()?;
        Some(standing.order.plan.v2.image)
    });
    let said = made_from.unwrap_or_else(|| container.image.clone());
    // An id is no name.
    if said.starts_with("sha256:") { None } else { Reference::of(&said).tag.map(str::to_owned) }
}
