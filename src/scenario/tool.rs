//! One call of the tool: a process in a group of its own, the events it tells, and the signals it gets.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::history::{Micros, now};
use super::stage::Stage;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// In the environment of every call: whoever has it (a guard, too) belongs to the scenario.
const MARK: &str = "SWITCHOVER_SCENARIO";

/// What the tool is killed, failed or frozen at; read by the binary itself.
pub(super) const CRASH_AT: &str = "SWITCHOVER_CRASH_AT";

pub(super) struct Tool {
    /// The name the scenario gave it, or its verb.
    pub(super) name: String,
    pub(super) began: Micros,
    pid: Pid,
    said: Arc<Mutex<Said>>,
    /// Its end was looked at by the scenario, or was the scenario's own doing.
    pub(super) accounted: bool,
}

/// What a call has told so far.
#[derive(Clone, Default)]
pub(super) struct Said {
    pub(super) events: Vec<Value>,
    /// Everything that a person would have seen, and the events as they came.
    pub(super) text: String,
    open_pipes: u8,
    pub(super) end: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) at: Micros,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit {code}"),
            (None, Some(signal)) => write!(f, "killed by signal {signal}"),
            (None, None) => write!(f, "ended"),
        }
    }
}

impl Said {
    pub(super) fn has(&self, event: &str, step: &str) -> bool {
        self.events.iter().any(|told| told["event"] == event && told["step"] == step)
    }
    pub(super) fn result(&self) -> Option<&Value> {
        self.events.iter().rev().find(|told| told["event"] == "result")
    }
    /// The last few lines, for a message.
    pub(super) fn last_words(&self) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Tool {
    pub(super) fn start(
        stage: &Stage,
        binary: &Path,
        name: &str,
        args: &[String],
        env: &BTreeMap<String, String>,
    ) -> Result<Self, Trouble> {
        let mut command = Command::new(binary);
        command.args(args).current_dir(&stage.dir).envs(env).env(MARK, &stage.project);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let record = stage.work.join(format!("tool-{}-{name}.log", now()));
        let record = File::create(&record)
            .map_err(|error| Trouble::failed(format!("cannot write {}", record.display())).because(error))?;
        let record = Arc::new(record);
        let began = now();
        let mut child = command
            .spawn()
            .map_err(|error| Trouble::usage(format!("cannot run {}", binary.display())).because(error))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| Trouble::bug("a process that was just started has no id"))?;
        let said = Arc::new(Mutex::new(Said { open_pipes: 2, ..Said::default() }));
        listen(child.stdout.take(), said.clone(), record.clone());
        listen(child.stderr.take(), said.clone(), record);
        let ended = said.clone();
        tokio::spawn(async move {
            use std::os::unix::process::ExitStatusExt as _;
            if let Ok(status) = child.wait().await {
                lock(&ended).end = Some(Exit { code: status.code(), signal: status.signal(), at: now() });
            }
        });
        Ok(Tool { name: name.to_owned(), began, pid, said, accounted: false })
    }

    pub(super) fn said(&self) -> Said {
        lock(&self.said).clone()
    }

