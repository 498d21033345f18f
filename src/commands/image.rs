//! Which image V2 is made from: what the configuration says, as the engine has it or as the registry does.

use super::invocation::Invocation;
use crate::config::{Limits, Pull};
use crate::runtime::{Image, Runtime};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// For a run: here afterwards, and with `v2.pull: always` what the registry has now.
pub(super) async fn have(typed: &Invocation, runtime: &dyn Runtime) -> Result<Image, Trouble> {
    let reference = typed.image()?;
    let limit = Limit { name: "limits.total", value: typed.config.limits.over(&Limits::default())?.total.0 };
    match typed.config.v2.pull {
        Pull::Missing => wait::within(limit, "the pull", runtime.ensure_image(reference)).await,
        Pull::Always => match wait::within(limit, "the pull", runtime.ensure_newest_image(reference)).await {
            Ok(image) => Ok(image),
            Err(trouble) => Err(what_is_here(runtime, reference, trouble).await),
        },
    }
}

/// Whether V1, made of `v1_image`, runs what a run would move to. Looks only, pulls nothing.
pub(super) enum Seen {
    /// It does, under this reference.
    Runs(String),
    /// Why it does not.
    Another(String),
}

pub(super) async fn look(typed: &Invocation, runtime: &dyn Runtime, v1_image: &str) -> Result<Seen, Trouble> {
    let reference = typed.image()?;
    if let Some(digest) = asked_for(typed, runtime, reference).await? {
        let known = runtime.image(v1_image).await?.is_some_and(|image| image.is_known_as(&digest));
        return Ok(match known {
            true => Seen::Runs(reference.to_owned()),
            false => Seen::Another(format!("the registry has another image under {reference}: {digest}")),
        });
    }
    Ok(match runtime.image(reference).await? {
        Some(image) if image.id == v1_image => Seen::Runs(image.reference),
        Some(_) => Seen::Another("it runs another image".to_owned()),
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
