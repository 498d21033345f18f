//! From a service to what becomes of it, with every reason why that cannot be. Touches nothing.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::data::{self, Data};
use super::edit::Page;
use super::look::Named;
use super::program::Instead;
use super::{dry_run, labels_of, read, variables};
use crate::engine::{Check, Verdict};
use crate::plan::{COMPOSE_LABELS, Compose, FileEdit, FileVersion, Variable};
use crate::runtime::{Container, Image, Labels};
use crate::trouble::Trouble;

/// By this a guarded file is known.
pub(super) const GUARD: &str = "SWITCHOVER_RUNNING";

/// What shall become of the service.
pub struct Wanted<'a> {
    pub v1: &'a Container,
    pub v2: &'a Image,
    /// (volume, destination): V2's own.
    pub volumes: &'a [(String, String)],
}

/// A service as it was found. `compose` is missing where a check refuses.
#[derive(Default)]
pub struct Found {
    pub compose: Option<Compose>,
    pub checks: Vec<Check>,
}

/// A reason why not, and what to do about it.
pub(super) struct No(pub(super) String, String);

pub async fn draw(named: &Named, wanted: &Wanted<'_>) -> Result<Found, Trouble> {
    match of(named, wanted).await? {
        Ok(compose) => {
            let files: Vec<String> = compose.edits.iter().map(|edit| edit.path.display().to_string()).collect();
            let found = format!(
                "service {} of project {}; {} will name V2",
                named.service,
                compose.project,
                files.join(" and ")
            );
            Ok(Found { compose: Some(compose), checks: vec![check(Verdict::Passed, found, None)] })
        }
        Err(No(why, hint)) => Ok(Found { compose: None, checks: vec![check(Verdict::Refused, why, Some(hint))] }),
    }
}

fn check(verdict: Verdict, found: String, hint: Option<String>) -> Check {
    Check { id: "compose".to_owned(), verdict, found, hint }
}

pub(super) fn no<T>(why: impl Into<String>, hint: impl Into<String>) -> Result<T, No> {
    Err(No(why.into(), hint.into()))
}

async fn of(named: &Named, wanted: &Wanted<'_>) -> Result<Result<Compose, No>, Trouble> {
    let project = &named.project;
    let model = project.model(Instead::default()).await?;
    let before = labels_of(wanted.v1);
    let hash = project.hash(&named.service, Instead::default()).await?;
    let planned = || -> Result<(Vec<Data>, Change), No> {
        supported(&model, &named.service)?;
        if wanted.v2.reference.starts_with("sha256:") {
            return no("an image is named in a file by its tag or digest, not by its id", "--image NAME:TAG");
        }
        as_compose_made_it(wanted.v1, &before, &hash)?;
        let data = data::of(&model, &named.service, wanted)?;
        let change = change(named, wanted, &data)?;
        Ok((data, change))
    };
    let (data, change) = match planned() {
        Ok(planned) => planned,
        Err(no) => return Ok(Err(no)),
    };
    if let Err(no) = means_what_it_should(named, wanted, &model, &data, &change).await? {
        return Ok(Err(no));
    }
    let mut labels_after = before.clone();
    // Of a container that compose has made anew in place of another one.
    labels_after.remove(&format!("{COMPOSE_LABELS}replace"));
    labels_after.insert(format!("{COMPOSE_LABELS}config-hash"), project.hash(&named.service, change.instead()).await?);
    labels_after.insert(format!("{COMPOSE_LABELS}image"), wanted.v2.id.clone());
    Ok(Ok(Compose {
        program: project.program.clone(),
        engine: project.engine.clone(),
        files: project.files.clone(),
        project: model["name"].as_str().unwrap_or_default().to_owned(),
        service: named.service.clone(),
        edits: change.edits,
        variables: change.variables,
        volume_labels: data.iter().filter_map(|data| data.labels(&model)).collect(),
        labels_before: before,
        labels_after,
        out_of_date: dry_run::containers(&project.dry_run(Instead::default()).await?),
    }))
}

