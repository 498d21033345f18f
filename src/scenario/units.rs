//! The small values a scenario file is made of: times (`15s`), upper limits (`< 2s`) and `${VAR}`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error};

use crate::trouble::Trouble;

/// A length of time: `500ms`, `15s`, `2m`, `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(pub(super) Duration);

impl Span {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text.get(..digits)?.parse().ok()?;
        let unit = match text.get(digits..)?.trim() {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        unit.checked_mul(u32::try_from(number).ok()?).map(Span)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a time like 500ms, 15s or 2m")))
    }
}

/// An upper limit, written as it is read: `< 2s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Below(pub(super) Duration);

impl<'de> Deserialize<'de> for Below {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.trim()
            .strip_prefix('<')
            .and_then(Span::parse)
            .map(|span| Below(span.0))
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a limit like \"< 2s\"")))
    }
}

/// What `${VAR}` means while a scenario runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Vars(pub(super) BTreeMap<String, String>);

impl Vars {
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Puts values in place of `${VAR}` and `${VAR:-default}`; `$$` is a dollar. Any other dollar stays, for shells.
    pub(super) fn fill(&self, text: &str) -> Result<String, Trouble> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                filled.push('$');
                rest = after;
            } else if let Some(after) = rest.strip_prefix('{') {
                let (inside, after) = after
                    .split_once('}')
                    .ok_or_else(|| Trouble::usage(format!("`${{` without its `}}` in `{text}`")))?;
                filled.push_str(&self.value(inside)?);
                rest = after;
            } else {
                filled.push('$');
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, inside: &str) -> Result<String, Trouble> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match (self.0.get(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(Trouble::usage(format!("the scenario uses ${{{name}}}, which has no value"))
                .hint(format!("give it one with `--var {name}=…` or in the environment"))),
        }
    }
}

/// Splits a command line into words as a shell would, quotes and backslashes included, and nothing more.
pub(super) fn words(line: &str) -> Result<Vec<String>, Trouble> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Trouble::usage(format!("a quote is not closed in `{line}`")));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_limits() {
        assert_eq!(Span::parse("500ms"), Some(Span(Duration::from_millis(500))));
        assert_eq!(Span::parse("2 m"), Some(Span::seconds(120)));
        assert_eq!([Span::parse("2"), Span::parse("s"), Span::parse("1.5s")], [None, None, None]);
        let limit: Below = serde_saphyr::from_str("\"< 2s\"").unwrap();
        assert_eq!(limit, Below(Duration::from_secs(2)));
        let error = serde_saphyr::from_str::<Below>("2s").unwrap_err().to_string();
        assert!(error.contains("is not a limit like \"< 2s\""), "{error}");
    }

    #[test]
    fn variables() {
        let mut vars = Vars::default();
        vars.set("V2_IMAGE", "postgres:17");
        vars.set("EMPTY", "");
        assert_eq!(vars.fill("--image ${V2_IMAGE} $HOME $$x").unwrap(), "--image postgres:17 $HOME $x");
        assert_eq!(vars.fill("${NONE:-a b} ${EMPTY:-c}").unwrap(), "a b c");
        assert_eq!(vars.fill("${NONE}").unwrap_err().what, "the scenario uses ${NONE}, which has no value");
        assert!(vars.fill("${NONE").is_err());
    }

    #[test]
    fn words_keep_what_is_quoted_together() {
        assert_eq!(
            words(r#"run  --container 'a b' "c\"d" '' e\ f"#).unwrap(),
            ["run", "--container", "a b", "c\"d", "", "e f"]
        );
        assert!(words("run 'a").is_err());
    }
}
