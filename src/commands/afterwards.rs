//! What the ending of a command leaves for others: figures for monitoring, and a call of the owner's own program where it did
//! not end well. Neither changes the ending.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::ending;
use super::invocation::Invocation;
use crate::cli::Verb;
use crate::hooks;
use crate::metrics::{self, Earlier};
use crate::tell::{out, text};
use crate::trouble::{Kind, Trouble};
use crate::wait::Limit;

/// How long the owner's program may take.
const PATIENCE: Limit<'static> = Limit { name: "60 s", value: Duration::from_secs(60) };

/// Commands that change something, and whose ending is worth a word to others.
pub(super) fn concerns(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Run | Verb::Prepare | Verb::Cutover | Verb::Resume | Verb::Abort | Verb::Switchback | Verb::Retire(_)
    )
}

/// `ended`: the exit code, or what kept a run from being begun.
pub(super) async fn told(typed: &Invocation, ended: &Result<u8, Trouble>) {
    if typed.options.check {
        return;
    }
    let mut result = result(typed, ended);
    typed.night.note(&mut result);
    // As it is configured, if it is: one series, whatever the sides are called.
    let configured = typed.config.v1.container.as_deref();
    let name = configured.or(result["name"].as_str()).unwrap_or_default().to_owned();
    if let Some(file) = typed.metrics_file()
        && !name.is_empty()
        && let Err(trouble) = write(&file, &name, &result)
    {
        out::note(&text::trouble(&trouble, &[]));
    }
    let program = &typed.config.hooks.on_failure;
    // Not ready, or outside of the window: the next night is for that, unless this one has tried more than once.
    let later = result["exit"] == Kind::NotReady.exit_code() && result["given_up"].is_null();
    let failed = result["exit"] != 0 && !later;
    if failed && let Err(trouble) = hooks::call(program, &result, PATIENCE).await {
        out::note(&text::trouble(&Trouble::failed("hooks.on-failure was not told").because(trouble), &[]));
    }
}

/// The run's own, or for one that was never begun the same with what kept it.
fn result(typed: &Invocation, ended: &Result<u8, Trouble>) -> Value {
    let kept = typed.result.borrow().clone();
    match (kept, ended) {
        (Some(result), _) => result,
        (None, Ok(code)) => json!({ "name": typed.config.v1.container, "outcome": "nothing-to-do", "exit": code }),
        (None, Err(trouble)) => json!({
            "name": typed.config.v1.container,
            "outcome": "refused",
            "exit": trouble.kind.exit_code(),
            "error": ending::error(trouble),
        }),
    }
}

/// The whole file or the one before: a collector may read at any moment, as another user.
fn write(file: &Path, name: &str, result: &Value) -> Result<(), Trouble> {
    let earlier = std::fs::read_to_string(file).unwrap_or_default();
    let content = metrics::text(name, result, Earlier::read(&earlier, name), Timestamp::now());
    let replaced = || {
        let beside = beside(file);
        let mut new = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
        new.write_all(content.as_bytes())?;
        // Whatever this process's own habit is.
        new.set_permissions(std::fs::Permissions::from_mode(0o644))?;
        new.sync_all()?;
        std::fs::rename(&beside, file)
    };
    replaced()
        .map_err(|error| Trouble::failed(format!("the metrics file {} is not written", file.display())).because(error))
}

/// The collector reads files that end in `.prom` only.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
