//! Amounts as people write them: `16MiB`, `500ms`, `6h`, `50%`.
//!
//! What is written into a journal is exact and reads the same; what is shown to people is rounded.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u8);

/// A size each second, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<Bytes>);

/// Why a text is no such amount: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAmount(String);

const SIZES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

/// In milliseconds; the longest that fits is written.
const TIMES: [(&str, u64); 6] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl FromStr for Bytes {
    type Err = NotAnAmount;
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let wrong = || NotAnAmount(format!("`{text}` is not a size; write it as in 16MiB, 1.5GiB or 500kB"));
        let (number, unit) = split(text);
        let factor = match unit {
            "" => 1,
            _ => SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        scaled(number, factor).map(Bytes).ok_or_else(wrong)
    }
}

impl FromStr for Span {
    type Err = NotAnAmount;
    /// One or more amounts, each with its unit: `2h`, `1h30m`.
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let wrong = || NotAnAmount(format!("`{text}` is not a length of time; write it as in 500ms, 10s, 6h or 7d"));
        let mut rest = text.trim();
        let mut ms: u64 = 0;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let (number, after) = split(rest);
            let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, next) = after.split_at(end);
            let factor = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
            let part = scaled(number, factor).ok_or_else(wrong)?;
            ms = ms.checked_add(part).ok_or_else(wrong)?;
            rest = next.trim_start();
        }
        Ok(Span(Duration::from_millis(ms)))
    }
}

impl FromStr for Share {
    type Err = NotAnAmount;
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let wrong = || NotAnAmount(format!("`{text}` is not a share; write it as in 50%"));
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?;
        match number.trim_end().parse() {
            Ok(share @ 0..=100) => Ok(Share(share)),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for Rate {
    type Err = NotAnAmount;
    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        match text.trim() {
            "none" => Ok(Rate(None)),
            size => size.parse().map(|bytes| Rate(Some(bytes))),
        }
    }
}

/// The leading number and what follows it.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    (number, rest.trim_start())
}

/// `number` × `factor`, exact for whole numbers; `None` when it is no number or too large.
fn scaled(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let base = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    let part = match fraction {
        "" => 0,
        digits => {
            u128::from(digits.parse::<u64>().ok()?) * u128::from(factor) / 10_u128.pow(digits.len().try_into().ok()?)
        }
    };
    base.checked_add(part.try_into().ok()?)
}

/// The largest unit in which the amount is a whole number.
fn exact(amount: u64, units: &[(&'static str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| amount != 0 && amount.is_multiple_of(*factor);
    match units.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => format!("{amount}{}", units.last().map_or("", |(unit, _)| unit)),
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let binary: Vec<_> = SIZES.into_iter().filter(|(unit, _)| unit.len() != 2).collect();
        serializer.serialize_str(&exact(self.0, &binary))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let units: Vec<_> = TIMES.into_iter().filter(|(unit, _)| *unit != "m").collect();
        serializer.serialize_str(&exact(ms, &units))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}%", self.0))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_str("none"),
            Some(bytes) => bytes.serialize(serializer),
        }
    }
}

/// Reads text, and bare numbers so that they are refused (or taken, for sizes) with our own words.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = NotAnAmount>> Visitor<'_> for Text<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an amount with its unit")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! read_as_text {
    ($($amount:ty),*) => {$(
        impl<'de> Deserialize<'de> for $amount {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text(PhantomData))
            }
        }
    )*};
}
read_as_text!(Bytes, Span, Share, Rate);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        let (mut amount, mut unit) = (self.0 as f64, "B");
        for next in ["KiB", "MiB", "GiB", "TiB"] {
            if amount < 1024.0 {
                break;
            }
            (amount, unit) = (amount / 1024.0, next);
        }
        match unit {
            "B" => write!(f, "{} B", self.0),
            _ if amount < 10.0 => write!(f, "{amount:.1} {unit}"),
            _ => write!(f, "{amount:.0} {unit}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<u64> {
        text.parse::<Bytes>().ok().map(|b| b.0)
    }
    fn ms(text: &str) -> Option<u128> {
        text.parse::<Span>().ok().map(|s| s.0.as_millis())
    }

    #[test]
    fn sizes_are_read_as_written() {
        assert_eq!([bytes("16MiB"), bytes("1.5 GiB"), bytes("500kB")], [Some(16 << 20), Some(3 << 29), Some(500_000)]);
        assert_eq!([bytes("42"), bytes("0"), bytes("7B")], [Some(42), Some(0), Some(7)]);
        assert_eq!([bytes(""), bytes("MiB"), bytes("16 MiBB"), bytes("-1"), bytes("1.MiB")], [None; 5]);
        assert_eq!([bytes("99999999TiB"), bytes("1.2.3B"), bytes("0x10")], [None; 3]);
    }

    #[test]
    fn times_are_read_as_written() {
        assert_eq!([ms("500ms"), ms("10s"), ms("6h"), ms("7d")], [500, 10_000, 21_600_000, 604_800_000].map(Some));
        assert_eq!([ms("1h30m"), ms("2 min 5 s"), ms("1.5s")], [5_400_000, 125_000, 1500].map(Some));
        assert_eq!([ms(""), ms("10"), ms("10 parsecs"), ms("s"), ms("9999999999999999h")], [None; 5]);
    }

    #[test]
    fn shares_end_at_a_hundred() {
        assert_eq!("50%".parse(), Ok(Share(50)));
        assert!(["50", "101%", "-1%", "%"].iter().all(|text| text.parse::<Share>().is_err()));
    }

    #[test]
    fn what_is_journaled_is_exact() {
        for amount in [0, 1, 999, 1024, 16 << 20, (16 << 20) + 1, u64::MAX] {
            let text = serde_json::to_string(&Bytes(amount)).unwrap();
            assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap(), Bytes(amount), "{text}");
        }
        for amount in [0, 1, 500, 90_000, 604_800_000] {
            let span = Span(Duration::from_millis(amount));
            let text = serde_json::to_string(&span).unwrap();
            assert_eq!(serde_json::from_str::<Span>(&text).unwrap(), span, "{text}");
        }
        assert_eq!(serde_json::to_string(&Bytes(16 << 20)).unwrap(), "\"16MiB\"");
        assert_eq!(serde_json::to_string(&Span(Duration::from_secs(90))).unwrap(), "\"90s\"");
    }

    #[test]
    fn a_wrong_amount_says_how_to_write_it() {
        let error = "16 quux".parse::<Bytes>().unwrap_err();
        assert_eq!(error.to_string(), "`16 quux` is not a size; write it as in 16MiB, 1.5GiB or 500kB");
    }
}
