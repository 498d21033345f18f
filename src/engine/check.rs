//! How an engine writes a verdict down.

use super::{Check, Verdict};

pub(in crate::engine) fn passed(id: &str, found: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Passed, found: found.into(), hint: None }
}

pub(in crate::engine) fn noted(id: &str, found: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Noted, found: found.into(), hint: None }
}

pub(in crate::engine) fn refused(id: &str, found: impl Into<String>, hint: impl Into<String>) -> Check {
    Check { id: id.into(), verdict: Verdict::Refused, found: found.into(), hint: Some(hint.into()) }
}

/// Refused, or accepted where `allow:` names `word`.
pub(in crate::engine) fn unless_allowed(
    allow: &[String],
    word: &str,
    id: &str,
    found: impl Into<String>,
    hint: impl Into<String>,
) -> Check {
    let verdict = if allow.iter().any(|allowed| allowed == word) { Verdict::Accepted } else { Verdict::Refused };
    let hint = match verdict {
        Verdict::Accepted => None,
        _ => Some(format!("{}; or accept it with `allow: [{word}]`", hint.into())),
    };
    Check { id: id.into(), verdict, found: found.into(), hint }
}

/// At most a few names, quoted by how they are shown, then how many more.
pub(in crate::engine) fn some<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 5;
    let mut text =
        names.iter().take(SHOWN).map(|name| name.as_ref().escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
