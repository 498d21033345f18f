//! Which tag of a repository V2 is made from, where the owner gives bounds instead of a tag. Pure.
//!
//! A tag counts that is a version and nothing else: one to three numbers, and behind them exactly what stands there in
//! V1's tag (`-bookworm`, `-alpine`), as another base is another choice. Candidates of a release have letters in their
//! number, and so are none.

use crate::config::Within;

/// The numbers of a version, the most significant first; at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(Vec<u64>);

impl Version {
    /// The numbers that a text begins with. Packages may have an epoch in front: `1:11.8.2+maria~ubu2404` is 11.8.2.
    pub fn read(text: &str) -> Option<Version> {
        let text = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => rest,
            _ => text,
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        Self::exactly(text[..end].trim_end_matches('.'))
    }

    fn exactly(text: &str) -> Option<Version> {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        text.split('.').map(digits).collect::<Option<Vec<u64>>>().map(Version)
    }

    /// As in `17.6`.
    pub fn text(&self) -> String {
        self.0.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
    }

    pub fn first(&self) -> u64 {
        self.0.first().copied().unwrap_or_default()
    }

    /// Cut short, it is the other one: `17` of 17.6.
    fn stands_for(&self, other: &Version) -> bool {
        other.0.starts_with(&self.0)
    }
}

/// What V1 runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now {
    pub version: Version,
    /// So many of a version's numbers name its series, within which an upgrade is minor.
    pub series: usize,
    /// What stands behind the version in V1's tag, its `-` included; mostly nothing.
    pub suffix: String,
}

/// The highest tag within the bound; of `17` and `17.6` the one that says more.
pub fn pick<'a>(now: &Now, within: Within, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let versions = tags.into_iter().filter_map(|tag| Some((version_of(tag, &now.suffix)?, tag)));
    let fits = versions.filter(|(version, _)| version.stands_for(&now.version) || *version > now.version);
    fits.filter(|(version, _)| within == Within::Major || same_series(now, version)).max().map(|(_, tag)| tag)
}

/// A tag that does not name the whole series may move on to the next one.
fn same_series(now: &Now, version: &Version) -> bool {
    version.0.len() >= now.series && version.0.iter().zip(&now.version.0).take(now.series).all(|(a, b)| a == b)
}

fn version_of(tag: &str, suffix: &str) -> Option<Version> {
    let (number, rest) = split(tag);
    let version = Version::exactly(number)?;
    (rest == suffix && version.0.len() <= 3).then_some(version)
}

/// What stands behind the version in a tag. A tag without one, as `alpine`, names nothing but the base.
pub fn suffix(tag: &str) -> String {
    match split(tag) {
        ("latest", rest) => rest.to_owned(),
        (number, rest) if Version::read(number).is_some() => rest.to_owned(),
        _ => format!("-{tag}"),
    }
}

fn split(tag: &str) -> (&str, &str) {
    tag.split_at(tag.find('-').unwrap_or(tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(version: &str, series: usize, suffix: &str) -> Now {
        Now { version: Version::read(version).unwrap(), series, suffix: suffix.to_owned() }
    }
    fn picked(now: &Now, within: Within, tags: &str) -> Option<String> {
        pick(now, within, tags.split(' ')).map(str::to_owned)
    }
    #[track_caller]
    fn picks(version: &str, series: usize, tags: &str, minor: Option<&str>, major: Option<&str>) {
        let now = now(version, series, "");
        assert_eq!(picked(&now, Within::Minor, tags).as_deref(), minor, "minor, of {tags}");
        assert_eq!(picked(&now, Within::Major, tags).as_deref(), major, "major, of {tags}");
    }

    #[test]
    fn the_highest_within_the_bound_is_picked() {
        picks("17.5", 1, "16.9 17.4 17.5 17.6 17.10 18.0 18.1", Some("17.10"), Some("18.1"));
        picks("8.4.5", 2, "8.0.42 8.4.6 8.4.10 9.3.0", Some("8.4.10"), Some("9.3.0"));
        picks("10.11.8", 2, "10.6.22 10.11.13 11.4.7 11.8.2", Some("10.11.13"), Some("11.8.2"));
    }

    #[test]
    fn of_two_that_may_be_the_same_the_one_that_says_more_is_picked() {
        picks("17.5", 1, "17 17.6 18 18.0", Some("17.6"), Some("18.0"));
        picks("17.5", 1, "latest 17 18", Some("17"), Some("18"));
        picks("8.4.5", 2, "8.4 8.4.6", Some("8.4.6"), Some("8.4.6"));
    }

    #[test]
    fn a_tag_that_is_not_of_one_series_is_not_within_it() {
        picks("8.4.5", 2, "8 9", None, Some("9"));
        picks("8.4.5", 2, "8", None, Some("8"));
    }

    #[test]
    fn nothing_older_is_picked_and_what_runs_is_as_good_as_any() {
        picks("17.5", 1, "15 16.9 17.4", None, None);
        picks("17.5", 1, "17.4 17.5", Some("17.5"), Some("17.5"));
        picks("17.5", 1, "", None, None);
    }

    #[test]
    fn only_plain_versions_count() {
        picks("17.5", 1, "17.6-bookworm 17.6-alpine 18beta1 18rc1 v18 17.6.1.2 17. .17 17..6 latest", None, None);
    }

    #[test]
    fn the_base_of_v1_is_kept() {
        let tags = "17.6 17.6-bookworm 17.7-trixie 18.0 18.0-bookworm 18.0-alpine3.22";
        let now = now("17.5", 1, "-bookworm");
        assert_eq!(picked(&now, Within::Minor, tags).as_deref(), Some("17.6-bookworm"));
        assert_eq!(picked(&now, Within::Major, tags).as_deref(), Some("18.0-bookworm"));
    }

    #[test]
    fn what_stands_behind_a_version_is_told_from_a_tag() {
        for (tag, rest) in [
            ("17.5", ""),
            ("17-bookworm", "-bookworm"),
            ("17.5-alpine3.22", "-alpine3.22"),
            ("latest", ""),
            ("alpine", "-alpine"),
            ("18beta1-bookworm", "-bookworm"),
        ] {
            assert_eq!(suffix(tag), rest, "{tag}");
        }
    }

    #[test]
    fn versions_are_read_as_packages_write_them() {
        let read = |text| Version::read(text).map(|version| version.text());
        assert_eq!(read("17.5-1.pgdg120+1").as_deref(), Some("17.5"));
        assert_eq!(read("1:11.8.2+maria~ubu2404").as_deref(), Some("11.8.2"));
        assert_eq!(read("8.4.5-1.el9").as_deref(), Some("8.4.5"));
        assert_eq!(read("18beta1").as_deref(), Some("18"));
        assert_eq!(read("trixie"), None);
        assert_eq!(read(""), None);
    }
}
