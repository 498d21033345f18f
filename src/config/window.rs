//! When the owner allows a cutover: `window: { cron: "0 3 * * SUN", for: 2h, zone: Europe/Brussels }`.

use std::str::FromStr as _;

use croner::Cron;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use super::quantity::Span;
use crate::trouble::Trouble;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Window {
    /// When it opens: minute, hour, day, month, weekday.
    pub cron: String,
    /// How long it stays open.
    pub r#for: Span,
    /// The zone of its hours, by IANA name.
    #[serde(default = "utc")]
    pub zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Where a moment lies.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    Until(Zoned),
    /// Shut; opens then.
    At(Zoned),
    /// The pattern names no moment any more.
    Never,
}

impl Window {
    /// Refuses a pattern or zone that says nothing.
    pub fn checked(self) -> Result<Self, Trouble> {
        self.cron()?;
        self.now(Timestamp::UNIX_EPOCH)?;
        if self.r#for.0.is_zero() {
            return Err(Trouble::usage("window.for is 0: the window would never be open"));
        }
        Ok(self)
    }

    pub fn at(&self, now: Timestamp) -> Result<Opening, Trouble> {
        let (cron, now) = (self.cron()?, self.now(now)?);
        let length =
            SignedDuration::try_from(self.r#for.0).map_err(|e| Trouble::usage("window.for is too long").because(e))?;
        if let Ok(opened) = cron.find_previous_occurrence(&now, true)
            && let Ok(end) = opened.checked_add(length)
            && now < end
        {
            return Ok(Opening::Until(end));
        }
        Ok(cron.find_next_occurrence(&now, false).map_or(Opening::Never, Opening::At))
    }

    fn cron(&self) -> Result<Cron, Trouble> {
        Cron::from_str(&self.cron).map_err(|e| {
            Trouble::usage(format!("window.cron `{}` is not a cron pattern", self.cron))
                .because(e)
                .hint("as in \"0 3 * * SUN\": minute, hour, day of the month, month, weekday")
        })
    }

    fn now(&self, now: Timestamp) -> Result<Zoned, Trouble> {
        now.in_tz(&self.zone).map_err(|e| {
            Trouble::usage(format!("window.zone `{}` is not a time zone", self.zone))
                .because(e)
                .hint("as in Europe/Brussels")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sundays() -> Window {
        let window =
            Window { cron: "0 3 * * SUN".into(), r#for: "2h".parse().unwrap(), zone: "Europe/Brussels".into() };
        window.checked().unwrap()
    }
    fn at(text: &str) -> String {
        match sundays().at(text.parse().unwrap()).unwrap() {
            Opening::Until(end) => format!("until {}", end.strftime("%a %H:%M %Z")),
            Opening::At(start) => format!("at {}", start.strftime("%a %d %H:%M %Z")),
            Opening::Never => "never".into(),
        }
    }

    #[test]
    fn it_is_open_from_its_moment_for_its_length() {
        // 2026-11-22 is a Sunday.
        assert_eq!(at("2026-11-22T01:59:59Z"), "at Sun 22 03:00 CET");
        assert_eq!(at("2026-11-22T02:00:00Z"), "until Sun 05:00 CET");
        assert_eq!(at("2026-11-22T03:59:59Z"), "until Sun 05:00 CET");
        assert_eq!(at("2026-11-22T04:00:00Z"), "at Sun 29 03:00 CET");
    }

    #[test]
    fn clocks_that_change_do_not_move_it() {
        // The night to 2026-10-25, 03:00 summer time becomes 02:00: the window opens at 03:00 winter time.
        assert_eq!(at("2026-10-25T00:30:00Z"), "at Sun 25 03:00 CET");
        assert_eq!(at("2026-10-25T02:00:00Z"), "until Sun 05:00 CET");
    }

    #[test]
    fn a_window_that_says_nothing_is_refused() {
        let wrong = |change: fn(&mut Window)| {
            let mut window = sundays();
            change(&mut window);
            window.checked().unwrap_err().what
        };
        assert_eq!(wrong(|w| w.cron = "sometimes".into()), "window.cron `sometimes` is not a cron pattern");
        assert_eq!(wrong(|w| w.zone = "Mars/Olympus".into()), "window.zone `Mars/Olympus` is not a time zone");
        assert_eq!(wrong(|w| w.r#for = "0s".parse().unwrap()), "window.for is 0: the window would never be open");
    }
}
