//! V1's container can be made anew under a run that rests, by somebody's `docker compose up`: another id, the same name,
//! the same data, and in them what the run has left there. Whoever puts V1 back finds it there.

use std::rc::Rc;

use super::{access, connect};
use crate::engine::{Place, Side};
use crate::plan::Plan;
use crate::runtime::{Attachment, Container, LABEL_RUN, State};
use crate::trouble::Trouble;

/// The place where V1 is now. `None`: it is nowhere, so there is nothing to put back; said as a warning.
pub(super) async fn of_v1(place: &Place) -> Result<Option<Place>, Trouble> {
    if place.side != Side::V1 || place.runtime.container(&place.plan.v1.id).await?.is_some() {
        return Ok(Some(place.clone()));
    }
    let name = &place.plan.v1.container;
    let Some(found) = place.runtime.container(name).await?.filter(|found| is_strange(found, &place.plan)) else {
        place.tell.warning(format!(
            "V1's container {name} is gone; where its data live on, roles, a slot and rules of the run are in them"
        ));
        return Ok(None);
    };
    let v1 = crate::plan::SidePlan { id: found.id.clone(), ..place.plan.v1.clone() };
    let now = Place { plan: Rc::new(Plan { v1, ..(*place.plan).clone() }), ..place.clone() };
    if !holds_our_lines(&now, &found).await? {
        place.tell.warning(format!("V1's container {name} was made anew, and nothing of the run is in its data"));
        place.runtime.ensure_left(&found.id, &place.plan.private_network).await?;
        return Ok(None);
    }
    if found.state != State::Running {
        return Err(Trouble::failed(format!("V1's container {name} was made anew and does not run"))
            .hint(format!("docker start {name}")));
    }
    let network = place.plan.private_network.clone();
    place.runtime.ensure_joined(&found.id, &Attachment { network, ..Attachment::default() }).await?;
    Ok(Some(now))
}

/// Not of this run: V2 may bear the name by now.
fn is_strange(found: &Container, plan: &Plan) -> bool {
    found.labels.get(LABEL_RUN) != Some(&plan.run)
}

async fn holds_our_lines(now: &Place, found: &Container) -> Result<bool, Trouble> {
    let path = format!("{}/pg_hba.conf", connect::data(now).trim_end_matches('/'));
    let rules = now.runtime.read_file(&found.id, &path).await?.unwrap_or_default();
    Ok(access::is_marked(&String::from_utf8_lossy(&rules), &now.plan))
}
