//! Other programs, called with a limit: `docker`, `docker compose`, `sh`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// What a program left behind.
pub(super) struct Ended {
    pub(super) ok: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A call in the making.
pub(super) struct Call {
    command: Command,
    words: Vec<String>,
    limit: Duration,
    stdin: Option<String>,
}

impl Call {
    pub(super) fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        let mut command = Command::new(words.first().map_or("", String::as_str));
        command.args(words.get(1..).unwrap_or_default()).kill_on_drop(true);
        // A Ctrl-C at the terminal is for the runner: what it has started is needed to clean up.
        command.process_group(0);
        Call { command, words, limit: Duration::from_secs(60), stdin: None }
    }

    pub(super) fn env(mut self, env: &BTreeMap<String, String>) -> Self {
        self.command.envs(env);
        self
    }

    pub(super) fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(super) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(super) fn stdin(mut self, text: impl Into<String>) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// Runs to the end, well or badly.
    pub(super) async fn end(mut self) -> Result<Ended, Trouble> {
        let line = self.words.join(" ");
        let limit = Limit { name: "the limit of one command", value: self.limit };
        self.command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let stdin = self.stdin.take();
        wait::within(limit, &format!("`{line}`"), async {
            let mut child = self.command.spawn().map_err(|e| cannot_run(&self.words, e))?;
            if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
                // Who does not read its input says why on its own.
                let _unread = pipe.write_all(text.as_bytes()).await;
            }
            let output = child.wait_with_output().await.map_err(|e| cannot_run(&self.words, e))?;
            Ok(Ended {
                ok: output.status.success(),
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        })
        .await
    }

    /// Runs to a good end and answers what it printed, without the line break at its end: spaces and tabs may be empty values.
    pub(super) async fn ok(self) -> Result<String, Trouble> {
        let line = self.words.join(" ");
        let ended = self.end().await?;
        if ended.ok {
            return Ok(ended.stdout.trim_matches('\n').to_owned());
        }
        Err(Trouble::failed(format!("`{line}` failed")).because(Trouble::failed(ended.stderr.trim().to_owned())))
    }
}

fn cannot_run(words: &[String], error: std::io::Error) -> Trouble {
    let program = words.first().map_or("", String::as_str);
    let trouble = Trouble::failed(format!("cannot run {program}")).because(error);
    if Path::new(program).file_name() == Some(OsStr::new("docker")) {
        return trouble.hint("scenarios need the docker command and a running engine");
    }
    trouble
}

/// `docker …`
pub(super) fn docker<'a>(words: impl IntoIterator<Item = &'a str>) -> Call {
    Call::new(std::iter::once("docker").chain(words))
}
