//! The fence that outlasts a restart. No setting of a running MariaDB does, and its root passes `read_only`: so a V1 that has
//! ended is not started by the engine, and a V1 that somebody starts all the same listens to nobody.

use std::time::Duration;

use futures_util::future::try_join;

use super::option_file::{self, Role};
use crate::engine::Place;
use crate::engine::mysql_family::{connect, running};
use crate::engine::mysql_wire::session::code_of;
use crate::runtime::State;
use crate::trouble::Trouble;

/// A server that was just started.
const STOP_WITHIN: Duration = Duration::from_secs(120);

/// Both at once: the engine writes its own part to disk before it answers.
pub(super) async fn ensure(place: &Place) -> Result<(), Trouble> {
    let container = connect::container(place).await?;
    let policy = place.runtime.ensure_restart_policy(&container, "no");
    try_join(policy, option_file::ensure(place, Role::Fenced)).await.map(drop)
}

/// V1's container is as it was made. What it runs with goes on.
pub(super) async fn ensure_lifted(place: &Place) -> Result<(), Trouble> {
    option_file::ensure(place, Role::Leads).await?;
    place.runtime.ensure_restart_policy(&connect::container(place).await?, &place.plan.v1_restart_policy).await
}

/// A V1 that ended while any half of the fence was on it, or was started with it, is started without.
pub(super) async fn ensure_started_without(place: &Place) -> Result<(), Trouble> {
    let kept_down = connect::found(place).await?.restart_policy != place.plan.v1_restart_policy;
    let fenced = option_file::is_fenced(place).await?;
    if fenced || kept_down {
        // Before it is lifted: a tool that dies in between must find again that the fence was there.
        option_file::ensure(place, Role::Leads).await?;
        ensure_reachable(place).await?;
    }
    ensure_lifted(place).await
}

/// Its file is that of a follower. One that was kept from everybody, and has started so, is started anew.
pub(super) async fn ensure_follower(place: &Place) -> Result<(), Trouble> {
    let fenced = option_file::is_fenced(place).await?;
    option_file::ensure(place, Role::Follows).await?;
    if fenced { ensure_reachable(place).await } else { Ok(()) }
}

/// Its file says that it listens: one that was started before does not.
async fn ensure_reachable(place: &Place) -> Result<(), Trouble> {
    let found = connect::found(place).await?;
    if found.state != State::Running {
        return place.runtime.ensure_started(&found.id).await;
    }
    match connect::either(place, running::timeouts(place)).await {
        // It answers, whatever it says.
        Err(trouble) if code_of(&trouble).is_none() => {
            place.runtime.ensure_restarted(&found.id, &found.started_at, STOP_WITHIN).await
        }
        _ => Ok(()),
    }
}
