//! Where the service's data stands in the file, and what becomes of that: V2's own volume, by its name. Pure.

use serde_json::{Value, json};

use super::draw::{No, Wanted, no};
use super::edit::Page;
use crate::plan::{COMPOSE_LABELS, Splice};
use crate::runtime::{Labels, MountKind};

/// One of V2's volumes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Data {
    /// The file's key for it.
    key: String,
    volume: String,
    /// Where the server finds it.
    at: String,
    now: Now,
}

/// How V1 has its data there.
#[derive(Debug, PartialEq, Eq)]
enum Now {
    /// In the volume of this key.
    Named,
    /// In a directory of the host, or in a volume without a name: the entry gets a key, which is new.
    Elsewhere,
    /// In a volume that the image asks for, and the file says nothing of.
    Unsaid,
}

const MOVE_IT: &str =
    "move the data into a named volume, or name the container itself (--container), which leaves the file to you";

pub(super) fn of(model: &Value, service: &str, wanted: &Wanted<'_>) -> Result<Vec<Data>, No> {
    wanted.volumes.iter().map(|(volume, at)| one(model, service, wanted, (volume, at))).collect()
}

fn one(model: &Value, service: &str, wanted: &Wanted<'_>, (volume, at): (&str, &str)) -> Result<Data, No> {
    let own = model["services"][service]["volumes"].as_array();
    let is_there = |mount: &&Value| mount["target"].as_str().map(|to| to.trim_end_matches('/')) == Some(at);
    let here = own.into_iter().flatten().find(is_there);
    let kind =
        wanted.v1.mounts.iter().find(|mount| mount.destination.trim_end_matches('/') == at).map(|mount| mount.kind);
    let (key, now) = match (here, kind) {
        (Some(mount), Some(MountKind::Volume)) if mount["type"] == "volume" => {
            (mount["source"].as_str().unwrap_or_default().to_owned(), Now::Named)
        }
        (Some(_), Some(MountKind::Bind | MountKind::AnonymousVolume)) => (volume.to_owned(), Now::Elsewhere),
        (None, Some(MountKind::AnonymousVolume)) if own.is_none_or(Vec::is_empty) => (volume.to_owned(), Now::Unsaid),
        (_, None) if wanted.v1.mounts.is_empty() => {
            return no(format!("V1's data at {at} is in the container itself"), MOVE_IT);
        }
        (_, None) => return no(format!("V2's image wants its data at {at}, where V1 has nothing mounted"), MOVE_IT),
        _ => return no(format!("the file does not say by an entry of its own where V1's data at {at} is"), MOVE_IT),
    };
    let source = here.and_then(|mount| mount["source"].as_str()).unwrap_or_default();
    let others: Vec<&str> = others_with(model, service, source);
    if !others.is_empty() {
        return no(format!("{source} is also mounted by {}", others.join(", ")), "V1's data must be its own");
    }
    Ok(Data { key, volume: volume.to_owned(), at: at.to_owned(), now })
}

/// The services that mount this volume, or this directory, one above it or one inside.
fn others_with<'a>(model: &'a Value, service: &str, source: &str) -> Vec<&'a str> {
    let holds = |a: &str, b: &str| b.strip_prefix(a).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let same = |there: &str| !source.is_empty() && (holds(source, there) || holds(there, source));
    let uses = |other: &Value| {
        let mounts = other["volumes"].as_array();
        mounts.into_iter().flatten().any(|mount| mount["source"].as_str().is_some_and(same))
    };
    let services = model["services"].as_object().into_iter().flatten();
    services.filter(|(name, other)| *name != service && uses(other)).map(|(name, _)| name.as_str()).collect()
}

