//! Which pattern V1's data follows, and how V2 gets its own. Pure.
//!
//! Two servers never share a volume: V2's data is always in volumes made for it, at the places where its image or
//! V1's mounts want them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::runtime::{Container, Image, Mount, MountKind};
use crate::trouble::Trouble;

/// Where a container's data directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    ContainerLayer,
    AnonymousVolume,
    NamedVolume,
    HostDirectory,
    Tmpfs,
    Other,
}

/// What the data outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Persistence {
    /// Gone when the container stops.
    UntilStopped,
    /// Gone when the container is removed.
    UntilRemoved,
    /// Outlives the container, but only its id leads to it.
    HardToFind,
    /// Outlives the container, under a name.
    OutlivesContainer,
    /// Outlives the engine: a directory of the host's.
    OutlivesEngine,
}

/// How V2 gets its storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoragePlan {
    pub pattern: Pattern,
    pub persistence: Persistence,
    /// (volume, destination): made for V2.
    pub v2_volumes: Vec<(String, String)>,
    /// Where V1 has data mounted: V2 does not get these mounts.
    pub v1_data_mounts: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// `v1_data` and `v2_data` are the data directories, `more_data` further ones outside of them (same path on both
/// sides), `name` that of V2's first volume; others are numbered.
pub fn for_v2(
    v1: &Container,
    v1_data: &str,
    v2: &Image,
    v2_data: &str,
    more_data: &[String],
    name: &str,
) -> Result<StoragePlan, Trouble> {
    let home = v1.mount_of(v1_data);
    if let Some(mount) = home.filter(|mount| mount.read_only) {
        return Err(Trouble::refused(format!("V1's data at {} is mounted read-only", mount.destination)));
    }
    let pattern = home.map_or(Pattern::ContainerLayer, |mount| of_kind(mount.kind));
    let mut places = vec![place(home, v2, v2_data)];
    for extra in more_data {
        if !places.iter().any(|place| is_in(extra, place)) {
            places.push(place(v1.mount_of(extra), v2, extra));
        }
    }
    let data = || std::iter::once(v1_data).chain(more_data.iter().map(String::as_str));
    let is_data = |mount: &&Mount| {
        !mount.read_only
            && matches!(mount.kind, MountKind::Volume | MountKind::AnonymousVolume | MountKind::Bind | MountKind::Other)
            && data().any(|data| is_in(data, &mount.destination) || is_in(&mount.destination, data))
    };
    let v1_data_mounts: Vec<String> = v1.mounts.iter().filter(is_data).map(|mount| mount.destination.clone()).collect();
    Ok(StoragePlan {
        pattern,
        persistence: persistence(pattern, v1.auto_remove),
        notes: notes(v1, v1_data, pattern, &v1_data_mounts, name),
        v2_volumes: places.into_iter().enumerate().map(|(n, place)| (numbered(name, n), place)).collect(),
        v1_data_mounts,
    })
}

/// Where V2's volume goes: as V1 has it, else as V2's image declares it, else the directory itself.
fn place(v1_mount: Option<&Mount>, v2: &Image, data: &str) -> String {
    let of_v1 = v1_mount.map(|mount| mount.destination.as_str()).filter(|destination| is_in(data, destination));
    let declared = v2.volumes.iter().map(String::as_str).filter(|volume| is_in(data, volume));
    let place = of_v1.or_else(|| declared.max_by_key(|volume| volume.len())).unwrap_or(data);
    clean(place).to_owned()
}

fn is_in(path: &str, directory: &str) -> bool {
    let rest = clean(path).strip_prefix(clean(directory));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn clean(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn of_kind(kind: MountKind) -> Pattern {
    match kind {
        MountKind::Volume => Pattern::NamedVolume,
        MountKind::AnonymousVolume => Pattern::AnonymousVolume,
        MountKind::Bind => Pattern::HostDirectory,
        MountKind::Tmpfs => Pattern::Tmpfs,
        MountKind::Other => Pattern::Other,
    }
}

fn persistence(pattern: Pattern, auto_remove: bool) -> Persistence {
    match pattern {
        Pattern::Tmpfs => Persistence::UntilStopped,
        // `--rm` takes nameless volumes along.
        Pattern::ContainerLayer | Pattern::AnonymousVolume if auto_remove => Persistence::UntilStopped,
        Pattern::ContainerLayer => Persistence::UntilRemoved,
        Pattern::AnonymousVolume => Persistence::HardToFind,
        Pattern::NamedVolume | Pattern::Other => Persistence::OutlivesContainer,
        Pattern::HostDirectory => Persistence::OutlivesEngine,
    }
}

fn numbered(name: &str, n: usize) -> String {
    if n == 0 { name.to_owned() } else { format!("{name}-{n}") }
}

fn notes(v1: &Container, v1_data: &str, pattern: Pattern, data_mounts: &[String], name: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let from = match pattern {
        Pattern::NamedVolume => None,
        Pattern::ContainerLayer => Some("in the container itself, and would be gone with it".to_owned()),
        Pattern::AnonymousVolume => Some("in a volume without a name".to_owned()),
        Pattern::Tmpfs => Some("in memory, and would be gone when it stops".to_owned()),
        Pattern::HostDirectory => {
            v1.mount_of(v1_data).map(|mount| format!("in the directory {} of the host", mount.source))
        }
        Pattern::Other => Some("on a mount of a kind we do not know".to_owned()),
    };
    notes.extend(from.map(|from| format!("V1's data is {from}; V2's will be in the volume {name}")));
    for mount in &v1.mounts {
        let at = &mount.destination;
        let inside = is_in(at, v1_data) && clean(at) != clean(v1_data);
        if inside && data_mounts.contains(at) {
            notes.push(format!("{at} is mounted inside V1's data directory; V2 keeps a copy of it with its data"));
        } else if mount.kind == MountKind::AnonymousVolume && !data_mounts.contains(at) {
            notes.push(format!("{at} is a volume without a name and no data of the server's; V2 gets an empty one"));
        }
    }
    notes
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pattern::ContainerLayer => "container layer",
            Pattern::AnonymousVolume => "anonymous volume",
            Pattern::NamedVolume => "named volume",
            Pattern::HostDirectory => "host directory",
            Pattern::Tmpfs => "tmpfs",
            Pattern::Other => "other mount",
        })
    }
}

impl fmt::Display for Persistence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Persistence::UntilStopped => "gone when the container stops",
            Persistence::UntilRemoved => "gone when the container is removed",
            Persistence::HardToFind => "outlives the container, but has no name",
            Persistence::OutlivesContainer => "outlives the container",
            Persistence::OutlivesEngine => "outlives the container engine",
        })
    }
}

#[cfg(test)]
mod tests;
