//! What V2's image makes of V1's version, command line and accounts.

use super::{Found, alike, passed, refused, some};
use crate::engine::Check;
use crate::engine::mysql::dialect::Version;
use crate::engine::mysql_family::machine::Machine;
use crate::engine::mysql_family::said::Said;
use crate::engine::mysql_family::upgrade::Leap;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![
        alike::rights(found.v1),
        path(found.v1, found.v2),
        alike::configuration(found.v2),
        alike::tools(found.v2, &["bash", "mysql"]),
        plugins(found.v1, found.v2),
    ]
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

/// How far V2's version is from V1's. A version that is not understood is refused elsewhere.
pub(super) fn leap(found: &Found<'_>) -> Leap {
    let (old, new) = (Version::read(&found.v1.version), Version::read(&found.v2.version));
    let (Some(old), Some(new)) = (old, new) else { return Leap::default() };
    let passes = |version: Version| old < version && new >= version;
    Leap {
        newer: new.series() > old.series(),
        strict_keys: passes(Version(8, 4, 0)),
        // Where component_classic_hashing came, which has them.
        no_digests: passes(Version(9, 6, 0)),
    }
}

fn is_next(old: (u32, u32), new: (u32, u32)) -> bool {
    const LONG_TERM: [(u32, u32); 3] = [(8, 0), (8, 4), (9, 7)];
    let step = |series: (u32, u32)| LONG_TERM.iter().filter(|term| **term < series).count();
    // From a long-term series up to the next one, that included.
    let start = step(old) + usize::from(LONG_TERM.contains(&old));
    old == new || step(new) <= start
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
