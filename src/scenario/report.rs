//! The verdict, for a person.

use std::io::Write as _;
use std::time::Duration;

use super::verdict::{Gap, Verdict};
use crate::wait::human;

/// A line of the report.
pub(super) fn say(line: &str) {
    // Whoever closes our output does not want the rest.
    let _closed = writeln!(std::io::stdout().lock(), "{line}");
}

pub(super) fn verdict_in_words(verdict: &Verdict) -> String {
    let Verdict { refused, middle, unknown, ghosts, .. } = verdict;
    let around =
        verdict.around.map_or(String::new(), |(before, after)| format!("; {before} before, {after} after the tool"));
    let all: u64 = verdict.acknowledged.values().sum();
    let sides: Vec<String> = verdict.acknowledged.iter().map(|(side, count)| format!("{count} by {side}")).collect();
    let not_known = if verdict.complete { "" } else { "  (not known: the final tables could not be read)" };
    let gap = |gap: &Gap| {
        let length = human(Duration::from_micros(gap.length));
        format!(
            "{length}, {} after the first write, from {} to {}",
            human(Duration::from_micros(gap.from)),
            gap.sides.0,
            gap.sides.1
        )
    };
    let mut lines = vec![
        format!("  acknowledged   {all} transactions ({}){around}", sides.join(", ")),
        format!(
            "  lost {}   doubled {}   stale {}   rows that differ {}{not_known}",
            verdict.lost.len(),
            verdict.doubled.len(),
            verdict.stale.len(),
            verdict.differing.len()
        ),
        format!("  ghosts         {ghosts} committed and never acknowledged"),
        format!("  write gap      {}", gap(&verdict.write_gap)),
        format!("  longest stall  {}", gap(&verdict.stall)),
        format!(
            "  failed         {refused} refused before they began, {middle} ended in the middle, {unknown} with unknown outcome"
        ),
    ];
    if verdict.reads + verdict.reads_unanswered + verdict.reads_missing > 0 {
        lines.push(format!(
            "  reads          {} answered, {} without answer, {} did not find an acknowledged row",
            verdict.reads, verdict.reads_unanswered, verdict.reads_missing
        ));
    }
    lines.join("\n")
}