/// Nothing of the service, or of others that hang on it, is of a kind that a second container cannot stand in for.
fn supported(model: &Value, service: &str) -> Result<(), No> {
    let own = &model["services"][service];
    let asked = |key: &str| !own[key].is_null();
    if let Some(mode) = own["network_mode"].as_str() {
        return no(format!("the service has network_mode: {mode}"), "give it a network of the project");
    }
    if own["deploy"]["replicas"].as_u64().is_some_and(|n| n > 1) || own["scale"].as_u64().is_some_and(|n| n > 1) {
        return no("the service wants several containers", "two servers on one volume are no database: replicas: 1");
    }
    for key in ["build", "volumes_from", "pid", "ipc"] {
        if asked(key) {
            return no(
                format!("the service has `{key}`"),
                "name the container itself (--container), and change the file by hand",
            );
        }
    }
    let by = |key: &str, other: &Value| other[key].as_str() == Some(&format!("service:{service}"));
    let from = |other: &Value| {
        let all = other["volumes_from"].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.map(|from| from.split(':').next().unwrap_or(from)).any(|from| from == service)
    };
    for (name, other) in model["services"].as_object().into_iter().flatten() {
        if by("network_mode", other) || by("pid", other) || by("ipc", other) || from(other) {
            return no(
                format!("the service {name} lives in {service}'s container: the next `up` would make it anew"),
                format!("give {name} a network and volumes of its own"),
            );
        }
    }
    Ok(())
}

/// What this compose would call the service as it is, is what V1 bears.
fn as_compose_made_it(v1: &Container, labels: &Labels, hash: &str) -> Result<(), No> {
    let label = |key: &str| labels.get(&format!("{COMPOSE_LABELS}{key}")).map(String::as_str);
    if label("version").is_some_and(|version| version.starts_with("1.")) {
        return no("V1 was made by docker-compose 1", "`docker compose up -d` of the present one makes it anew, once");
    }
    if label("config-hash") != Some(hash) {
        return no(
            "V1 is not what its file says: `docker compose up -d` would make it anew",
            "let file and container agree first; where a variable of your shell decides, say it here as well",
        );
    }
    if label("image") != Some(&v1.image_id) {
        return no("compose knows V1 by another image than it runs", "let `docker compose up -d` put that right first");
    }
    Ok(())
}

/// What is changed, and the one file of YAML in its versions.
struct Change {
    edits: Vec<FileEdit>,
    variables: Vec<Variable>,
    file: PathBuf,
    guarded: String,
    after: String,
    new: Vec<(String, String)>,
}

impl Change {
    /// As the files will be.
    fn instead(&self) -> Instead<'_> {
        Instead { file: Some((&self.file, &self.after)), variables: &self.new }
    }
}

fn change(named: &Named, wanted: &Wanted<'_>, data: &[Data]) -> Result<Change, No> {
    let (file, text) = file_of(named)?;
    let page = Page::read(&text)
        .map_err(|error| No(format!("{} cannot be changed: {error}", file.display()), BY_HAND.into()))?;
    let image = &wanted.v2.reference;
    let by_variable =
        page.image(&named.service).and_then(|said| variable(named, said, image).transpose()).transpose()?;
    let literal = by_variable.is_none().then_some(image.as_str());
    let guard = format!(
        "${{{GUARD}:?a switchover of {} is under way, do not change this file, switchover status says what to type}}",
        wanted.v1.name
    );
    let cannot = |what: &str| No(format!("{what} cannot be changed in {}", file.display()), BY_HAND.into());
    let mut splices = vec![page.of_image(&named.service, &guard, literal).ok_or_else(|| cannot("the image"))?];
    for data in data {
        splices.extend(data.splices(&page, &named.service).map_err(|what| cannot(&what))?);
    }
    splices.sort_by_key(|splice| splice.at);
    let edit = FileEdit::new(file.clone(), &text, splices).ok_or_else(|| cannot("it"))?;
    let turned = |to| edit.turned(&text, to).ok_or_else(|| cannot("it"));
    let (guarded, after) = (turned(FileVersion::Guarded)?, turned(FileVersion::After)?);
    let (mut edits, mut variables, mut new) = (Vec::new(), Vec::new(), Vec::new());
    if let Some((of_env, variable)) = by_variable {
        new.push((variable.name.clone(), variable.after.clone()));
        edits.push(of_env);
        variables.push(variable);
    }
    edits.push(edit);
    edits.iter().try_for_each(|edit| writable(&edit.path))?;
    Ok(Change { edits, variables, file, guarded, after, new })
}

