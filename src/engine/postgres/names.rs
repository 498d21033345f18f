//! Names of all we make in a server. They derive from the plan, so that a resumed run finds what it made.

use crate::plan::Plan;

/// The secrets of a run that are passwords of these roles.
pub(super) const ADMIN_SECRET: &str = "postgres-admin";
pub(super) const REPLICATION_SECRET: &str = "postgres-replication";
pub(super) const PROBE_SECRET: &str = "postgres-probe";

/// The tool's own role: superuser, random password, dropped at the end.
pub(super) fn admin(plan: &Plan) -> String {
    format!("switchover_{}", plan.tag())
}

/// The role the follower streams with; outlives the run while V1 follows.
pub(super) fn replication(plan: &Plan) -> String {
    format!("switchover_{}_repl", plan.tag())
}

/// The role that proves a write through the clients' address, and by being refused proves a shut door.
pub(super) fn probe(plan: &Plan) -> String {
    format!("switchover_{}_probe", plan.tag())
}

/// The slot on the leader that keeps what the follower lacks.
pub(super) fn slot(plan: &Plan) -> String {
    format!("switchover_{}", plan.tag())
}

/// The method `logical` has a slot for each database, numbered as in the plan. The subscription that feeds on it bears the
/// same name.
pub(super) fn slot_of(plan: &Plan, database: usize) -> String {
    format!("switchover_{}_{database}", plan.tag())
}

/// Whether a slot, or a walsender's name, is of this run, by either method.
pub(super) fn is_slot(plan: &Plan, name: &str) -> bool {
    let of = slot(plan);
    name == of || name.strip_prefix(&format!("{of}_")).is_some_and(|n| n.parse::<usize>().is_ok())
}

/// The same as a regular expression.
pub(super) fn any_slot(plan: &Plan) -> String {
    format!("^{}(_[0-9]+)?$", slot(plan))
}

/// The publication in each database of the leader.
pub(super) fn publication(plan: &Plan) -> String {
    format!("switchover_{}", plan.tag())
}

/// An identifier, quoted.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string literal, quoted; works whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(ident(r#"a"; DROP TABLE x; --"#), r#""a""; DROP TABLE x; --""#);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }
}
