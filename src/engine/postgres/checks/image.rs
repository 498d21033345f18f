//! What V2's image must bring.

use std::collections::BTreeSet;

use super::{Found, noted, passed, refused, some};
use crate::engine::Check;
use crate::engine::postgres::machine::major_minor;

/// The oldest major version this method was tried with.
const OLDEST: u32 = 13;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    let mut checks = vec![same_major(found), not_older(found), architecture(found)];
    let [libc, icu] = dependents(found);
    checks.push(ordering("c-library", "C library", [&found.v1.libc, &found.v2.libc], libc));
    checks.push(ordering("icu", "ICU", [&found.v1.icu, &found.v2.icu], icu));
    checks.push(libraries(found));
    checks.push(tools(found));
    checks
}

fn same_major(found: &Found<'_>) -> Check {
    let id = "same-major";
    let v1 = found.fixed.version_num / 10_000;
    match major_minor(&found.v2.version) {
        _ if v1 < OLDEST => refused(
            id,
            format!("V1 is PostgreSQL {}; {OLDEST} is the oldest that is supported", found.fixed.version),
            format!("upgrade V1 to {OLDEST} or newer first"),
        ),
        Some((v2, _)) if v2 == v1 => passed(id, format!("both are PostgreSQL {v1}")),
        Some((v2, _)) => refused(
            id,
            format!("V1 is PostgreSQL {v1}, V2's image has {v2}: streaming works within one major version only"),
            format!(
                "use an image of PostgreSQL {v1}; moving to another major version is what the logical method is for"
            ),
        ),
        None => refused(id, "the version of V2's server is not known", "try `postgres --version` in V2's image"),
    }
}

pub(super) fn is_same_major(found: &Found<'_>) -> bool {
    // Where V2's version is not known, what streaming asks for says so.
    major_minor(&found.v2.version).is_none_or(|(v2, _)| v2 == found.fixed.version_num / 10_000)
}

/// No index or partitioning of V1 would be in another order on V2.
pub(in super::super) fn is_same_order(found: &Found<'_>) -> bool {
    let [libc, icu] = dependents(found);
    let same = |v1: &str, v2: &str| v1 == v2 && !v1.is_empty();
    (same(&found.v1.libc, &found.v2.libc) || libc == 0) && (same(&found.v1.icu, &found.v2.icu) || icu == 0)
}

pub(super) fn dependents(found: &Found<'_>) -> [u32; 2] {
    [
        found.inside.iter().map(|(_, inside)| inside.ordered_by_libc).sum(),
        found.inside.iter().map(|(_, inside)| inside.ordered_by_icu).sum(),
    ]
}

fn not_older(found: &Found<'_>) -> Check {
    let id = "v2-not-older";
    let v1 = (found.fixed.version_num / 10_000, found.fixed.version_num % 10_000);
    let (from, to) = (&found.fixed.version, &found.v2.version);
    match major_minor(to) {
        Some(v2) if v2 >= v1 => passed(id, format!("{from} → {to}")),
        Some(_) => refused(
            id,
            format!("V2's image has {to}, which is older than V1's {from}"),
            "use an image with the same or a newer minor version",
        ),
        None => refused(id, "the version of V2's server is not known", "try `postgres --version` in V2's image"),
    }
}

fn architecture(found: &Found<'_>) -> Check {
    let id = "architecture";
    let (v1, v2) = (&found.v1.architecture, &found.v2.architecture);
    if v1.is_empty() || v2.is_empty() {
        return refused(id, "the architecture of V1 or of V2's image is not known", "try `uname -m` in both");
    }
    if v1 == v2 {
        return passed(id, v1);
    }
    refused(id, format!("V1 runs on {v1}, V2's image on {v2}"), format!("use an image for {v1}"))
}

