//! Whatever is left to apply when V1 is fenced, clients wait for: so the window begins when next to nothing is.

use std::time::Duration;

use crate::engine::Place;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// What V2 may take to apply V1's last write, at the moment the window is about to begin.
const NEAR: Duration = Duration::from_millis(10);

/// `now`: where the leader is; `has`: whether the follower has that; `in_vain`: an error where it never will.
pub(in crate::engine) async fn until_near<P>(
    place: &Place,
    now: impl AsyncFn() -> Result<P, Trouble>,
    has: impl AsyncFn(&P) -> Result<bool, Trouble>,
    in_vain: impl AsyncFn() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let wait = Wait {
        what: "V2 to be only milliseconds behind",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(50),
        kind: Kind::NotReady,
    };
    wait::until(wait, &place.tell, async || {
        let at = now().await?;
        let limit = Limit { name: "10 ms", value: NEAR };
        let near = Wait { what: "V2", limit, every: Duration::from_millis(1), kind: Kind::Failed };
        let applied = wait::until(near, &place.tell, async || {
            Ok(if has(&at).await? { Look::Done(()) } else { Look::NotYet("not yet".into()) })
        });
        if applied.await.is_ok() {
            return Ok(Look::Done(()));
        }
        in_vain().await?;
        Ok(Look::NotYet("it takes more than 10 ms to apply V1's last write".into()))
    })
    .await
}
