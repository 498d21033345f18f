//! How V2 gets its first copy, and why not otherwise.

use std::time::Duration;

use super::super::seed::Seed;
use super::{Found, Method, method, noted, passed, refused, some};
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::postgres::machine::major_minor;
use crate::runtime::Container;

/// From here on V1's files are copied, where nobody says otherwise: what is done beside the copy (an upgrade) then takes less
/// than reading every row.
const LARGE: u64 = 10 << 30;

pub(in super::super) fn seed(found: &Found<'_>) -> Seed {
    let wanted = match found.seed {
        Some(seed) => seed == Seed::Volume.name(),
        None => found.bytes() >= LARGE,
    };
    if wanted && why_not_volume(found).is_none() { Seed::Volume } else { Seed::Copy }
}

/// Rates of ordinary disks, in bytes a second, and what an upgrade in place takes whatever the size.
pub(in super::super) fn seed_time(found: &Found<'_>) -> Duration {
    let (rate, once) = match (method(found), seed(found)) {
        (Method::Physical, Seed::Copy) => (150 << 20, 1),
        (Method::Physical, Seed::Volume) => (300 << 20, 2),
        (Method::Logical, Seed::Copy) => (80 << 20, 5),
        (Method::Logical, Seed::Volume) => (300 << 20, 15),
    };
    let rate = found.limits.seed_rate.map_or(rate, |limit| limit.0.min(rate)).max(1);
    Duration::from_secs(once + found.bytes().div_ceil(rate))
}

pub(super) fn check(found: &Found<'_>) -> Check {
    let id = "seed-by-volume";
    match (seed(found), why_not_volume(found)) {
        (Seed::Volume, _) => passed(id, "V1's files are copied while it serves"),
        (Seed::Copy, Some(why)) if found.seed == Some(Seed::Volume.name()) => {
            refused(id, format!("V1's files cannot be V2's: {why}"), "leave `seed` out, or `--seed copy`")
        }
        (Seed::Copy, Some(why)) if found.bytes() >= LARGE => noted(id, format!("V1's files cannot be V2's: {why}")),
        (Seed::Copy, Some(_)) => passed(id, "not possible, and not asked for"),
        (Seed::Copy, None) => passed(id, format!("possible; chosen from {} on, or by `--seed volume`", Bytes(LARGE))),
    }
}

fn why_not_volume(found: &Found<'_>) -> Option<String> {
    if found.limits.seed_rate.is_some() {
        return Some("limits.seed-rate is set, and a copy of files knows no rate".into());
    }
    if found.v1_image.is_none() {
        return Some("V1's image is gone, and its programs are needed".into());
    }
    match method(found) {
        Method::Physical => why_not_streamed(found),
        Method::Logical => why_not_upgraded(found),
    }
}

fn why_not_streamed(found: &Found<'_>) -> Option<String> {
    let paths: Vec<String> = found.fixed.tablespaces.iter().map(|space| space.path.clone()).collect();
    let in_mounts = is_in_mounts(found.container, found.moving.setting("data_directory"), &paths);
    (!in_mounts).then(|| "V1's data is not in a volume, so that it can only come through V1's server".into())
}

fn why_not_upgraded(found: &Found<'_>) -> Option<String> {
    if let Some(why) = why_not_its_programs(&found.v1.libc, &found.v2.libc) {
        return Some(why);
    }
    for (image, machine, tools) in [
        ("V2", found.v2, &["pg_upgrade", "initdb"][..]),
        ("V1", found.v1, &["pg_ctl", "pg_controldata", "initdb", "pg_dump"]),
    ] {
        let missing: Vec<&str> =
            tools.iter().copied().filter(|tool| !machine.tools.iter().any(|has| has == tool)).collect();
        if !missing.is_empty() {
            return Some(format!("{image}'s image lacks {}", some(&missing)));
        }
    }
    let same_major = major_minor(&found.v2.version).map(|(major, _)| major) == Some(found.fixed.version_num / 10_000);
    if same_major && !found.fixed.tablespaces.is_empty() {
        return Some("pg_upgrade takes no tablespaces along within one major version".into());
    }
    let ranges: Vec<&str> =
        found.in_databases.iter().flat_map(|(_, it)| &it.ranges_of_text).map(String::as_str).collect();
    if !super::is_same_order(found) && !ranges.is_empty() {
        return Some(format!("partitioned by ranges of text, whose order is another one on V2: {}", some(&ranges)));
    }
    None
}

/// pg_upgrade runs V1's programs in V2's image: they need a C library of the same kind, and none that is older.
fn why_not_its_programs(v1: &str, v2: &str) -> Option<String> {
    let parts = |libc: &str| {
        let (kind, version) = libc.split_once(' ')?;
        let numbers: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
        Some((kind.to_owned(), numbers))
    };
    match (parts(v1), parts(v2)) {
        (Some((of_v1, older)), Some((of_v2, newer))) if of_v1 == of_v2 && older <= newer => None,
        (Some(_), Some(_)) => Some(format!("V1's programs need {v1}, V2's image has {v2}")),
        _ => Some("the C library of V1 or of V2's image is not known".into()),
    }
}

/// All of a server's data is where a helper can be given it, too.
pub(in super::super) fn is_in_mounts(container: &Container, data: &str, tablespaces: &[String]) -> bool {
    std::iter::once(data).chain(tablespaces.iter().map(String::as_str)).all(|path| container.can_share(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_run_where_the_c_library_is_no_older() {
        assert_eq!(why_not_its_programs("glibc 2.36", "glibc 2.41"), None);
        assert_eq!(why_not_its_programs("glibc 2.9", "glibc 2.36"), None);
        assert!(why_not_its_programs("glibc 2.41", "glibc 2.36").is_some());
        assert!(why_not_its_programs("musl 1.2.5", "glibc 2.36").is_some());
        assert!(why_not_its_programs("", "glibc 2.36").is_some());
    }
}
