//! What the user named by a compose file and a service: one container.

use std::path::{Path, PathBuf};

use super::program::{Project, program};
use crate::config;
use crate::plan;
use crate::trouble::Trouble;

/// A service of a project, found.
pub struct Named {
    pub(super) project: Project,
    pub(super) service: String,
    /// Its container's id.
    pub container: String,
}

/// The service's one container.
pub async fn look(said: &config::Compose, engine: Option<&str>) -> Result<Named, Trouble> {
    let project = project(said, engine).await?;
    let service = said.service.clone();
    let found = project.containers(&service).await.map_err(|error| not_read(said, error))?;
    match <[String; 1]>::try_from(found) {
        Ok([container]) => Ok(Named { project, service, container }),
        Err(found) if found.is_empty() => Err(Trouble::usage(format!("the service {service} has no container"))
            .hint(format!("`docker compose up -d {service}` starts it; it must serve before it can be followed"))),
        Err(found) => Err(Trouble::refused(format!("the service {service} has {} containers", found.len()))
            .hint("two servers on one volume are no database: one container can be moved")),
    }
}

fn not_read(said: &config::Compose, error: Trouble) -> Trouble {
    let is_guarded = |file: &PathBuf| std::fs::read_to_string(file).is_ok_and(|text| text.contains(super::draw::GUARD));
    let usage = Trouble::usage("compose does not read its file").because(error);
    if said.file.iter().any(is_guarded) {
        return usage
            .hint("a switchover is in the middle: `switchover status` shows where, `switchover resume` goes on");
    }
    usage
}

async fn project(said: &config::Compose, engine: Option<&str>) -> Result<Project, Trouble> {
    let files = absolute(&said.file)?;
    if let Some(missing) = files.iter().find(|file| !file.is_file()) {
        return Err(Trouble::usage(format!("there is no file {}", missing.display())));
    }
    let mut program = program().await?;
    program.extend(words(said)?);
    Ok(Project { program, files, engine: engine.map(str::to_owned) })
}

/// The words that choose the project.
fn words(said: &config::Compose) -> Result<Vec<String>, Trouble> {
    let files = absolute(&said.file)?;
    let first = files.first().ok_or_else(|| Trouble::usage("no compose file is named"))?;
    let directory = match &said.project_directory {
        Some(directory) => {
            std::path::absolute(directory).map_err(|e| Trouble::usage("no such directory").because(e))?
        }
        None => first.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    let mut words = vec!["--project-directory".to_owned(), directory.display().to_string()];
    let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
    if let Some(name) = &said.project_name {
        add("--project-name", name);
    }
    for profile in &said.profile {
        add("--profile", profile);
    }
    for file in absolute(&said.env_file)? {
        add("--env-file", &file.display().to_string());
    }
    Ok(words)
}

fn absolute(files: &[PathBuf]) -> Result<Vec<PathBuf>, Trouble> {
    let absolute = |file: &PathBuf| std::path::absolute(file);
    let all: Result<_, _> = files.iter().map(absolute).collect();
    all.map_err(|e| Trouble::usage("a compose file's path is none").because(e))
}

/// The service of a run is the one that is named, by the same words: while a run is in the middle, compose itself cannot be asked.
pub fn is_of(plan: &plan::Compose, said: &config::Compose, engine: Option<&str>) -> bool {
    let Ok(words) = words(said) else { return false };
    let same = absolute(&said.file).is_ok_and(|files| files == plan.files);
    same && plan.service == said.service && plan.program.ends_with(&words) && plan.engine.as_deref() == engine
}
