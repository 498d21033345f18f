//! What V2's image makes of V1's version, command line and accounts.

use super::{Found, passed, refused, some};
use crate::engine::Check;
use crate::engine::mysql::dialect::Version;
use crate::engine::mysql::machine::Machine;
use crate::engine::mysql::said::Said;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![
        rights(found.v1),
        path(found.v1, found.v2),
        configuration(found.v2),
        tools(found.v2),
        plugins(found.v1, found.v2),
    ]
}

fn rights(v1: &Said) -> Check {
    let id = "rights";
    if v1.may_all {
        return passed(id, "the account we get in with has all rights");
    }
    refused(
        id,
        "the account we get into V1 with lacks rights",
        "give one with ALL ON *.* WITH GRANT OPTION, as root has",
    )
}

/// V2 may be of the same series or of the next: 8.0 → 8.4 → 9.7, and what lies between leads to the next of these.
pub(super) fn path(v1: &Said, v2: &Machine) -> Check {
    let id = "version-path";
    let (Some(old), Some(new)) = (Version::read(&v1.version), Version::read(&v2.version)) else {
        return refused(
            id,
            format!("versions {} and {} are not understood", v1.version, v2.version),
            "name images of MySQL",
        );
    };
    let said = format!("{} → {}", v1.version, v2.version);
    if new < old {
        return refused(id, format!("{said}: V2 is older"), "a replica must not be older than what it follows");
    }
    if is_next(old.series(), new.series()) {
        return passed(id, said);
    }
    refused(id, format!("{said}: a series is left out"), "go to the next long-term series first (8.0, 8.4, 9.7)")
}

fn is_next(old: (u32, u32), new: (u32, u32)) -> bool {
    const LONG_TERM: [(u32, u32); 3] = [(8, 0), (8, 4), (9, 7)];
    let step = |series: (u32, u32)| LONG_TERM.iter().filter(|term| **term < series).count();
    // From a long-term series up to the next one, that included.
    let start = step(old) + usize::from(LONG_TERM.contains(&old));
    old == new || step(new) <= start
}

fn configuration(v2: &Machine) -> Check {
    let id = "configuration";
    if v2.configured {
        return passed(id, "V2's server takes V1's command line and configuration files");
    }
    let why = v2.refuses.first().map_or("it does not say why", String::as_str);
    refused(
        id,
        format!("V2's server refuses V1's command line or configuration files: {}", why.escape_debug()),
        "take out of V1's what V2's version no longer knows, then plan again",
    )
}

fn tools(v2: &Machine) -> Check {
    let id = "tools";
    let missing: Vec<&str> =
        ["bash", "mysql"].into_iter().filter(|tool| !v2.tools.iter().any(|has| has == tool)).collect();
    match missing.is_empty() {
        true => passed(id, "V2's image has what is needed"),
        false => {
            refused(id, format!("V2's image lacks {}", missing.join(" and ")), "name an image like the official one")
        }
    }
}
pub(super) fn plugins(v1: &Said, v2: &Machine) -> Check {
    let id = "account-plugins";
    let gone = Version::read(&v2.version).is_some_and(|version| version >= Version(9, 0, 0));
    let old: Vec<&str> = v1
        .accounts
        .iter()
        .filter(|(_, plugin)| gone && matches!(plugin.as_str(), "mysql_native_password" | "sha256_password"))
        .map(|(account, _)| account.as_str())
        .collect();
    if old.is_empty() {
        return passed(id, format!("{} accounts, all of kinds that V2 knows", v1.accounts.len()));
    }
    refused(
        id,
        format!("V2 cannot check the passwords of {}", some(&old)),
        "ALTER USER … IDENTIFIED WITH caching_sha2_password BY …, on V1",
    )
}
