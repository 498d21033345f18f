//! Every limit: its name, its default, and what happens when it is reached (the documentation of `limits:`).

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::quantity::{Bytes, Rate, Share, Span};
use crate::trouble::Trouble;

/// The limits of a run. Reaching one never loses anything: before the window nothing changes for clients, inside it
/// the run turns back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// V2 may be at most this far behind when the window opens.
    pub lag: Bytes,
    /// Time for V2 to catch up after the seed.
    pub catch_up: Span,
    /// Time for everything up to `ready`.
    pub total: Span,
    /// Time for running transactions to finish after the door is shut; then they are ended.
    pub transactions: Span,
    /// Time from the first act of the window to the point of no return; then the run turns back by itself.
    pub cutover: Span,
    /// Time for one statement of ours on a server.
    pub statement: Span,
    /// How much of V1's free disk the log kept for V2 may take; beyond it V2 must be seeded anew.
    pub v1_wal: Share,
    /// How much V2 may keep for V1 while V1 follows as the way back.
    pub way_back: Bytes,
    /// Bytes a second for the seed; none: as fast as it goes.
    #[serde(with = "rate")]
    pub seed_rate: Option<Bytes>,
    /// Free space that must be left on V2's disk after the seed.
    pub disk_reserve: Share,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            lag: Bytes(16 << 20),
            catch_up: Span(Duration::from_secs(6 * 3600)),
            total: Span(Duration::from_secs(24 * 3600)),
            transactions: Span(Duration::from_millis(500)),
            cutover: Span(Duration::from_secs(10)),
            statement: Span(Duration::from_secs(5)),
            v1_wal: Share(50),
            way_back: Bytes(20 << 30),
            seed_rate: None,
            disk_reserve: Share(10),
        }
    }
}

/// The limits that were said, by the file or by flags; the others stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SaidLimits {
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cutover: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v1_wal: Option<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way_back: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed_rate: Option<Rate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_reserve: Option<Share>,
}

impl SaidLimits {
    /// From `--limit NAME=VALUE`.
    pub fn from_flags(flags: &[String]) -> Result<Self, Trouble> {
        let mut said = serde_json::Map::new();
        for flag in flags {
            let wrong = || Trouble::usage(format!("--limit {flag}: write it as NAME=VALUE")).hint(HINT);
            let (name, value) = flag.split_once('=').ok_or_else(wrong)?;
            let name = name.strip_prefix("limits.").unwrap_or(name);
            said.insert(name.to_owned(), value.into());
            let one = serde_json::Map::from_iter([(name.to_owned(), value.into())]);
            serde_json::from_value::<SaidLimits>(one.into())
                .map_err(|e| Trouble::usage(format!("--limit {flag}")).because(e).hint(HINT))?;
        }
        serde_json::from_value(said.into()).map_err(|e| Trouble::usage("--limit").because(e))
    }

    /// What `other` says goes before what this says.
    #[must_use]
    pub fn and(&self, other: &SaidLimits) -> SaidLimits {
        SaidLimits {
            lag: other.lag.or(self.lag),
            catch_up: other.catch_up.or(self.catch_up),
            total: other.total.or(self.total),
            transactions: other.transactions.or(self.transactions),
            cutover: other.cutover.or(self.cutover),
            statement: other.statement.or(self.statement),
            v1_wal: other.v1_wal.or(self.v1_wal),
            way_back: other.way_back.or(self.way_back),
            seed_rate: other.seed_rate.or(self.seed_rate),
            disk_reserve: other.disk_reserve.or(self.disk_reserve),
        }
    }

    /// `limits` with what was said in its place, refused where it makes no sense.
    pub fn over(&self, limits: &Limits) -> Result<Limits, Trouble> {
        let bug = |e: serde_json::Error| Trouble::bug("limits do not become limits").because(e);
        let mut all = serde_json::to_value(limits).map_err(bug)?;
        if let (Some(all), serde_json::Value::Object(said)) =
            (all.as_object_mut(), serde_json::to_value(self).map_err(bug)?)
        {
            all.extend(said);
        }
        let limits: Limits = serde_json::from_value(all).map_err(bug)?;
        limits.checked()
    }
}

impl Limits {
    fn checked(self) -> Result<Self, Trouble> {
        let least = [
            ("cutover", self.cutover, Duration::from_secs(1)),
            ("statement", self.statement, Duration::from_millis(100)),
            ("catch-up", self.catch_up, Duration::from_secs(1)),
            ("total", self.total, Duration::from_secs(1)),
        ];
        match least.iter().find(|(_, span, least)| span.0 < *least) {
            None => Ok(self),
            Some((name, span, least)) => Err(Trouble::usage(format!(
                "limits.{name} is {} ms; it cannot be less than {} ms",
                span.0.as_millis(),
                least.as_millis()
            ))),
        }
    }
}

const HINT: &str = "as in --limit cutover=20s, --limit lag=64MiB or --limit seed-rate=50MiB";

mod rate {
    use super::{Bytes, Deserialize, Deserializer, Rate, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(rate: &Option<Bytes>, serializer: S) -> Result<S::Ok, S::Error> {
        Rate(*rate).serialize(serializer)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Bytes>, D::Error> {
        Ok(Rate::deserialize(deserializer)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(flags: &[&str]) -> Result<Limits, Trouble> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        SaidLimits::from_flags(&flags)?.over(&Limits::default())
    }

    #[test]
    fn what_is_said_takes_the_place_of_the_default_and_nothing_else() {
        let limits = flags(&["cutover=20s", "limits.seed-rate=50MiB"]).unwrap();
        assert_eq!(limits.cutover, Span(Duration::from_secs(20)));
        assert_eq!(limits.seed_rate, Some(Bytes(50 << 20)));
        assert_eq!(limits.lag, Limits::default().lag);
        assert_eq!(SaidLimits::from_flags(&["seed-rate=none".into()]).unwrap().over(&limits).unwrap().seed_rate, None);
    }

    #[test]
    fn limits_round_trip_through_a_journal() {
        let limits = flags(&["lag=1000001B", "way-back=3TiB", "seed-rate=1MiB"]).unwrap();
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    }

    #[test]
    fn a_wrong_limit_says_what_is_wrong_with_it() {
        let complaint = |flag: &str| flags(&[flag]).unwrap_err().one_line();
        assert_eq!(complaint("cutover"), "--limit cutover: write it as NAME=VALUE");
        assert!(complaint("cutoff=3s").contains("unknown field `cutoff`, expected one of `lag`"));
        assert!(complaint("cutover=3").contains("`3` is not a length of time"));
        assert_eq!(complaint("cutover=0s"), "limits.cutover is 0 ms; it cannot be less than 1000 ms");
    }
}
