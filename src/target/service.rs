//! A service of a compose project.

use super::{Target, container};
use crate::compose;
use crate::config::Compose;
use crate::runtime::Runtime;
use crate::trouble::Trouble;

/// The service's container, as the user's own compose finds it.
pub(super) async fn find(runtime: &dyn Runtime, said: &Compose, engine: Option<&str>) -> Result<Target, Trouble> {
    let named = compose::look(said, engine).await?;
    let target = container::find(runtime, &named.container).await?;
    Ok(Target { service: Some(named), ..target })
}