/// Text indexes are in the order of a library: with another version of it they would be silently wrong.
fn ordering(id: &str, library: &str, [v1, v2]: [&String; 2], dependents: u32) -> Check {
    let name = |version: &String| if version.is_empty() { "unknown".to_owned() } else { version.clone() };
    if v1 == v2 && !(v1.is_empty() && dependents > 0) {
        return passed(id, if v1.is_empty() { format!("{library}: not used") } else { format!("both have {v1}") });
    }
    let differ = format!("{library}: V1 has {}, V2's image {}", name(v1), name(v2));
    if dependents == 0 {
        return noted(id, format!("{differ}; no index or partitioning of V1 is ordered by it"));
    }
    refused(
        id,
        format!(
            "{differ}; {dependents} indexes or partitionings of V1 are in its order and would be silently wrong on V2"
        ),
        "use an image built on the same base as V1's; a change of the library is what the logical method is for",
    )
}

/// What V1's functions and preloaded modules live in: (as asked for in the image, as named in V1).
pub(in super::super) fn needed_libraries(
    settings: [&str; 2],
    from_functions: impl Iterator<Item = String>,
) -> BTreeSet<String> {
    let preloaded = settings.into_iter().flat_map(|list| list.split(',')).map(|name| {
        let name = name.trim().trim_matches('"');
        name.strip_prefix("$libdir/plugins/").map_or(name.to_owned(), |plugin| format!("plugins/{plugin}"))
    });
    from_functions
        .chain(preloaded)
        .map(|name| name.strip_prefix("$libdir/").unwrap_or(&name).trim_end_matches(".so").to_owned())
        .filter(|name| !name.is_empty())
        .map(|name| format!("lib:{name}"))
        .collect()
}

fn libraries(found: &Found<'_>) -> Check {
    let id = "extension-libraries";
    let needed = found.needed_libraries();
    if !matches!(found.moving.setting("dynamic_library_path"), "" | "$libdir") || !found.v2.libraries_known {
        return noted(id, "cannot be compared: where V2's image keeps its libraries is not known");
    }
    let missing: Vec<&str> = needed
        .iter()
        .filter(|library| !found.v2.has.contains(library))
        .map(|library| library.strip_prefix("lib:").unwrap_or(library))
        .collect();
    if missing.is_empty() {
        return passed(
            id,
            format!("V2's image has all {} libraries that V1's functions and settings name", needed.len()),
        );
    }
    let extensions: BTreeSet<&str> =
        found.inside.iter().flat_map(|(_, inside)| &inside.extensions).map(String::as_str).collect();
    refused(
        id,
        format!("V2's image lacks {}", some(&missing)),
        format!(
            "use an image with V1's extensions ({}), or drop what is not used",
            some(&extensions.into_iter().collect::<Vec<_>>())
        ),
    )
}

fn tools(found: &Found<'_>) -> Check {
    let id = "v2-tools";
    if !found.v2.tools.iter().any(|tool| tool == "pg_basebackup") {
        return refused(id, "V2's image has no pg_basebackup", "use an image with PostgreSQL's client programs");
    }
    if !["psql", "pg_rewind"].iter().all(|tool| found.v2.tools.iter().any(|has| has == tool)) {
        return noted(
            id,
            "V2's image lacks psql or pg_rewind: no proof of a write through the clients' address, and a promotion \
             thrown away needs a new copy",
        );
    }
    passed(id, "pg_basebackup, pg_rewind, psql")
}

impl Found<'_> {
    pub(in super::super) fn needed_libraries(&self) -> BTreeSet<String> {
        libraries_of(self.moving, self.inside)
    }
}

pub(in super::super) fn libraries_of(moving: &super::Moving, inside: &[(String, super::Inside)]) -> BTreeSet<String> {
    let preload = ["shared_preload_libraries", "session_preload_libraries"].map(|name| moving.setting(name));
    needed_libraries(preload, inside.iter().flat_map(|(_, inside)| inside.libraries.iter().cloned()))
}
