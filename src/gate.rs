//! Decisions as values, with their reasons. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Zoned};

use crate::config::quantity::Bytes;
use crate::config::{Opening, Retry, Window};
use crate::engine::Lag;
use crate::trouble::Trouble;
use crate::wait::human;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    Go(String),
    Wait(String),
    Refuse(String),
}

/// Whether V2 is near enough. A lag that cannot be measured never passes.
pub fn lag(lag: Option<Lag>, limit: Bytes) -> Gate {
    match lag {
        None => Gate::Wait("V2's lag cannot be measured yet".into()),
        Some(lag) if lag.bytes <= limit.0 => Gate::Go(format!("V2 is {} behind", Bytes(lag.bytes))),
        Some(lag) => Gate::Wait(format!("V2 is {} behind, limit {limit}", Bytes(lag.bytes))),
    }
}

/// Whether the owner lets the cutover begin: nothing may begin while the hold file exists.
pub fn held(hold_file_exists: Option<bool>, path: &str) -> Gate {
    match hold_file_exists {
        Some(false) => Gate::Go("no hold file".into()),
        Some(true) => Gate::Wait(format!("held: remove {path} to go on")),
        None => Gate::Wait(format!("cannot tell whether {path} exists")),
    }
}

fn text(moment: &Zoned) -> String {
    moment.strftime("%a %-d %b %Y, %H:%M %Z").to_string()
}

/// Whether the owner's window is open. One that opens within `patience` is waited for.
pub fn window(window: Option<&Window>, now: Timestamp, patience: Duration) -> Result<Gate, Trouble> {
    let Some(window) = window else { return Ok(Gate::Go("at any time".into())) };
    Ok(match window.at(now)? {
        Opening::Until(end) => Gate::Go(format!("the window is open until {}", text(&end))),
        Opening::At(start) => {
            let left = Duration::try_from(start.timestamp().duration_since(now)).unwrap_or(Duration::MAX);
            let why = format!("the window `{}` opens at {}", window.cron, text(&start));
            if left <= patience { Gate::Wait(why) } else { Gate::Refuse(why) }
        }
        Opening::Never => Gate::Refuse(format!("the window `{}` never opens", window.cron)),
    })
}

/// Whether a try that came to nothing is followed by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    After(Duration),
    /// Why not.
    No(String),
}

/// `tries` have been made. Nothing is tried after the owner's window has shut, or after `left`, what is left of `limits.total`.
pub fn again(
    retry: Retry,
    tries: u32,
    window: Option<&Window>,
    now: Timestamp,
    left: Duration,
) -> Result<Again, Trouble> {
    if tries > retry.times {
        return Ok(Again::No(format!("{tries} tries came to nothing (retry.times: {})", retry.times)));
    }
    let pause = back_off(retry.wait.0, tries);
    let next = format!("the next try, in {}, would begin", human(pause));
    if pause >= left {
        return Ok(Again::No(format!("{next} after limits.total is over")));
    }
    let at = SignedDuration::try_from(pause).ok().and_then(|pause| now.checked_add(pause).ok());
    let opening = window.map(|window| window.at(now)).transpose()?;
    Ok(match (opening, at) {
        (Some(Opening::Until(end)), at) if at.is_none_or(|at| at >= end.timestamp()) => {
            Again::No(format!("{next} after the window has shut, at {}", text(&end)))
        }
        _ => Again::After(pause),
    })
}

/// Doubled with every try, up to an hour; a longer first one stays as it is.
fn back_off(first: Duration, tries: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(3600);
    let doubled = first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
    doubled.min(LONGEST.max(first))
}