const BY_HAND: &str = "name the container itself (--container), and change the file by hand";

/// The last file that says the service's image, else the last that has the service.
fn file_of(named: &Named) -> Result<(PathBuf, String), No> {
    let mut pages = Vec::new();
    for path in &named.project.files {
        let text = read(path).map_err(|error| No(error.one_line(), BY_HAND.into()))?;
        pages.push((path.clone(), text));
    }
    let has = |text: &str, by: &dyn Fn(&Page<'_>) -> bool| Page::read(text).is_ok_and(|page| by(&page));
    let says_image = |(_, text): &&(PathBuf, String)| has(text, &|page| page.image(&named.service).is_some());
    let has_service = |(_, text): &&(PathBuf, String)| has(text, &|page| page.has_service(&named.service));
    let found = pages.iter().rev().find(says_image).or_else(|| pages.iter().rev().find(has_service));
    found.cloned().ok_or_else(|| No(format!("none of the files has the service {}", named.service), BY_HAND.into()))
}

/// The image is named by a variable that `.env` sets, and nobody else uses.
fn variable(named: &Named, said: &str, image: &str) -> Result<Option<(FileEdit, Variable)>, No> {
    let Some(variable) = variables::only(said) else { return Ok(None) };
    let name = variable.name;
    if is_in_environment(name) {
        let hint = format!("set {name} in `.env` instead of the shell, where it can be changed for everybody");
        return no(format!("the image is named by {name} of this shell"), hint);
    }
    let uses: usize =
        named.project.files.iter().filter_map(|file| read(file).ok()).map(|text| variable.uses_in(&text)).sum();
    let (Some(value), 1) = (variable.value_for(image), uses) else { return Ok(None) };
    for path in env_files(&named.project.program) {
        let Ok(text) = read(&path) else { continue };
        let Some(splice) = variables::set_in(&text, name, value) else { continue };
        let bare = |text: &str| text.trim_matches(['"', '\'']).to_owned();
        let (before, after) = (bare(&splice.before), bare(&splice.after));
        let edit = FileEdit::new(path, &text, vec![splice]);
        let edit = edit.ok_or_else(|| No(format!("{name} cannot be changed in its file"), BY_HAND.into()))?;
        return Ok(Some((edit, Variable { name: name.to_owned(), before, after })));
    }
    Ok(None)
}

fn is_in_environment(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// Those that compose reads, the last word first.
fn env_files(program: &[String]) -> Vec<PathBuf> {
    let of = |flag: &str| {
        program.windows(2).filter(|pair| pair[0] == flag).map(|pair| PathBuf::from(&pair[1])).collect::<Vec<_>>()
    };
    let named = of("--env-file");
    if named.is_empty() {
        return of("--project-directory").into_iter().map(|directory| directory.join(".env")).collect();
    }
    named.into_iter().rev().collect()
}

fn writable(path: &Path) -> Result<(), No> {
    use rustix::fs::{Access, access};
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = real.parent().unwrap_or(Path::new("/"));
    match access(&real, Access::WRITE_OK).and_then(|()| access(folder, Access::WRITE_OK)) {
        Ok(()) => Ok(()),
        Err(error) => no(format!("{} cannot be written: {error}", real.display()), "run as its owner"),
    }
}

/// Compose itself says so: the guard keeps it out, and the new file differs in the image and the volumes, and in nothing else.
async fn means_what_it_should(
    named: &Named,
    wanted: &Wanted<'_>,
    model: &Value,
    data: &[Data],
    change: &Change,
) -> Result<Result<(), No>, Trouble> {
    let guarded = Instead { file: Some((&change.file, &change.guarded)), variables: &[] };
    if named.project.model(guarded).await.is_ok() {
        return Ok(no("compose would read the guarded file", BY_HAND));
    }
    let mut expected = model.clone();
    expected["services"][&named.service]["image"] = wanted.v2.reference.as_str().into();
    for data in data {
        data.put_into(&mut expected, &named.service);
    }
    if named.project.model(change.instead()).await? != expected {
        return Ok(no("the changed file would mean something else than V2's image and volume", BY_HAND));
    }
    Ok(Ok(()))
}
