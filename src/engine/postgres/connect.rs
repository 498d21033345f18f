//! Getting in: as the tool's own role, over the private network or a tunnel, never through the clients' address.

use super::names;
use super::session::{Login, Session, Timeouts};
use crate::engine::{Place, Side};
use crate::runtime::{LABEL_RUN, Stream};
use crate::trouble::Trouble;

/// Every session of ours is in this database: advisory locks belong to one.
pub(super) const DATABASE: &str = "postgres";

/// The container of this side, by id or by the name it bears now.
pub(super) async fn container(place: &Place) -> Result<String, Trouble> {
    let plan = &place.plan;
    if place.side == Side::V1 {
        return Ok(plan.v1.id.clone());
    }
    for name in [&plan.v2.container, &plan.v2.final_name] {
        if let Some(found) = place.runtime.container(name).await? {
            if found.labels.get(LABEL_RUN) == Some(&plan.run) {
                return Ok(found.id);
            }
        }
    }
    Err(Trouble::failed(format!("V2's container {} is gone", plan.v2.container)))
}

pub(super) async fn stream(place: &Place) -> Result<Box<dyn Stream>, Trouble> {
    let container = container(place).await?;
    let port = if place.side == Side::V1 { place.plan.v1.port } else { place.plan.v2.port };
    place.runtime.dial(&container, &place.plan.private_network, port).await
}

/// A session of the tool's own role.
pub(super) async fn admin(place: &Place, application: &str, timeouts: Timeouts) -> Result<Session, Trouble> {
    let password = place.secrets.secret("postgres-admin")?;
    let login = Login { user: &names::admin(&place.plan), password: Some(&password), database: DATABASE, application };
    Session::open(stream(place).await?, &login, timeouts).await
}
