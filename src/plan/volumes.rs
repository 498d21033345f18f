//! V2's own volumes. Two servers never share one: whatever holds V1's data is replaced by a volume of V2's.

use super::checks::{check, refuse};
use crate::engine::{Check, Survey, Verdict};
use crate::runtime::{Container, Image, Mount, MountKind};

pub(super) struct Volumes {
    /// (volume, destination in V2)
    pub(super) list: Vec<(String, String)>,
    pub(super) checks: Vec<Check>,
}

pub(super) fn of(v1: &Container, v2: &Image, survey: &Survey, name: &str) -> Volumes {
    let mut destinations: Vec<String> = Vec::new();
    for directory in std::iter::once(&survey.v2_data).chain(&survey.more_data) {
        let destination = destination(v1, v2, directory);
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }
    let checks = checks(v1, survey, &destinations);
    let numbered = |(n, destination): (usize, String)| {
        let volume = if n == 0 { name.to_owned() } else { format!("{name}-{}", n + 1) };
        (volume, destination)
    };
    Volumes { list: destinations.into_iter().enumerate().map(numbered).collect(), checks }
}

/// Where V2's volume for a directory is mounted: where V1's is, else where the image wants one, else right there.
fn destination(v1: &Container, v2: &Image, directory: &str) -> String {
    let mounted = v1.mounts.iter().filter(|mount| !mount.read_only).map(|mount| mount.destination.as_str());
    let declared = v2.volumes.iter().map(String::as_str);
    let nearest = |places: &mut dyn Iterator<Item = &str>| {
        places.filter(|place| covers(place, directory)).max_by_key(|place| place.len()).map(str::to_owned)
    };
    nearest(&mut mounted.into_iter())
        .or_else(|| nearest(&mut declared.into_iter()))
        .unwrap_or_else(|| directory.to_owned())
}

fn covers(place: &str, directory: &str) -> bool {
    let place = place.trim_end_matches('/');
    directory == place || directory.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
}

fn checks(v1: &Container, survey: &Survey, destinations: &[String]) -> Vec<Check> {
    let mut checks = vec![where_v1_keeps_its_data(v1, &survey.v1_data)];
    let own = |mount: &&Mount| !destinations.contains(&mount.destination);
    for mount in v1.mounts.iter().filter(own).filter(|mount| !mount.read_only && mount.kind != MountKind::Tmpfs) {
        let place = &mount.destination;
        let holds_data = std::iter::once(&survey.v1_data).chain(&survey.more_data).any(|data| covers(place, data));
        if holds_data {
            let found = format!("V1's data lies in {place}, which V2's image does not use: V2 would share it");
            checks.push(refuse("own-volume", found, "give V2 an image that keeps its data at the same place"));
        } else if destinations.iter().any(|data| covers(data, place)) {
            let found = format!("V1 mounts {} inside its data at {place}: V2 would mount it too", mount.source);
            let hint = "mount it read-only if it is configuration; else it is data that V2 must have a copy of";
            checks.push(refuse("nested-mount", found, hint));
        } else {
            let found = format!("V2 mounts {} at {place} as V1 does, both can write to it", mount.source);
            checks.push(check("shared-mount", Verdict::Noted, found));
        }
    }
    checks
}

fn where_v1_keeps_its_data(v1: &Container, data: &str) -> Check {
    match v1.mounts.iter().filter(|mount| covers(&mount.destination, data)).max_by_key(|mount| mount.destination.len())
    {
        Some(mount) if mount.kind == MountKind::Tmpfs => {
            let found = format!("V1's data is in memory ({})", mount.destination);
            Check { hint: Some("V2's will be on disk".into()), ..check("data-volume", Verdict::Noted, found) }
        }
        Some(mount) => check("data-volume", Verdict::Passed, format!("V1's data is in {}", mount.source)),
        None => {
            let found = format!("V1's data, {data}, is in no volume but in the container itself");
            let hint = "V2's will be in a volume; V1's goes with its container when that is removed";
            Check { hint: Some(hint.into()), ..check("data-volume", Verdict::Noted, found) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{container, image, survey};
    use super::*;

    fn mount(destination: &str, read_only: bool) -> Mount {
        Mount {
            kind: MountKind::Volume,
            source: format!("at{}", destination.replace('/', "-")),
            destination: destination.into(),
            read_only,
        }
    }

    fn found(mounts: Vec<Mount>, declared: &[&str], data: &str, more: &[&str]) -> (Vec<String>, Vec<String>) {
        let v1 = Container { mounts, ..container() };
        let v2 = Image { volumes: declared.iter().map(ToString::to_string).collect(), ..image() };
        let more_data = more.iter().map(ToString::to_string).collect();
        let survey = Survey { v1_data: data.into(), v2_data: data.into(), more_data, ..survey() };
        let Volumes { list, checks } = of(&v1, &v2, &survey, "v");
        let volumes = list.into_iter().map(|(volume, destination)| format!("{volume}:{destination}")).collect();
        let refused = checks.iter().filter(|check| check.verdict == Verdict::Refused).map(|check| check.id.clone());
        (volumes, refused.collect())
    }

    #[test]
    fn v2_never_gets_what_holds_v1s_data() {
        let (volumes, refused) = found(vec![mount("/var/lib/x", false)], &["/var/lib/x"], "/var/lib/x", &[]);
        assert_eq!((volumes, refused), (vec!["v:/var/lib/x".to_owned()], vec![]));
        // The mount lies above the data.
        let (volumes, _) = found(vec![mount("/data", false)], &["/var/lib/x"], "/data/main", &[]);
        assert_eq!(volumes, ["v:/data"]);
        // No volume at all: where the image wants one, else at the data itself.
        assert_eq!(found(vec![], &["/var/lib/x"], "/var/lib/x/18/data", &[]).0, ["v:/var/lib/x"]);
        assert_eq!(found(vec![], &[], "/srv/pg", &[]).0, ["v:/srv/pg"]);
    }

    #[test]
    fn a_directory_beside_the_data_gets_a_volume_of_its_own() {
        let mounts = vec![mount("/data", false), mount("/ts", false)];
        assert_eq!(found(mounts, &[], "/data", &["/ts/a", "/ts/b"]).0, ["v:/data", "v-2:/ts"]);
    }

    #[test]
    fn what_would_be_shared_is_refused_or_said() {
        let nested = vec![mount("/data", false), mount("/data/wal", false)];
        assert_eq!(found(nested, &[], "/data", &[]).1, ["nested-mount"]);
        let configuration = vec![mount("/data", false), mount("/data/conf", true), mount("/backup", false)];
        assert_eq!(found(configuration, &[], "/data", &[]).1, Vec::<String>::new());
        // A name that only begins the same is another directory.
        assert!(!covers("/data", "/database") && covers("/data/", "/data/x") && covers("/data", "/data"));
    }

    #[test]
    fn data_that_moves_within_the_image_is_not_shared_either() {
        let v1 = Container { mounts: vec![mount("/var/lib/pg/data", false)], ..container() };
        let v2 = Image { volumes: vec!["/var/lib/pg".into()], ..image() };
        let survey = Survey { v1_data: "/var/lib/pg/data".into(), v2_data: "/var/lib/pg/18".into(), ..survey() };
        let found = of(&v1, &v2, &survey, "v");
        assert_eq!(found.list, [("v".to_owned(), "/var/lib/pg".to_owned())]);
        assert!(found.checks.iter().any(|check| check.id == "own-volume" && check.verdict == Verdict::Refused));
    }
}
