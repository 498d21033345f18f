//! What the method `logical` asks beyond, and instead of, what streaming does.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::{Found, noted, passed, refused, some, unless_allowed};
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::postgres::logical::{Cluster, Identity, InDatabase};
use crate::engine::postgres::machine::major_minor;
use crate::engine::postgres::said::Fixed;
use crate::runtime::MountKind;

/// What streaming asks for and this method does not: V2 has files, a log and an order of its own.
pub(super) const NOT_ASKED: &[&str] = &[
    "same-major",
    "c-library",
    "icu",
    "extension-libraries",
    "v2-tools",
    "hot-standby",
    "recovery-settings",
    "wal-level",
    "rewind",
    "auto-remove",
    "databases",
    "exclusive-backup",
];

/// The oldest and the newest major version this was tried with, as V1 and as V2.
const TRIED: [u32; 2] = [13, 18];

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![
        versions(found),
        order_of_text(found),
        wal_level(found),
        closed_databases(found),
        names_of_databases(found),
        connections(found),
        keyless(found),
        extensions(found),
        libraries(found),
        locales(found),
        large_objects(found),
        always(found),
        hashed_by_enum(found),
        tools(found),
    ]
}

/// What V2's image is asked for: extensions and locales.
pub(in super::super) fn for_another_version(
    databases: &[(String, InDatabase)],
    fixed: &Fixed,
    cluster: &Cluster,
) -> Vec<String> {
    let extensions = databases.iter().flat_map(|(_, it)| &it.extensions).map(|it| format!("ext:{}", it.name));
    let locales = locales_of(fixed, cluster).into_iter().map(|name| format!("locale:{name}"));
    extensions.chain(locales).collect::<BTreeSet<_>>().into_iter().collect()
}

fn locales_of<'a>(fixed: &'a Fixed, cluster: &'a Cluster) -> BTreeSet<&'a str> {
    let of_databases = fixed.databases.iter().flat_map(|it| [it.collate.as_str(), it.ctype.as_str()]);
    of_databases.chain([cluster.collate.as_str(), cluster.ctype.as_str()]).filter(|name| !name.is_empty()).collect()
}

fn versions(found: &Found<'_>) -> Check {
    let id = "versions";
    let v1 = found.fixed.version_num / 10_000;
    let [oldest, newest] = TRIED;
    match major_minor(&found.v2.version) {
        _ if v1 < oldest => refused(
            id,
            format!("V1 is PostgreSQL {}; {oldest} is the oldest that is supported", found.fixed.version),
            format!("upgrade V1 to {oldest} or newer first"),
        ),
        Some((v2, _)) if v2 < v1 => refused(
            id,
            format!("V1 is PostgreSQL {v1}, V2's image has {v2}: a downgrade would not understand V1's schema"),
            format!("use an image of PostgreSQL {v1} or newer"),
        ),
        Some((v2, _)) if v2 > newest => noted(id, format!("{v1} → {v2}; {v2} is newer than what this was tried with")),
        Some((v2, _)) => passed(id, format!("{v1} → {v2}, by logical replication")),
        None => refused(id, "the version of V2's server is not known", "try `postgres --version` in V2's image"),
    }
}

fn order_of_text(found: &Found<'_>) -> Check {
    let id = "order-of-text";
    let [libc, icu] = super::image::dependents(found);
    if super::image::is_same_order(found) {
        return passed(id, "V1's text indexes are in an order that V2's image has, too");
    }
    let names: Vec<&str> = found.inside.iter().flat_map(|(_, it)| &it.ordered).map(String::as_str).collect();
    noted(
        id,
        format!(
            "{} indexes or partitionings are in the order of a library that V2's image has in another version; \
             they are built anew there: {}",
            libc + icu,
            some(&names)
        ),
    )
}

fn wal_level(found: &Found<'_>) -> Check {
    let id = "wal-level";
    let level = found.moving.setting("wal_level");
    if level == "logical" {
        return passed(id, level);
    }
    let needs = format!("wal_level is {level} on V1; logical replication needs logical, which takes one restart of V1");
    let by_hand = "ALTER SYSTEM SET wal_level = 'logical', and restart V1 when it suits";
    if let Some(why) = cannot_be_restarted(found) {
        return refused(id, format!("{needs}, and {why}"), by_hand);
    }
    unless_allowed(
        found.allow,
        "v1-restart",
        id,
        format!("{needs}: its clients are without it for a few seconds, once, at the beginning"),
        by_hand,
    )
}

