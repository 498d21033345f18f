//! How amounts, errors and sides are said. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use super::{Unit, out};
use crate::config::quantity::Bytes;
use crate::trouble::Trouble;
use crate::wait;

pub fn ms(ms: u64) -> String {
    wait::human(Duration::from_millis(ms))
}

/// `1.0 GiB of 4.0 GiB, 25 %, 256 MiB/s, 12 s left`
pub fn progress(done: u64, total: Option<u64>, rate: Option<u64>, unit: Unit) -> String {
    let amount = |n: u64| match unit {
        Unit::Bytes => Bytes(n).to_string(),
        Unit::Rows => format!("{n} rows"),
        Unit::Tables => format!("{n} tables"),
    };
    let mut said = amount(done);
    if let Some(total) = total.filter(|total| *total > 0) {
        let _ = write!(said, " of {}, {} %", amount(total), (u128::from(done) * 100 / u128::from(total)).min(100));
    }
    if let Some(rate) = rate.filter(|rate| *rate > 0) {
        let _ = write!(said, ", {}/s", amount(rate));
        if let Some(left) = total.and_then(|total| total.checked_sub(done)).filter(|left| *left > 0) {
            let _ = write!(said, ", {} left", wait::human(Duration::from_secs(left.div_ceil(rate))));
        }
    }
    said
}

/// Message, causes, the facts that matter now, hints: in this order.
pub fn trouble(trouble: &Trouble, facts: &[(&str, String)]) -> String {
    let mut said = format!("{} {}\n", out::red("error:"), trouble.what);
    for cause in trouble.causes() {
        let _ = writeln!(said, "  caused by: {}", cause.replace('\n', "\n             "));
    }
    said.push_str(&block(facts));
    let mut hints: Vec<String> = Vec::new();
    collect_hints(trouble, &mut hints);
    for hint in hints {
        let _ = write!(said, "\n{} {hint}\n", out::cyan("hint:"));
    }
    said
}

/// Facts with their names, aligned.
pub fn block(facts: &[(&str, String)]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default().max(9);
    let mut said = String::from("\n");
    for (name, fact) in facts {
        let _ = writeln!(said, "  {name:<width$} {}", fact.replace('\n', &format!("\n{:<1$}", "", width + 3)));
    }
    said
}

/// The hints of an error and of its causes, outermost first, each once.
pub fn hints(trouble: &Trouble) -> Vec<String> {
    let mut hints = Vec::new();
    collect_hints(trouble, &mut hints);
    hints
}

fn collect_hints(trouble: &Trouble, hints: &mut Vec<String>) {
    for hint in &trouble.hints {
        if !hints.contains(hint) {
            hints.push(hint.clone());
        }
    }
    let source = trouble.source.as_deref().and_then(|source| source.downcast_ref::<Trouble>());
    if let Some(source) = source {
        collect_hints(source, hints);
    }
}

/// In a switchback V2 is the side that serves first: what the steps call V1 is V2 to people, and the reverse.
pub fn exchanged(said: &str) -> String {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut text = String::with_capacity(said.len());
    let mut rest = said;
    while let Some(at) = rest.find('V') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let alone = !text.ends_with(word) && !from.get(2..).is_some_and(|after| after.starts_with(word));
        match from.get(..2) {
            Some("V1") if alone => text.push_str("V2"),
            Some("V2") if alone => text.push_str("V1"),
            _ => {
                text.push('V');
                rest = &from[1..];
                continue;
            }
        }
        rest = &from[2..];
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_exchanged() {
        assert_eq!(exchanged("V1 follows V2; V1's fence (V2)"), "V2 follows V1; V2's fence (V1)");
        assert_eq!(exchanged("V1_x shop-V1 MV1 V10 V1-a ViV2e V"), "V1_x shop-V1 MV1 V10 V1-a ViV2e V");
        assert_eq!(exchanged("Vé V1"), "Vé V2");
        assert_eq!(exchanged(""), "");
    }

    #[test]
    fn an_error_says_what_why_and_what_now_in_this_order() {
        let cause = Trouble::failed("replication slot `s` is lost").hint("raise max_slot_wal_keep_size on V1");
        let error = Trouble::failed("V2 stopped following V1").because(cause).hint("then `switchover run` again");
        let text = trouble(&error, &[("clients", "on V1".into()), ("journal", "/a/b".into())]);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "error: V2 stopped following V1\n  caused by: replication slot `s` is lost\n\n  clients   on V1\n  \
             journal   /a/b\n\nhint: then `switchover run` again\n\nhint: raise max_slot_wal_keep_size on V1\n"
        );
    }
}
