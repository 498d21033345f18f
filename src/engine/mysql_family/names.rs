//! Names of all we make in a server. They derive from the plan, so that a resumed run finds what it made.

use crate::plan::Plan;

/// The secrets of a run that are passwords of these accounts.
pub(in crate::engine) const ADMIN_SECRET: &str = "mysql-admin";
pub(in crate::engine) const REPLICATION_SECRET: &str = "mysql-replication";
pub(in crate::engine) const PROBE_SECRET: &str = "mysql-probe";

/// Whence our accounts may come: the run's private network, a tunnel, and the clients' own.
pub(in crate::engine) const ANYWHERE: &str = "%";

/// The tool's own account: every right, random password, dropped at the end.
pub(in crate::engine) fn admin(plan: &Plan) -> String {
    format!("switchover_{}", plan.tag())
}

/// The account the follower reads with; outlives the run while V1 follows.
pub(in crate::engine) fn replication(plan: &Plan) -> String {
    format!("switchover_{}_repl", plan.tag())
}

/// The account that proves a write through the clients' address.
pub(in crate::engine) fn probe(plan: &Plan) -> String {
    format!("switchover_{}_probe", plan.tag())
}

/// The schema the probe writes to, in a table of the same name.
pub(in crate::engine) fn schema(plan: &Plan) -> String {
    format!("switchover_{}", plan.tag())
}

/// V2's number among its replicas: another one than V1's, and none that people give by hand.
pub(in crate::engine) fn server_id(plan: &Plan, v1: u32) -> u32 {
    let ours = u32::from_str_radix(plan.tag(), 16).unwrap_or_default() | 1 << 31;
    if ours == v1 { ours - 1 } else { ours }
}

/// Locks of V1's server. One at a time has the run's; switch and tool compete for the window's.
pub(in crate::engine) const RUN_LOCK: &str = "switchover run";
pub(in crate::engine) const WINDOW_LOCK: &str = "switchover window";

/// Held by the dead-man's switch as long as it is armed.
pub(in crate::engine) fn armed_lock(plan: &Plan, attempt: u32) -> String {
    format!("switchover armed {} {attempt}", plan.tag())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::any_plan;

    #[test]
    fn names_fit_and_numbers_differ() {
        let plan = any_plan();
        assert!(probe(&plan).len() <= 32 && replication(&plan).len() <= 32, "the most that a user's name may have");
        assert!(armed_lock(&plan, u32::MAX).len() <= 64, "the most that a lock's name may have");
        assert_ne!(server_id(&plan, 1), 1);
        assert_ne!(server_id(&plan, 0xff3a_1c2b), 0xff3a_1c2b);
    }
}