/// By us, through the engine.
fn cannot_be_restarted(found: &Found<'_>) -> Option<&'static str> {
    let data = found.container.mount_of(found.moving.setting("data_directory"));
    if found.moving.on_command_line("wal_level") {
        Some("it is set on V1's command line, which stays as it is")
    } else if found.container.auto_remove {
        Some("V1 was started with --rm: a stop would remove it")
    } else if data.is_some_and(|mount| mount.kind == MountKind::Tmpfs) {
        Some("its data is in memory only")
    } else if !matches!(found.container.stop_signal.trim_start_matches("SIG"), "INT" | "QUIT") {
        Some("its container is not stopped by SIGINT: PostgreSQL would wait for its clients")
    } else {
        None
    }
}

/// What cannot be looked into cannot be carried.
fn closed_databases(found: &Found<'_>) -> Check {
    let id = "databases";
    let is_closed = |it: &&crate::engine::postgres::said::Database| !it.connectable && it.name != "template0";
    let closed: Vec<&str> = found.fixed.databases.iter().filter(is_closed).map(|it| it.name.as_str()).collect();
    if closed.is_empty() {
        return passed(id, format!("{} databases are carried", found.in_databases.len()));
    }
    refused(
        id,
        format!("{} allow no connections: they cannot be carried to another version", some(&closed)),
        "ALTER DATABASE … ALLOW_CONNECTIONS true, or drop them",
    )
}

/// A name is stored as it was sent, by whatever encoding: read in another one it is another name, for pg_dump too. Lines in a
/// name are refused by the tools of recent point releases.
fn names_of_databases(found: &Found<'_>) -> Check {
    let id = "database-names";
    let strange: Vec<&str> = found
        .fixed
        .databases
        .iter()
        .filter(|it| it.encoding != "UTF8" && !it.name.is_ascii() || it.name.contains(['\n', '\r']))
        .map(|it| it.name.as_str())
        .collect();
    match strange.is_empty() {
        true => passed(id, "mean the same in every encoding that is used"),
        false => refused(
            id,
            format!("their names hold lines, or more than ASCII in an encoding that is not UTF8: {}", some(&strange)),
            "ALTER DATABASE … RENAME TO a name in ASCII: no dump could make these again",
        ),
    }
}

/// We keep two sessions in each database while it gets ready: V1's clients shall not be without.
fn connections(found: &Found<'_>) -> Check {
    let id = "free-connections";
    let needed = 2 * found.in_databases.len() + 8;
    match found.moving.number("max_connections") {
        Some(max) if needed <= max as usize / 2 => passed(id, format!("{needed} of {max} are used at most")),
        Some(max) => refused(
            id,
            format!("max_connections is {max}; {needed} of them would be used, which is too much beside V1's clients"),
            "raise max_connections on V1 (takes a restart), or drop databases that nobody uses",
        ),
        None => refused(id, "max_connections is not known", "look at V1"),
    }
}

fn keyless(found: &Found<'_>) -> Check {
    let id = "primary-keys";
    let all: Vec<_> = found
        .in_databases
        .iter()
        .flat_map(|(database, it)| it.keyless.iter().map(move |table| (database, table)))
        .collect();
    let name = |database: &str, table: &Identity| {
        format!("{database}: {}.{} ({})", table.schema, table.table, Bytes(table.bytes))
    };
    let named = |whole: bool| -> Vec<String> {
        let some = all.iter().filter(|(_, table)| table.index.is_none() || !whole);
        some.map(|(database, table)| name(database, table)).collect()
    };
    let whole = named(true);
    if all.is_empty() {
        return passed(id, "every table's rows can be told apart");
    }
    if whole.is_empty() {
        let by_index = named(false);
        return noted(
            id,
            format!("found again by a unique index instead of a primary key, for the run: {}", some(&by_index)),
        );
    }
    unless_allowed(
        found.allow,
        "no-primary-key",
        id,
        format!("tables without a key by which a changed row is found again: {}", some(&whole)),
        "give them a primary key. Accepted, they are marked REPLICA IDENTITY FULL for the run: V1 then logs whole old \
         rows, and up to version 15 each change makes V2 read the whole table",
    )
}

fn extensions(found: &Found<'_>) -> Check {
    let id = "extensions";
    let mut wrong = BTreeSet::new();
    let mut count = BTreeSet::new();
    for extension in found.in_databases.iter().flat_map(|(_, it)| &it.extensions) {
        count.insert(&extension.name);
        let wanted = format!("ext:{} ", extension.name);
        match found.v2.has.iter().find_map(|has| has.strip_prefix(&wanted)) {
            None => _ = wrong.insert(format!("{} (missing)", extension.name)),
            Some(there) if compare(there, &extension.version) == Ordering::Less => {
                wrong.insert(format!("{} ({} on V1, {there} on V2)", extension.name, extension.version));
            }
            Some(_) => {}
        }
    }
    if wrong.is_empty() {
        return passed(id, format!("V2's image has all {}, none older than on V1", count.len()));
    }
    refused(
        id,
        format!("V2's image lacks extensions, or has them older than V1: {}", some(&Vec::from_iter(wrong))),
        "use an image with V1's extensions, or DROP EXTENSION what is not used",
    )
}

/// By their numbers: `1.10` is newer than `1.9`.
fn compare(one: &str, other: &str) -> Ordering {
    let numbers = |version: &str| -> Vec<u64> {
        version.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    numbers(one).cmp(&numbers(other))
}

/// Those of no extension, and those the server is to load at its start.
fn libraries(found: &Found<'_>) -> Check {
    let id = "extension-libraries";
    let preload = ["shared_preload_libraries", "session_preload_libraries"].map(|name| found.moving.setting(name));
    let own = found.in_databases.iter().flat_map(|(_, it)| it.libraries.iter().cloned());
    let needed = super::image::needed_libraries(preload, own);
    if !matches!(found.moving.setting("dynamic_library_path"), "" | "$libdir") || !found.v2.libraries_known {
        return noted(id, "cannot be compared: where V2's image keeps its libraries is not known");
    }
    let missing: Vec<&str> = needed.iter().filter(|it| !found.v2.has.contains(it)).map(|it| &it[4..]).collect();
    match missing.is_empty() {
        true => passed(id, format!("V2's image has all {} that V1 loads or names by itself", needed.len())),
        false => refused(id, format!("V2's image lacks {}", some(&missing)), "use an image that has them"),
    }
}

fn locales(found: &Found<'_>) -> Check {
    let id = "locales";
    let all = locales_of(found.fixed, found.cluster);
    let missing: Vec<&&str> = all.iter().filter(|name| !found.v2.has.contains(&format!("locale:{name}"))).collect();
    match missing.is_empty() {
        true => passed(id, format!("V2's image has {}", some(&Vec::from_iter(&all)))),
        false => refused(
            id,
            format!("V2's image does not have the locales of V1's databases: {}", some(&missing)),
            "use an image that has them (`locale -a` in it)",
        ),
    }
}

fn large_objects(found: &Found<'_>) -> Check {
    let id = "large-objects";
    match found.in_databases.iter().map(|(_, it)| it.large_objects).sum::<u64>() {
        0 => passed(id, "none"),
        n => unless_allowed(
            found.allow,
            "large-objects",
            id,
            format!("{n} large objects: no publication carries what is written to them after the copy"),
            "keep such data in columns of type bytea. Accepted, those that are written later go over when V2 gets ready, and \
             a few once more in the window, which takes its time",
        ),
    }
}

fn always(found: &Found<'_>) -> Check {
    let id = "always-triggers";
    let all: Vec<&str> = found.in_databases.iter().flat_map(|(_, it)| &it.always).map(String::as_str).collect();
    match all.is_empty() {
        true => passed(id, "none"),
        false => noted(id, format!("fire for replicated changes, too; disabled on V2 until it serves: {}", some(&all))),
    }
}

fn hashed_by_enum(found: &Found<'_>) -> Check {
    let id = "partitions-by-enum";
    let all: Vec<&str> = found.in_databases.iter().flat_map(|(_, it)| &it.hashed_by_enum).map(String::as_str).collect();
    match all.is_empty() {
        true => passed(id, "none"),
        false => refused(
            id,
            format!(
                "partitioned by the hash of an enumeration, which every server numbers differently: {}",
                some(&all)
            ),
            "partition them by list, or by the hash of the value as text",
        ),
    }
}

fn tools(found: &Found<'_>) -> Check {
    let id = "v2-tools";
    let missing: Vec<&str> = ["initdb", "pg_dump", "pg_dumpall", "pg_restore", "psql"]
        .into_iter()
        .filter(|tool| !found.v2.tools.iter().any(|has| has == tool))
        .collect();
    match missing.is_empty() {
        true => passed(id, "initdb, pg_dump, pg_dumpall, pg_restore, psql"),
        false => refused(
            id,
            format!("V2's image lacks {}", some(&missing)),
            "use an image with PostgreSQL's server and client programs",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_extensions_are_numbers() {
        assert_eq!(compare("1.10", "1.9"), Ordering::Greater);
        assert_eq!(compare("3.4.0", "3.4.0"), Ordering::Equal);
        assert_eq!(compare("1.6", "2.0"), Ordering::Less);
    }
}