    /// Looks at what the tool has said, without copying it, until `look` is content.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        tell: &Teller,
        look: impl Fn(&Said) -> Result<Look<T>, Trouble>,
    ) -> Result<T, Trouble> {
        let limit = Limit { name: "the limit of this step", value: limit };
        let wait = Wait { what, limit, every: Duration::from_millis(2), kind: Kind::Failed };
        wait::until(wait, tell, async || look(&lock(&self.said))).await
    }

    /// Waits until it has ended and everything it said was read.
    pub(super) async fn end(&self, limit: Duration, tell: &Teller) -> Result<Exit, Trouble> {
        let what = format!("`{}` to end", self.name);
        self.until(&what, limit, tell, |said| match said.end {
            // A guard that outlives the tool may hold its pipes open: a moment of silence is the end, too.
            Some(exit) if said.open_pipes == 0 || now() > exit.at + 500_000 => Ok(Look::Done(exit)),
            Some(_) => Ok(Look::NotYet("it still has something to say".into())),
            None => Ok(Look::NotYet("it still runs".into())),
        })
        .await
    }

    /// Waits until the tool has said that this step is begun.
    pub(super) async fn begun(&self, step: &str, limit: Duration, tell: &Teller) -> Result<(), Trouble> {
        self.event("step-begun", step, limit, tell).await
    }

    /// Waits until it has said something.
    pub(super) async fn says(&self, text: &str, limit: Duration, tell: &Teller) -> Result<(), Trouble> {
        let what = format!("`{}` to say `{text}`", self.name);
        self.until(&what, limit, tell, |said| {
            if said.text.contains(text) { Ok(Look::Done(())) } else { still_running(said, text) }
        })
        .await
    }

    pub(super) async fn event(&self, event: &str, step: &str, limit: Duration, tell: &Teller) -> Result<(), Trouble> {
        let what = format!("`{}` to say {event} {step}", self.name);
        self.until(&what, limit, tell, |said| {
            if said.has(event, step) {
                return Ok(Look::Done(()));
            }
            still_running(said, &format!("{event} {step}"))
        })
        .await
    }

    /// Waits until the tool has stopped itself at its crash point.
    pub(super) async fn frozen(&self, point: &str, limit: Duration, tell: &Teller) -> Result<(), Trouble> {
        let what = format!("`{}` to freeze at {point}", self.name);
        self.until(&what, limit, tell, |said| {
            if self.is_stopped() {
                return Ok(Look::Done(()));
            }
            still_running(said, point)
        })
        .await
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid.as_raw_nonzero())).unwrap_or_default();
        // The name in brackets may hold anything: the state stands after the last one.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), Trouble> {
        kill_process_group(self.pid, signal)
            .map_err(|error| Trouble::failed(format!("cannot signal `{}`", self.name)).because(error))
    }

    /// Lets a frozen tool go on, if its guard has not ended it meanwhile.
    pub(super) fn thaw(&self) {
        let _gone = kill_process_group(self.pid, Signal::CONT);
    }
}

fn still_running<T>(said: &Said, point: &str) -> Result<Look<T>, Trouble> {
    match said.end {
        None => Ok(Look::NotYet("it is not there yet".into())),
        Some(exit) => {
            let what = format!("the tool ended ({exit}) before {point}: the fault hit nothing");
            Err(Trouble::failed(what).because(Trouble::failed(said.last_words())))
        }
    }
}

/// SIGKILL to every process that bears the scenario's mark, oldest last: the guard goes before the tool it guards.
pub(super) fn kill_everything_of(project: &str) -> Vec<i32> {
    let mark = format!("{MARK}={project}");
    let mut killed: Vec<i32> = Vec::new();
    let mut marked = marked_processes(&mark);
    marked.sort_by_key(|pid| std::cmp::Reverse(*pid));
    for id in marked {
        // One that ended by itself in the meantime is as good as killed.
        if Pid::from_raw(id).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()) {
            killed.push(id);
        }
    }
    killed
}

fn marked_processes(mark: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    })
    .collect()
}

/// Keeps every line, in memory and at once in the record, which is there even when the scenario is cut short.
fn listen(pipe: Option<impl AsyncRead + Send + Unpin + 'static>, said: Arc<Mutex<Said>>, record: Arc<File>) {
    tokio::spawn(async move {
        if let Some(pipe) = pipe {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // The record is for people; the verdict does not need it.
                let _written = writeln!(&*record, "{line}");
                let mut said = lock(&said);
                if let Ok(event) = serde_json::from_str::<Value>(&line)
                    && event.is_object()
                {
                    said.events.push(event);
                }
                said.text.push_str(&line);
                said.text.push('\n');
            }
        }
        let mut said = lock(&said);
        said.open_pipes = said.open_pipes.saturating_sub(1);
    });
}

fn lock(said: &Mutex<Said>) -> std::sync::MutexGuard<'_, Said> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}
