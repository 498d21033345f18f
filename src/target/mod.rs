//! What the user named, as one description.

mod container;
mod service;

pub use container::belongs_to;

use crate::compose;
use crate::config;
use crate::runtime::{Container, Runtime};
use crate::trouble::Trouble;

/// A database that is moved.
pub struct Target {
    /// What we call it: V1's name when it was first moved, which its successor bears.
    pub name: String,
    pub container: Container,
    /// The service it is, where it was named by one.
    pub service: Option<compose::Named>,
}

/// `name`: what it is called in our records, where nothing else was said. `engine`: where containers are, as it was said.
pub async fn find(
    runtime: &dyn Runtime,
    said: &config::V1,
    name: Option<&str>,
    engine: Option<&str>,
) -> Result<Target, Trouble> {
    if let Some(compose) = &said.compose {
        return service::find(runtime, compose, engine).await;
    }
    let said = said.container.as_deref().or(name).ok_or_else(|| {
        Trouble::usage("which database?")
            .hint("--container NAME, or --compose FILE with --service SERVICE, or v1 in the file that -f names")
    })?;
    container::find(runtime, said).await
}
