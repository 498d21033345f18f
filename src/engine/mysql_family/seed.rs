//! Which way V2 gets its first copy, and why not another one.

use super::said::Said;
use crate::config::quantity::Bytes;
use crate::engine::Check;
use crate::engine::check::{passed, refused, some};
use crate::plan::Plan;

/// From here on V1's pages are copied, where nobody says otherwise.
const LARGE: u64 = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Seed {
    /// By statements: any version to any later one.
    Dump,
    /// V1's pages, by the means of its own version, while V1 serves.
    Backup,
    /// V1's files, as they are while its writes are held for a moment.
    Volume,
}

impl Seed {
    const ALL: [Seed; 3] = [Seed::Dump, Seed::Backup, Seed::Volume];

    pub(in crate::engine) fn name(self) -> &'static str {
        match self {
            Seed::Dump => "dump",
            Seed::Backup => "backup",
            Seed::Volume => "volume",
        }
    }

    pub(in crate::engine) fn named(name: &str) -> Option<Seed> {
        Seed::ALL.into_iter().find(|seed| seed.name() == name)
    }

    /// Another run's words, or those of a switchback, are taken for the way that is always possible.
    pub(in crate::engine) fn of(plan: &Plan) -> Seed {
        Seed::named(&plan.seed).unwrap_or(Seed::Dump)
    }
}

/// What is asked for, where it is possible; else V1's pages from a size on, or where statements would leave something out.
pub(in crate::engine) fn chosen(v1: &Said, wanted: Option<&str>, why_not: impl Fn(Seed) -> Option<String>) -> Seed {
    let wanted = match wanted {
        Some(name) => Seed::named(name).unwrap_or(Seed::Dump),
        None if v1.bytes >= LARGE || !v1.not_carried.is_empty() => Seed::Backup,
        None => Seed::Dump,
    };
    if why_not(wanted).is_none() { wanted } else { Seed::Dump }
}

pub(in crate::engine) fn check(
    v1: &Said,
    wanted: Option<&str>,
    how: impl Fn(Seed) -> String,
    why_not: impl Fn(Seed) -> Option<String>,
) -> Check {
    let id = "seed";
    let hint = "leave `seed` out, or `--seed dump`";
    let chosen = chosen(v1, wanted, &why_not);
    match (wanted, wanted.and_then(Seed::named)) {
        (Some(name), None) => refused(id, format!("there is no seed {} here", name.escape_debug()), hint),
        (_, Some(seed)) if seed != chosen => refused(id, why_not(seed).unwrap_or_default(), hint),
        (None, _) if chosen == Seed::Dump => {
            let other = match why_not(Seed::Backup) {
                Some(why) => format!("`backup` is not possible ({why})"),
                None => format!("`backup` is chosen from {} on", Bytes(LARGE)),
            };
            passed(id, format!("{}; {other}", how(chosen)))
        }
        _ => passed(id, how(chosen)),
    }
}

/// Engines whose tables are whole in their files when nobody may write: what is in memory, or elsewhere, is not.
const IN_FILES: [&str; 6] = ["MyISAM", "Aria", "CSV", "ARCHIVE", "MRG_MyISAM", "BLACKHOLE"];

/// A helper cannot be given all that V1 keeps. `shares`: V1's data directory is where another container can be given it, too.
pub(in crate::engine) fn why_not_its_files(v1: &Said, shares: bool) -> Option<String> {
    if !shares {
        return Some("V1's data is not in one volume or directory that a helper could be given".into());
    }
    if !v1.elsewhere.is_empty() {
        return Some(format!("V1 has files outside of its data directory: {}", some(&v1.elsewhere)));
    }
    let whole = |table: &&String| {
        IN_FILES.iter().any(|engine| table.to_lowercase().ends_with(&format!("({})", engine.to_lowercase())))
    };
    let others: Vec<&String> = v1.not_innodb.iter().filter(|table| !whole(table)).collect();
    (!others.is_empty()).then(|| format!("these are not whole in V1's files: {}", some(&others)))
}

/// By what ordinary machines do, in bytes a second, and what a new data directory or a start takes.
pub(in crate::engine) fn seconds(seed: Seed, bytes: u64) -> u64 {
    let rate: u64 = match seed {
        Seed::Dump => 25 << 20,
        Seed::Backup | Seed::Volume => 200 << 20,
    };
    12 + bytes / rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Verdict;

    #[test]
    fn what_is_large_or_cannot_be_said_by_statements_is_copied_by_its_pages() {
        let small = Said { bytes: LARGE - 1, ..Said::default() };
        let large = Said { bytes: LARGE, ..Said::default() };
        let versioned = Said { not_carried: vec!["a.t".into()], ..Said::default() };
        let possible = |_| None;
        let only_dump = |seed| (seed != Seed::Dump).then(|| "no".to_owned());
        assert_eq!(chosen(&small, None, possible), Seed::Dump);
        assert_eq!(chosen(&large, None, possible), Seed::Backup);
        assert_eq!(chosen(&versioned, None, possible), Seed::Backup);
        assert_eq!(chosen(&large, None, only_dump), Seed::Dump);
        assert_eq!(chosen(&small, Some("volume"), possible), Seed::Volume);
        let verdict = |wanted, why_not: fn(Seed) -> Option<String>| {
            check(&small, Some(wanted), |seed| seed.name().into(), why_not).verdict
        };
        assert_eq!(verdict("volume", possible), Verdict::Passed);
        assert_eq!(verdict("volume", only_dump), Verdict::Refused);
        assert_eq!(verdict("tape", possible), Verdict::Refused);
    }

    #[test]
    fn a_helper_is_given_all_or_nothing() {
        let all_in_one = Said::default();
        assert!(why_not_its_files(&all_in_one, true).is_none() && why_not_its_files(&all_in_one, false).is_some());
        assert!(why_not_its_files(&Said { elsewhere: vec!["/b/t.ibd".into()], ..Said::default() }, true).is_some());
        let of = |engine: &str| Said { not_innodb: vec![format!("a.t ({engine})")], ..Said::default() };
        assert!(why_not_its_files(&of("MyISAM"), true).is_none() && why_not_its_files(&of("Aria"), true).is_none());
        assert!(why_not_its_files(&of("MEMORY"), true).is_some() && why_not_its_files(&of("ROCKSDB"), true).is_some());
    }
}