impl Data {
    /// What changes in the file; `Err` names what cannot.
    pub(super) fn splices(&self, page: &Page<'_>, service: &str) -> Result<Vec<Splice>, String> {
        let mut splices = match self.now {
            Now::Named => Some(Vec::new()),
            Now::Elsewhere => page.of_mount(service, &self.at, &self.key),
            Now::Unsaid => page.of_new_mount(service, &self.at, &self.key).map(|splice| vec![splice]),
        }
        .ok_or_else(|| format!("the entry for {}", self.at))?;
        splices.push(page.of_volume(&self.key, &self.volume).ok_or_else(|| format!("the volume {}", self.key))?);
        Ok(splices)
    }

    /// What the file shall mean afterwards.
    pub(super) fn put_into(&self, model: &mut Value, service: &str) {
        let mount = json!({ "type": "volume", "source": self.key, "target": self.at, "volume": {} });
        let is_there = |there: &Value| there["target"].as_str().map(|to| to.trim_end_matches('/')) == Some(&*self.at);
        let mounts = &mut model["services"][service]["volumes"];
        match self.now {
            Now::Named => {}
            Now::Elsewhere => {
                for there in mounts.as_array_mut().into_iter().flatten().filter(|there| is_there(there)) {
                    // As it is written there, with a slash at its end or without.
                    let target = there["target"].take();
                    *there = mount.clone();
                    there["target"] = target;
                }
            }
            Now::Unsaid => *mounts = json!([mount]),
        }
        model["volumes"][&self.key]["name"] = self.volume.as_str().into();
    }

    /// Compose's labels on the volume; an external one is none of the project's.
    pub(super) fn labels(&self, model: &Value) -> Option<(String, Labels)> {
        if model["volumes"][&self.key]["external"] == true {
            return None;
        }
        let label = |name: &str, value: &str| (format!("{COMPOSE_LABELS}{name}"), value.to_owned());
        let labels = [label("project", model["name"].as_str()?), label("volume", &self.key)];
        Some((self.volume.clone(), labels.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{container, image};
    use crate::runtime::{Container, Mount};

    fn found(mounts: &Value, kind: Option<MountKind>) -> Result<Data, String> {
        let model = json!({ "services": { "db": { "volumes": mounts }, "backup": { "volumes": [
            { "type": "volume", "source": "shared", "target": "/x" },
            { "type": "bind", "source": "/srv/backup", "target": "/y" }] } } });
        let mount = |kind| Mount { kind, source: "s".into(), destination: "/data".into(), read_only: false };
        let v1 = Container { mounts: kind.map(mount).into_iter().collect(), ..container() };
        let wanted = Wanted { v1: &v1, v2: &image(), volumes: &[("new".into(), "/data".into())] };
        of(&model, "db", &wanted).map(|mut all| all.remove(0)).map_err(|no| no.0)
    }

    #[test]
    fn data_is_found_wherever_it_is() {
        let data = |key: &str, now| Ok(Data { key: key.into(), volume: "new".into(), at: "/data".into(), now });
        let named = |source: &str| json!([{ "type": "volume", "source": source, "target": "/data/" }]);
        assert_eq!(found(&named("d"), Some(MountKind::Volume)), data("d", Now::Named));
        let inside = json!([{ "type": "bind", "source": "/srv/backup/d", "target": "/data" }]);
        assert!(found(&inside, Some(MountKind::Bind)).unwrap_err().contains("also mounted by"));
        let bind = json!([{ "type": "bind", "source": "/srv/d", "target": "/data" }]);
        assert_eq!(found(&bind, Some(MountKind::Bind)), data("new", Now::Elsewhere));
        let nameless = json!([{ "type": "volume", "target": "/data" }]);
        assert_eq!(found(&nameless, Some(MountKind::AnonymousVolume)), data("new", Now::Elsewhere));
        assert_eq!(found(&Value::Null, Some(MountKind::AnonymousVolume)), data("new", Now::Unsaid));
        assert!(found(&Value::Null, None).unwrap_err().contains("in the container itself"));
        assert!(found(&named("shared"), Some(MountKind::Volume)).unwrap_err().contains("also mounted by backup"));
        assert!(found(&json!([{ "type": "bind", "target": "/conf" }]), Some(MountKind::AnonymousVolume)).is_err());
    }
}
