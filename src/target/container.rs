//! A running container, by name or id.

use super::Target;
use crate::runtime::{Container, LABEL_NAME, Runtime};
use crate::trouble::Trouble;

pub(super) async fn find(runtime: &dyn Runtime, said: &str) -> Result<Target, Trouble> {
    match runtime.container(said).await? {
        Some(container) => Ok(Target { name: container.name.clone(), container, service: None }),
        None => Err(Trouble::usage(format!("there is no container {said}"))
            .hint(format!("`docker ps` shows what runs on {}", runtime.describe()))),
    }
}

/// The database a container belongs to, if it was made by a run.
pub fn belongs_to(container: &Container) -> Option<&str> {
    container.labels.get(LABEL_NAME).map(String::as_str)
}
