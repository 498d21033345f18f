//! A running container, by name or id.

use crate::runtime::{Container, LABEL_NAME, Runtime};
use crate::trouble::Trouble;

/// A database that is moved.
#[derive(Debug)]
pub struct Target {
    /// What we call it: V1's name when it was first moved, which its successor bears.
    pub name: String,
    pub container: Container,
}

pub async fn find(runtime: &dyn Runtime, said: &str) -> Result<Target, Trouble> {
    match runtime.container(said).await? {
        Some(container) => Ok(Target { name: container.name.clone(), container }),
        None => Err(Trouble::usage(format!("there is no container {said}"))
            .hint(format!("`docker ps` shows what runs on {}", runtime.describe()))),
    }
}

/// The database a container belongs to, if it was made by a run.
pub fn belongs_to(container: &Container) -> Option<&str> {
    container.labels.get(LABEL_NAME).map(String::as_str)
}
