//! Decisions as values, with their reasons. Pure.

use std::time::Duration;

use jiff::{Timestamp, Zoned};

use crate::config::quantity::Bytes;
use crate::config::{Opening, Window};
use crate::engine::Lag;
use crate::trouble::Trouble;

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

/// Whether the owner's window is open. One that opens within `patience` is waited for.
pub fn window(window: Option<&Window>, now: Timestamp, patience: Duration) -> Result<Gate, Trouble> {
    let Some(window) = window else { return Ok(Gate::Go("at any time".into())) };
    let text = |moment: &Zoned| moment.strftime("%a %-d %b %Y, %H:%M %Z").to_string();
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

/// Near enough for this long without a break.
pub const STEADY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_never_zero() {
        assert!(matches!(lag(None, Bytes(u64::MAX)), Gate::Wait(_)));
        assert_eq!(lag(Some(Lag { bytes: 1024 }), Bytes(1024)), Gate::Go("V2 is 1.0 KiB behind".into()));
        let why = "V2 is 48 MiB behind, limit 16 MiB";
        assert_eq!(lag(Some(Lag { bytes: 48 << 20 }), Bytes(16 << 20)), Gate::Wait(why.into()));
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
