//! Which run is meant.

use super::invocation::Invocation;
use crate::compose;
use crate::config;
use crate::standing::Standing;
use crate::state::RunFiles;
use crate::target;
use crate::trouble::Trouble;

/// A run and where it stands.
pub(super) struct Found {
    pub(super) files: RunFiles,
    pub(super) standing: Standing,
}

/// The name of the database that is meant: as given, or the only one there is.
pub(super) async fn name(typed: &Invocation) -> Result<String, Trouble> {
    let known = typed.state.names()?;
    if let Some(service) = &typed.config.v1.compose {
        return of_service(typed, &known, service).await;
    }
    let Some(said) = &typed.config.v1.container else {
        return match &known[..] {
            [only] => Ok(only.clone()),
            [] => Err(Trouble::usage("no switchover was ever begun here").hint("--container NAME says which database")),
            many => {
                Err(Trouble::usage("which database?").hint(format!("--container with one of: {}", many.join(", "))))
            }
        };
    };
    if known.contains(said) {
        return Ok(said.clone());
    }
    // An id, or the name that one of the sides bears for now.
    let runtime = typed.runtime().await?;
    let found = typed.target(&*runtime, Some(said)).await?;
    let belongs_to = target::belongs_to(&found.container).map(str::to_owned);
    Ok(belongs_to.filter(|name| known.contains(name)).unwrap_or(found.name))
}

/// Where a run of the service is known, from that: in the middle of one compose cannot be asked.
async fn of_service(typed: &Invocation, known: &[String], service: &config::Compose) -> Result<String, Trouble> {
    for name in known {
        let last = all(typed, name)?.pop();
        let compose = last.and_then(|last| last.standing.order.plan.compose);
        if compose.is_some_and(|of_run| compose::is_of(&of_run, service, typed.options.docker.as_deref())) {
            return Ok(name.clone());
        }
    }
    let runtime = typed.runtime().await?;
    Ok(typed.target(&*runtime, None).await?.name)
}

/// The name of the database that shall be moved, which may be new to us.
pub(super) async fn name_of_target(typed: &Invocation) -> Result<String, Trouble> {
    if !typed.names_v1() {
        let hint = "--container NAME, or --compose FILE with --service SERVICE, or v1 in the file that -f names";
        return Err(Trouble::usage("which database?").hint(hint));
    }
    name(typed).await
}

/// All runs of a database, oldest first. A journal that cannot be read is an error: it may be the open one.
pub(super) fn all(typed: &Invocation, name: &str) -> Result<Vec<Found>, Trouble> {
    typed
        .state
        .runs(name)?
        .into_iter()
        .map(|files| Ok(Found { standing: Standing::of(&files.read()?)?, files }))
        .collect()
}

/// The run that is not at its end: there is at most one.
pub(super) fn open(typed: &Invocation, name: &str) -> Result<Option<Found>, Trouble> {
    Ok(all(typed, name)?.into_iter().rev().find(|found| found.standing.is_open()))
}

/// The run to go on with; without one, nothing can be.
pub(super) fn must_be_open(typed: &Invocation, name: &str) -> Result<Found, Trouble> {
    open(typed, name)?.ok_or_else(|| {
        Trouble::usage(format!("no run of {name} is under way"))
            .hint(format!("`switchover history --container {name}` shows past ones"))
    })
}