/// Near enough for this long without a break.
pub const STEADY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::quantity::Span;

    #[test]
    fn unknown_is_never_zero() {
        assert!(matches!(lag(None, Bytes(u64::MAX)), Gate::Wait(_)));
        assert_eq!(lag(Some(Lag { bytes: 1024 }), Bytes(1024)), Gate::Go("V2 is 1.0 KiB behind".into()));
        let why = "V2 is 48 MiB behind, limit 16 MiB";
        assert_eq!(lag(Some(Lag { bytes: 48 << 20 }), Bytes(16 << 20)), Gate::Wait(why.into()));
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }
    fn retry(times: u32, wait: u64) -> Retry {
        Retry { times, wait: Span(minutes(wait)) }
    }

    #[test]
    fn tries_are_further_and_further_apart_up_to_an_hour_and_then_given_up() {
        let after = |tries| again(retry(5, 10), tries, None, Timestamp::UNIX_EPOCH, 24 * HOUR).unwrap();
        let pauses = [10, 20, 40, 60, 60].map(|pause| Again::After(minutes(pause)));
        assert_eq!([after(1), after(2), after(3), after(4), after(5)], pauses);
        assert_eq!(after(6), Again::No("6 tries came to nothing (retry.times: 5)".into()));
        let long = |tries| again(retry(9, 120), tries, None, Timestamp::UNIX_EPOCH, 24 * HOUR).unwrap();
        assert_eq!([long(1), long(9)], [Again::After(2 * HOUR), Again::After(2 * HOUR)]);
        let never = again(retry(0, 10), 1, None, Timestamp::UNIX_EPOCH, 24 * HOUR).unwrap();
        assert!(matches!(never, Again::No(_)));
    }

    #[test]
    fn nothing_is_tried_after_the_night_is_over() {
        let sundays = Window { cron: "0 3 * * SUN".into(), r#for: "2h".parse().unwrap(), zone: "UTC".into() };
        let after =
            |at: &str, left: Duration| again(retry(3, 10), 1, Some(&sundays), at.parse().unwrap(), left).unwrap();
        assert_eq!(after("2026-11-22T04:49:59Z", HOUR), Again::After(minutes(10)));
        let shut = "the next try, in 10 min 0 s, would begin after the window has shut, at Sun 22 Nov 2026, 05:00 UTC";
        assert_eq!(after("2026-11-22T04:50:00Z", HOUR), Again::No(shut.into()));
        let over = "the next try, in 10 min 0 s, would begin after limits.total is over";
        assert_eq!(after("2026-11-22T03:10:00Z", minutes(10)), Again::No(over.into()));
        // Not open yet: it is waited for.
        assert_eq!(after("2026-11-22T02:00:00Z", 2 * HOUR), Again::After(minutes(10)));
    }

    #[test]
    fn a_hold_file_that_cannot_be_looked_at_holds() {
        assert!(matches!(held(None, "/x"), Gate::Wait(_)));
        assert!(matches!(held(Some(true), "/x"), Gate::Wait(_)));
        assert!(matches!(held(Some(false), "/x"), Gate::Go(_)));
    }

    #[test]
    fn a_window_is_waited_for_as_long_as_patience_lasts() {
        let sundays = Window { cron: "0 3 * * SUN".into(), r#for: "2h".parse().unwrap(), zone: "UTC".into() };
        let gate = |at: &str, hours: u64| {
            window(Some(&sundays), at.parse().unwrap(), Duration::from_secs(hours * 3600)).unwrap()
        };
        assert_eq!(
            gate("2026-11-22T04:00:00Z", 1),
            Gate::Go("the window is open until Sun 22 Nov 2026, 05:00 UTC".into())
        );
        let why = "the window `0 3 * * SUN` opens at Sun 29 Nov 2026, 03:00 UTC".to_owned();
        assert_eq!(gate("2026-11-28T23:00:00Z", 4), Gate::Wait(why.clone()));
        assert_eq!(gate("2026-11-28T22:59:59Z", 4), Gate::Refuse(why));
        assert!(matches!(window(None, Timestamp::UNIX_EPOCH, Duration::ZERO).unwrap(), Gate::Go(_)));
    }
}
