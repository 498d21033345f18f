//! The texts of `pg_hba.conf`: open with our lines in front, shut, closed. Pure.
//!
//! The first line of a fence bears run and attempt: only our own fence is ever lifted, and whoever finds a shut V1
//! reads why.

use super::checks::Method;
use super::names::{admin, ident, probe, replication};
use super::seed::Seed;
use crate::plan::Plan;

/// V1's own rules behind ours: the tool and the follower get in, whatever the rest says.
pub(super) fn with_our_rules(original: &str, plan: &Plan) -> String {
    format!("{}{}", ours(plan, "scram-sha-256"), without_our_rules(original, plan))
}

/// The text without our lines; nothing else is touched.
pub(super) fn without_our_rules(text: &str, plan: &Plan) -> String {
    let (begin, end) = marks(plan);
    match (text.find(&begin), text.find(&end)) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &text[..from], &text[to + end.len()..]),
        _ => text.to_owned(),
    }
}

/// Whether a run has left anything in the text: its lines, or a fence.
pub(super) fn is_marked(text: &str, plan: &Plan) -> bool {
    let mark = format!("# switchover {}: ", plan.tag());
    text.lines().any(|line| line.starts_with(&mark))
}

/// Only the follower still gets in by lines of ours: what stays on the leader while the other side follows.
pub(super) fn with_followers_rules(original: &str, plan: &Plan) -> String {
    let (begin, end) = marks(plan);
    format!("{begin}{}{end}{}", for_follower(plan), without_our_rules(original, plan))
}

/// V1 fenced in memory: this text stands on disk for milliseconds only.
pub(super) fn shut(plan: &Plan, attempt: u32) -> String {
    format!("{}\n{}", fence_line(plan, "fence", attempt), for_us_alone(plan))
}

/// V1 fenced for good, restarts included.
pub(super) fn durable(plan: &Plan, attempt: u32) -> String {
    format!("{}\n{}", fence_line(plan, "durable fence", attempt), for_us_alone(plan))
}

/// V2 before `open`: only the tool, and a follower of its own, get in.
pub(super) fn closed(plan: &Plan) -> String {
    format!("# switchover {}: closed until it serves\n{}", plan.tag(), for_us_alone(plan))
}

/// What the first line of a file says: whose fence it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fence {
    None,
    Ours {
        durable: bool,
    },
    /// The first line, to be shown.
    AnotherRuns(String),
}

pub(super) fn fence_of(text: &str, plan: &Plan) -> Fence {
    let first = text.lines().next().unwrap_or_default();
    let mine = |kind: &str| first.starts_with(&format!("# switchover {}: {kind}, attempt ", plan.tag()));
    if mine("fence") {
        Fence::Ours { durable: false }
    } else if mine("durable fence") {
        Fence::Ours { durable: true }
    } else if first.starts_with("# switchover ") && first.contains("fence, attempt ") {
        Fence::AnotherRuns(first.to_owned())
    } else {
        Fence::None
    }
}

/// The beginning of the first line of a durable fence of this run: for the dead-man's switch to compare with.
pub(super) fn durable_mark(plan: &Plan) -> String {
    format!("# switchover {}: durable fence, attempt ", plan.tag())
}

fn fence_line(plan: &Plan, kind: &str, attempt: u32) -> String {
    format!("# switchover {}: {kind}, attempt {attempt}; lifted by `switchover resume` or `abort`", plan.tag())
}

fn for_us_alone(plan: &Plan) -> String {
    format!(
        "{}local all all reject\nlocal replication all reject\nhost all all all reject\nhost replication all all reject\n",
        ours(plan, "reject"),
    )
}

/// `samenet`: the private network's subnet is the engine's choice; the password is random and known to us alone.
fn ours(plan: &Plan, for_probe: &str) -> String {
    let (begin, end) = marks(plan);
    let (admin, probe) = (ident(&admin(plan)), ident(&probe(plan)));
    let mut text = begin;
    for from in ["samenet", "127.0.0.1/32", "::1/128"] {
        text.push_str(&format!("host all {admin} {from} scram-sha-256\n"));
    }
    text.push_str(&for_follower(plan));
    text.push_str(&format!("host all {probe} all {for_probe}\n"));
    text + &end
}

/// A logical follower connects to a database, as clients do; a copy of files streams first.
fn for_follower(plan: &Plan) -> String {
    let role = ident(&replication(plan));
    let to = match (Method::of(plan), Seed::of(plan)) {
        (Method::Physical, _) => "replication",
        (Method::Logical, Seed::Copy) => "all",
        (Method::Logical, Seed::Volume) => "all,replication",
    };
    ["samenet", "127.0.0.1/32", "::1/128"].map(|from| format!("host {to} {role} {from} scram-sha-256\n")).concat()
}

fn marks(plan: &Plan) -> (String, String) {
    (
        format!("# switchover {}: our lines, temporary\n", plan.tag()),
        format!("# switchover {}: end of our lines\n", plan.tag()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::any_plan;

    #[test]
    fn our_lines_come_and_go_without_a_trace() {
        let plan = any_plan();
        for original in ["", "local all all trust\n", "no newline at the end", "# \\ 'quotes' \"ü\"\r\nhost x y\r\n"] {
            let with = with_our_rules(original, &plan);
            assert!(with.contains("switchover_"));
            assert_eq!(without_our_rules(&with, &plan), original);
            assert!(is_marked(&with, &plan) && !is_marked(original, &plan));
            assert_eq!(with_our_rules(&with, &plan), with, "twice is once");
        }
    }

    #[test]
    fn a_fence_is_known_by_run() {
        let plan = any_plan();
        let mut other = any_plan();
        other.run = "0192-another-deadbeef".into();
        assert_eq!(fence_of(&shut(&plan, 3), &plan), Fence::Ours { durable: false });
        assert_eq!(fence_of(&durable(&plan, 3), &plan), Fence::Ours { durable: true });
        assert!(durable(&plan, 12).starts_with(&durable_mark(&plan)));
        assert!(matches!(fence_of(&shut(&other, 1), &plan), Fence::AnotherRuns(_)));
        assert_eq!(fence_of(&closed(&plan), &plan), Fence::None);
        assert_eq!(fence_of(&with_our_rules("local all all trust\n", &plan), &plan), Fence::None);
    }

    #[test]
    fn a_shut_file_lets_nobody_else_in() {
        let text = shut(&any_plan(), 1);
        let rules: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let (admitting, rejecting): (Vec<&str>, Vec<&str>) = rules.iter().partition(|rule| !rule.ends_with("reject"));
        assert!(admitting.iter().all(|rule| rule.contains("\"switchover_") && !rule.contains("_probe")));
        assert_eq!(rejecting.len(), 5);
        assert!(!text.contains(['\\', '\t']), "COPY would change these");
    }
}
