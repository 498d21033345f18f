//! The only place that sleeps.
//!
//! Every wait has a condition, a limit with a name the user can set, and a reason that is shown while it lasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};

/// How long, how often, and what the user reads meanwhile.
pub struct Wait<'a> {
    /// What we wait for, as in "waiting for …".
    pub what: &'a str,
    /// The limit's name and value, as in `limits.catch-up`.
    pub limit: Limit<'a>,
    /// Time between two looks.
    pub every: Duration,
    /// What kind of trouble a missed limit is.
    pub kind: Kind,
}

/// A limit under the name by which the user can raise it.
#[derive(Clone, Copy)]
pub struct Limit<'a> {
    pub name: &'a str,
    pub value: Duration,
}

/// What one look found.
pub enum Look<T> {
    Done(T),
    /// Not yet, and why: shown to the user.
    NotYet(String),
}

/// Looks until the condition holds. A look that fails ends the wait with its own error.
pub async fn until<T>(
    wait: Wait<'_>,
    tell: &Teller,
    mut look: impl AsyncFnMut() -> Result<Look<T>, Trouble>,
) -> Result<T, Trouble> {
    let end = Deadline::after(wait.limit.value);
    loop {
        let why = match look().await? {
            Look::Done(value) => return Ok(value),
            Look::NotYet(why) => why,
        };
        if end.is_over() {
            return Err(Trouble::new(
                wait.kind,
                format!("waited {} for {} ({})", human(wait.limit.value), wait.what, wait.limit.name),
            )
            .because(Trouble::failed(why)));
        }
        tell.waiting(wait.what, &why);
        pause(wait.every.min(end.left().max(Duration::from_millis(1)))).await;
    }
}

/// A future that is given a limit of its own.
pub async fn within<T>(
    limit: Limit<'_>,
    what: &str,
    act: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit.value, act).await {
        Ok(result) => result,
        Err(_) => Err(Trouble::failed(format!("{what} did not end within {} ({})", human(limit.value), limit.name))),
    }
}

/// Between two looks of somebody who watches.
pub async fn a_moment(time: Duration) {
    pause(time).await;
}

/// A moment on a clock that also counts the time the machine was suspended (`CLOCK_BOOTTIME`). It means the same to
/// every process of this machine, until that is started anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deadline(Duration);

impl Deadline {
    pub fn after(limit: Duration) -> Self {
        Deadline(boot_time().saturating_add(limit))
    }
    #[must_use]
    pub fn and(self, more: Duration) -> Self {
        Deadline(self.0.saturating_add(more))
    }
    pub fn left(self) -> Duration {
        self.0.saturating_sub(boot_time())
    }
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
    /// Ends when it is over. Looks often: timers do not count the time the machine was suspended.
    pub async fn passed(self) {
        while !self.is_over() {
            pause(self.left().min(Duration::from_millis(50))).await;
        }
    }
}

fn boot_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The pause of a client between two transactions: its own pace, not a wait for something.
pub async fn pace(between: Duration) {
    pause(between).await;
}

#[expect(clippy::disallowed_methods, reason = "this is the one sleeper")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A duration as people write it: `340 ms`, `12.4 s`, `3 min 20 s`, `2 h 5 min`.
pub fn human(time: Duration) -> String {
    let ms = time.as_millis();
    let s = time.as_secs();
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{:.1} s", time.as_secs_f64()).replace(".0 s", " s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick(what: &str) -> Wait<'_> {
        Wait {
            what,
            limit: Limit { name: "limits.test", value: Duration::from_millis(20) },
            every: Duration::from_millis(1),
            kind: Kind::NotReady,
        }
    }

    #[tokio::test]
    async fn a_missed_limit_names_itself_and_the_last_reason() {
        let error = until::<()>(quick("the moon"), &Teller::silent(), async || Ok(Look::NotYet("it is day".into())))
            .await
            .unwrap_err();
        assert_eq!(error.kind, Kind::NotReady);
        assert_eq!(error.one_line(), "waited 20 ms for the moon (limits.test): it is day");
    }

    #[tokio::test]
    async fn a_condition_that_holds_ends_the_wait_at_once() {
        let mut looks = 0;
        let value = until(quick("three"), &Teller::silent(), async || {
            looks += 1;
            Ok(if looks == 3 { Look::Done(looks) } else { Look::NotYet("counting".into()) })
        })
        .await
        .unwrap();
        assert_eq!(value, 3);
    }

    #[test]
    fn durations_read_as_people_write_them() {
        let text = |ms| human(Duration::from_millis(ms));
        assert_eq!([text(340), text(12_400), text(10_000)], ["340 ms", "12.4 s", "10 s"]);
        assert_eq!([text(200_000), text(7_500_000)], ["3 min 20 s", "2 h 5 min"]);
    }
}
