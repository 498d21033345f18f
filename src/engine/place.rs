//! Where a side is: its container, whatever that is called by now, its data and its port.

use super::{Place, Side};
use crate::runtime::{Container, LABEL_RUN};
use crate::trouble::Trouble;

/// The container of this side, by id or by the name it bears now.
pub(in crate::engine) async fn container(place: &Place) -> Result<String, Trouble> {
    let plan = &place.plan;
    match place.side {
        Side::V1 => Ok(plan.v1.id.clone()),
        // In a switchback V2 is there already; otherwise it is made under a name that it exchanges later.
        Side::V2 if !plan.v2.id.is_empty() => Ok(plan.v2.id.clone()),
        Side::V2 => Ok(found(place).await?.id),
    }
}

/// What the engine says of this side's container now.
pub(in crate::engine) async fn found(place: &Place) -> Result<Container, Trouble> {
    look(place).await?.ok_or_else(|| gone(place))
}

async fn look(place: &Place) -> Result<Option<Container>, Trouble> {
    let plan = &place.plan;
    let known = match place.side {
        Side::V1 => &plan.v1.id,
        Side::V2 => &plan.v2.id,
    };
    if !known.is_empty() {
        return place.runtime.container(known).await;
    }
    for name in [&plan.v2.container, &plan.v2.final_name] {
        if let Some(found) = place.runtime.container(name).await?
            && found.labels.get(LABEL_RUN) == Some(&plan.run)
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Its container was removed, by somebody else than the run.
pub(in crate::engine) async fn is_gone(place: &Place) -> Result<bool, Trouble> {
    Ok(look(place).await?.is_none())
}

fn gone(place: &Place) -> Trouble {
    let name = match place.side {
        Side::V1 => &place.plan.v1.container,
        Side::V2 => &place.plan.v2.container,
    };
    Trouble::failed(format!("{}'s container {name} is gone", place.side))
        .hint("`switchover abort` tidies up what the run has left; then run again")
}

pub(in crate::engine) fn port(place: &Place) -> u16 {
    match place.side {
        Side::V1 => place.plan.v1.port,
        Side::V2 => place.plan.v2.port,
    }
}

/// Where this side keeps its data, inside its container.
pub(in crate::engine) fn data(place: &Place) -> &str {
    match place.side {
        Side::V1 => &place.plan.v1.data,
        Side::V2 => &place.plan.v2.data,
    }
}

/// Nobody but its own server works on a data directory: whoever changes one from outside asks this first.
pub(in crate::engine) fn refuse_shared(other: &Container, mounts: &[(String, String, bool)]) -> Result<(), Trouble> {
    match mounts.iter().find(|(source, ..)| other.mounts.iter().any(|theirs| theirs.source == *source)) {
        None => Ok(()),
        Some((source, ..)) => {
            Err(Trouble::person(format!("{source} is mounted by {}, too: its data is left alone", other.name)))
        }
    }
}
