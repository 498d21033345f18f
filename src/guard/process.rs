//! The tool's side: starts the guard, arms it, dismisses it.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{ARMED, Brief, Guard, STARTED, Word};
use crate::trouble::Trouble;
use crate::wait::{self, Deadline, Limit};

/// For the guard to answer: it is our own binary, started before anything is shut.
const ANSWER: Limit<'_> = Limit { name: "the guard's patience", value: Duration::from_secs(5) };

pub struct GuardProcess {
    /// The words after the binary's name. No secret is among them.
    args: Vec<OsString>,
    brief: Brief,
    log: PathBuf,
    running: Option<Running>,
}

struct Running {
    /// Detached: it goes on when this is dropped.
    child: Child,
    words: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl GuardProcess {
    pub fn new(args: Vec<OsString>, brief: Brief, log: PathBuf) -> Self {
        GuardProcess { args, brief, log, running: None }
    }

    fn start(&self) -> std::io::Result<Running> {
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.log)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(&self.args)
            // What was meant to hit the tool is not meant for its guard.
            .env_remove(crate::saga::crash::VARIABLE)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(words), Some(answers)) => Ok(Running { child, words, answers: BufReader::new(answers).lines() }),
            _ => Err(std::io::Error::other("no pipes")),
        }
    }
}

impl Running {
    async fn say(&mut self, line: &impl serde::Serialize) -> Result<(), Trouble> {
        let mut text = serde_json::to_vec(line).map_err(|e| Trouble::bug("a word to the guard").because(e))?;
        text.push(b'\n');
        let sent = async {
            self.words.write_all(&text).await?;
            self.words.flush().await
        };
        sent.await.map_err(|e| Trouble::failed("the guard does not listen").because(e))
    }

    async fn hear(&mut self, expected: &str) -> Result<(), Trouble> {
        let answer = wait::within(ANSWER, "the guard's answer", async {
            self.answers.next_line().await.map_err(|e| Trouble::failed("the guard cannot be heard").because(e))
        });
        match answer.await? {
            Some(line) if line == expected => Ok(()),
            Some(line) => Err(Trouble::bug(format!("the guard said `{line}`, not `{expected}`"))),
            None => Err(Trouble::failed("the guard ended at once")),
        }
    }
}

#[async_trait(?Send)]
impl Guard for GuardProcess {
    async fn ensure_started(&mut self) -> Result<(), Trouble> {
        if self.running.is_some() {
            return Ok(());
        }
        let cannot = |e| {
            let hint = format!("without a guard no window is begun; {} has what it said", self.log.display());
            Trouble::failed("cannot start the guard").because(e).hint(hint)
        };
        let mut running = self.start().map_err(|e| cannot(e.into()))?;
        let greeting = async {
            running.say(&self.brief).await?;
            running.hear(STARTED).await
        };
        greeting.await.map_err(|e: Trouble| cannot(Box::<dyn std::error::Error + Send + Sync>::from(e)))?;
        self.running = Some(running);
        Ok(())
    }

    async fn ensure_armed(&mut self, cap: Deadline) -> Result<(), Trouble> {
        self.ensure_started().await?;
        let Some(running) = &mut self.running else { return Err(Trouble::bug("the guard is not there")) };
        running.say(&Word::Arm(cap)).await?;
        running.hear(ARMED).await
    }

    async fn ensure_dismissed(&mut self) -> Result<(), Trouble> {
        let Some(mut running) = self.running.take() else { return Ok(()) };
        // One that is gone needs no dismissal; one that does not end in time does no harm: it was dismissed.
        if running.say(&Word::Dismiss).await.is_ok() {
            let end = wait::within(ANSWER, "the guard's end", async { Ok(running.child.wait().await) });
            if let Err(trouble) = end.await {
                tracing::warn!("{}", trouble.one_line());
            }
        }
        Ok(())
    }
}
