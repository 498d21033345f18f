//! What may change on V1 between the survey and the window.

use super::{Method, count, noted, passed, refused, some, unless_allowed};
use crate::config::quantity::Span;
use crate::engine::Check;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names;
use crate::engine::postgres::said::{Aged, Moving};
use crate::plan::Plan;
use crate::wait::human;

/// Sessions of the copy: one for the files, one for the log.
const SENDERS: u32 = 2;

/// `plan`: the run whose own role and slot are not held against V1. `databases`: how many are carried.
pub(super) fn checks(
    moving: &Moving,
    plan: Option<&Plan>,
    allow: &[String],
    method: Method,
    databases: usize,
) -> Vec<Check> {
    let ours = Ours::of(plan);
    let databases = u32::try_from(databases).unwrap_or(u32::MAX);
    let (slots_needed, senders_needed) = match method {
        Method::Physical => (1, SENDERS),
        // One more: a slot is made by a session that stays while another one copies.
        Method::Logical => (databases, databases.saturating_add(1)),
    };
    vec![
        primary(moving),
        superuser(moving),
        senders(moving, &ours, senders_needed),
        slots(moving, &ours, slots_needed),
        archiver(moving, allow),
        backup(moving),
        prepared(moving),
        long_transactions(moving),
        other_replicas(moving, &ours, allow),
        logical_slots(moving, &ours, allow),
        subscriptions(moving, &ours, method),
        background_workers(moving),
        synchronous(moving),
        files_in_order(moving),
        unread_files(moving),
    ]
}

struct Ours<'a> {
    plan: Option<&'a Plan>,
    users: [String; 2],
    /// What the plan knows of; `None`: there is no plan yet.
    subscriptions: Option<Vec<u32>>,
}

impl Ours<'_> {
    fn of(plan: Option<&Plan>) -> Ours<'_> {
        let name = |of: fn(&Plan) -> String| plan.map(of).unwrap_or_default();
        Ours {
            plan,
            users: [name(names::replication), name(names::admin)],
            subscriptions: plan.and_then(|plan| Before::of(plan).ok()).map(|before| before.subscriptions),
        }
    }
    fn slot(&self, name: &str) -> bool {
        self.plan.is_some_and(|plan| names::is_slot(plan, name))
    }
    fn replicas<'a>(&'a self, moving: &'a Moving) -> impl Iterator<Item = &'a str> {
        moving
            .replicas
            .iter()
            .filter(|replica| !self.users.contains(&replica.user))
            .map(|replica| replica.name.as_str())
    }
}

fn primary(moving: &Moving) -> Check {
    if moving.in_recovery {
        return refused("is-primary", "V1 is a replica itself (or is being restored)", "name the primary as V1");
    }
    passed("is-primary", "V1 is a primary")
}

fn superuser(moving: &Moving) -> Check {
    if moving.superuser {
        return passed("access", "we get in as a superuser");
    }
    refused("access", "the user we get in with is not a superuser", "give a superuser's name and password")
}

fn senders(moving: &Moving, ours: &Ours<'_>, needed: u32) -> Check {
    let id = "free-senders";
    let used = u32::try_from(ours.replicas(moving).count()).unwrap_or(u32::MAX);
    match moving.number("max_wal_senders") {
        Some(max) if max >= used.saturating_add(needed) => passed(id, format!("{used} of {max} used")),
        Some(max) => refused(
            id,
            format!("max_wal_senders is {max} and {used} are used; {needed} are needed"),
            "raise max_wal_senders on V1 (takes a restart)",
        ),
        None => refused(id, "max_wal_senders is not known", "look at V1"),
    }
}

fn slots(moving: &Moving, ours: &Ours<'_>, needed: u32) -> Check {
    let id = "free-slots";
    let used = u32::try_from(moving.slots.iter().filter(|slot| !ours.slot(&slot.name)).count()).unwrap_or(u32::MAX);
    match moving.number("max_replication_slots") {
        Some(max) if max >= used.saturating_add(needed) => passed(id, format!("{used} of {max} used")),
        Some(max) => refused(
            id,
            format!("max_replication_slots is {max} and {used} are used; {needed} are needed"),
            "drop a slot that nobody uses, or raise max_replication_slots on V1 (takes a restart)",
        ),
        None => refused(id, "max_replication_slots is not known", "look at V1"),
    }
}

fn archiver(moving: &Moving, allow: &[String]) -> Check {
    let id = "archiver";
    if moving.setting("archive_mode") == "off" {
        return passed(id, "V1 does not archive its log");
    }
    for name in ["archive_command", "archive_library"] {
        if moving.on_command_line(name) {
            return refused(
                id,
                format!("{name} is on V1's command line: V2 could not be kept from archiving before it serves"),
                format!(
                    "set {name} in postgresql.conf or with ALTER SYSTEM instead (reload is enough after a restart)"
                ),
            );
        }
    }
    let waiting = count(moving.archiver.waiting, "segment");
    if moving.archiver.failing {
        return unless_allowed(
            allow,
            "failing-archiver",
            id,
            format!("V1's last try to archive a segment failed; {waiting} wait"),
            "see V1's log and mend archive_command: what V1 has not archived at the switch will be missing in the archive",
        );
    }
    if moving.archiver.waiting > 16 {
        return noted(id, format!("{waiting} wait to be archived on V1; those left at the switch stay with V1"));
    }
    passed(id, format!("works; {waiting} wait"))
}

fn backup(moving: &Moving) -> Check {
    if moving.in_backup == Some(true) {
        return refused(
            "exclusive-backup",
            "V1 is in an exclusive backup: a copy of its files would begin at the wrong place",
            "end it (`SELECT pg_stop_backup()`) or wait for it",
        );
    }
    passed("exclusive-backup", "none")
}

/// After the fence V1 must come to rest: a prepared transaction runs on without any session.
fn prepared(moving: &Moving) -> Check {
    let id = "prepared-transactions";
    let found = moving.prepared;
    let said = format!("{}, the oldest for {}", count(found.count, "prepared transaction"), age(found.seconds));
    match found {
        Aged { count: 0, .. } => passed(id, "none"),
        Aged { seconds: ..60, .. } => noted(id, format!("{said}; one that is open in the cutover turns it back")),
        _ => refused(
            id,
            format!("{said}: V1 cannot come to rest while one is open"),
            "end them (`SELECT * FROM pg_prepared_xacts`, then COMMIT PREPARED or ROLLBACK PREPARED)",
        ),
    }
}

fn long_transactions(moving: &Moving) -> Check {
    let id = "long-transactions";
    match moving.long.count {
        0 => passed(id, "none longer than a minute"),
        n => noted(
            id,
            format!(
                "{} longer than a minute, the oldest {}; the cutover ends what does not finish within limits.transactions",
                count(n, "transaction"),
                age(moving.long.seconds)
            ),
        ),
    }
}

fn other_replicas(moving: &Moving, ours: &Ours<'_>, allow: &[String]) -> Check {
    let id = "other-replicas";
    let mut names: Vec<&str> = ours.replicas(moving).collect();
    let slots = moving.slots.iter().filter(|slot| !slot.logical && !ours.slot(&slot.name));
    names.extend(slots.map(|slot| slot.name.as_str()));
    if names.is_empty() {
        return passed(id, "none");
    }
    unless_allowed(
        allow,
        "other-replicas",
        id,
        format!("others follow V1: {}; V2 will not have their slots", some(&names)),
        "they must be pointed at V2 by hand afterwards",
    )
}

fn logical_slots(moving: &Moving, ours: &Ours<'_>, allow: &[String]) -> Check {
    let id = "logical-slots";
    let names: Vec<&str> = {
        let theirs = moving.slots.iter().filter(|slot| slot.logical && !ours.slot(&slot.name));
        theirs.map(|slot| slot.name.as_str()).collect()
    };
    if names.is_empty() {
        return passed(id, "none");
    }
    unless_allowed(
        allow,
        "logical-slots",
        id,
        format!("V1 has logical slots: {}; they do not exist on V2", some(&names)),
        "their consumers must be set up anew on V2 and would miss changes",
    )
}

/// The enabled ones are disabled for the window (`subscriptions.rs`), by what the plan knows of them.
fn subscriptions(moving: &Moving, ours: &Ours<'_>, method: Method) -> Check {
    let id = "subscriptions";
    let enabled: Vec<String> =
        moving.subscriptions.iter().filter(|s| s.enabled).map(|s| format!("{} in {}", s.name, s.database)).collect();
    if ours.subscriptions.as_ref().is_some_and(|planned| *planned != moving.enabled_subscriptions()) {
        return refused(
            id,
            format!("V1's subscriptions are not those of the plan any more; enabled now: {}", some(&enabled)),
            "`switchover abort`, then run again: the new plan knows them",
        );
    }
    if method == Method::Logical && !enabled.is_empty() {
        return refused(
            id,
            format!(
                "V1 subscribes to others: {}; where it has got to cannot be carried to another version",
                some(&enabled)
            ),
            "ALTER SUBSCRIPTION … DISABLE for the switchover; they are set up anew on V2",
        );
    }
    match (enabled.is_empty(), moving.subscriptions.len()) {
        (true, 0) => passed(id, "none"),
        (true, n) => noted(id, format!("{n}, none enabled; they come along as they are")),
        (false, _) => noted(id, format!("{}: disabled for the cutover, they go on on V2", some(&enabled))),
    }
}

fn background_workers(moving: &Moving) -> Check {
    let id = "background-workers";
    if moving.workers.is_empty() {
        return passed(id, "none but the server's own");
    }
    refused(
        id,
        format!("V1 runs background workers that may write, and that no access rule stops: {}", some(&moving.workers)),
        "stop them for the switch (for pg_cron: out of shared_preload_libraries, restart V1)",
    )
}

fn synchronous(moving: &Moving) -> Check {
    let id = "synchronous-standbys";
    match moving.setting("synchronous_standby_names") {
        "" => passed(id, "none"),
        names => refused(
            id,
            format!("commits on V1 wait for synchronous standbys ({names}); on V2 they would wait for ever"),
            "ALTER SYSTEM SET synchronous_standby_names = '' and reload, until the standbys follow V2",
        ),
    }
}

fn files_in_order(moving: &Moving) -> Check {
    let id = "files-in-order";
    let mut wrong = Vec::new();
    if moving.broken_rules > 0 {
        wrong.push(format!("{} in pg_hba.conf", count(moving.broken_rules, "error")));
    }
    if moving.broken_settings > 0 {
        wrong.push(format!("{} in its configuration files", count(moving.broken_settings, "error")));
    }
    if wrong.is_empty() {
        let pending: Vec<&str> =
            moving.settings.iter().filter(|(_, s)| s.pending).map(|(name, _)| name.as_str()).collect();
        return match pending.is_empty() {
            true => passed(id, "V1's access rules and settings can be read again"),
            false => {
                noted(id, format!("changed on V1 but waiting for a restart: {}; V2 starts with them", some(&pending)))
            }
        };
    }
    refused(
        id,
        format!("V1 has {}: a reload would not take, and V2 would not start", wrong.join(" and ")),
        "see pg_hba_file_rules and pg_file_settings, column error",
    )
}

/// Whoever changed them may wait for a better moment: our reload is that moment.
fn unread_files(moving: &Moving) -> Check {
    let id = "unread-files";
    match moving.unread.is_empty() {
        true => passed(id, "V1 has read its files as they are"),
        false => noted(
            id,
            format!("changed since V1 read them, and brought into force by our first reload: {}", some(&moving.unread)),
        ),
    }
}

fn age(seconds: u64) -> String {
    human(Span(std::time::Duration::from_secs(seconds)).0)
}
