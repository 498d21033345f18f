//! The owner's own programs. Called by their arguments, never through a shell; told the facts as JSON on standard input and the
//! first of them as `SWITCHOVER_…` variables; ended, with whatever they have started, when their time is up.

use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures_util::future::join;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Facts that a program is told as variables, too.
const VARIABLES: [(&str, &str); 4] = [
    ("SWITCHOVER_NAME", "name"),
    ("SWITCHOVER_RUN", "run"),
    ("SWITCHOVER_OUTCOME", "outcome"),
    ("SWITCHOVER_EXIT", "exit"),
];

/// What is kept of all that a program says: its end.
const KEPT: usize = 2000;

/// For the last words of one that has ended: whom it left in the background may keep its output open for ever.
const LAST_WORDS: Limit<'static> = Limit { name: "50 ms", value: Duration::from_millis(50) };

/// Runs one to its end. What it says goes to standard error; an end with another code than 0, or none in time, is trouble.
pub async fn call(argv: &[String], facts: &Value, limit: Limit<'_>) -> Result<(), Trouble> {
    let [program, ..] = argv else { return Ok(()) };
    let mut command = command(argv);
    command.stdout(std::io::stderr());
    for (variable, key) in VARIABLES {
        if let Some(text) = in_words(&facts[key]) {
            command.env(variable, text);
        }
    }
    let running = async {
        let mut running = Running::start(command, program)?;
        running.hear(facts).await;
        running.end(program).await
    };
    let status = wait::within(limit, &format!("{program} to end"), running).await?;
    if status.success() {
        return Ok(());
    }
    Err(Trouble::failed(format!("{program} ended with {status}")))
}

/// A call whose answer is waited for.
pub struct Question<'a> {
    pub argv: &'a [String],
    /// Where it runs.
    pub directory: &'a Path,
    pub facts: &'a Value,
    pub limit: Limit<'a>,
}

/// How a program ended.
pub struct Answer {
    pub status: ExitStatus,
    /// The end of what it printed.
    pub said: String,
    /// The end of what it complained of.
    pub complaint: String,
}

/// Runs one to its end; every fact it is told is a variable, too, called by its path (`v1.port`: `SWITCHOVER_V1_PORT`). An
/// answer is any end in time.
pub async fn ask(question: &Question<'_>) -> Result<Answer, Trouble> {
    let Question { argv, directory, facts, limit } = question;
    let Some(program) = argv.first() else { return Err(Trouble::bug("a hook without a program")) };
    let mut command = command(argv);
    command.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    set_variables(&mut command, "SWITCHOVER", facts);
    let (mut said, mut complaint) = (Vec::new(), Vec::new());
    let running = async {
        let mut running = Running::start(command, program)?;
        let (out, err) = (running.child.stdout.take(), running.child.stderr.take());
        let mut reading = pin!(join(keep_end(out, &mut said), keep_end(err, &mut complaint)));
        let ending = async {
            running.hear(facts).await;
            running.end(program).await
        };
        let mut ending = pin!(ending);
        tokio::select! {
            _ = &mut reading => ending.await,
            status = &mut ending => {
                let _all_or_not = wait::within(LAST_WORDS, "its last words", async { Ok(reading.await) }).await;
                status
            }
        }
    };
    let status = wait::within(*limit, program, running).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let (said, complaint) = (text(&said), text(&complaint));
    match status {
        Ok(status) => Ok(Answer { status, said, complaint }),
        Err(late) if complaint.is_empty() => Err(late),
        Err(late) => Err(late.because(Trouble::failed(complaint))),
    }
}

fn command(argv: &[String]) -> Command {
    let mut command = Command::new(argv.first().map_or("", String::as_str));
    // In a group of its own: a Ctrl-C at the terminal is for the run, which goes back in order.
    command.args(argv.get(1..).unwrap_or_default()).stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
    command
}

/// What is not known is not there, even if somebody has set it.
fn set_variables(command: &mut Command, path: &str, fact: &Value) {
    match (fact, in_words(fact)) {
        (Value::Object(parts), _) => {
            for (key, part) in parts {
                set_variables(command, &format!("{path}_{}", key.to_uppercase().replace('-', "_")), part);
            }
        }
        (_, Some(text)) => drop(command.env(path, text)),
        (_, None) => drop(command.env_remove(path)),
    }
}

fn in_words(fact: &Value) -> Option<String> {
    match fact {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A program with its group, which goes with it unless it ended by itself.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Running {
    fn start(mut command: Command, program: &str) -> Result<Running, Trouble> {
        let child = command.spawn().map_err(|error| cannot_run(program, error))?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Running { child, group })
    }

    async fn hear(&mut self, facts: &Value) {
        if let Some(mut input) = self.child.stdin.take() {
            // It need not read them.
            let _heard_or_not = input.write_all(format!("{facts}\n").as_bytes()).await;
        }
    }

    async fn end(&mut self, program: &str) -> Result<ExitStatus, Trouble> {
        let status = self.child.wait().await.map_err(|error| cannot_run(program, error))?;
        // Its number may be somebody else's by now.
        self.group = None;
        Ok(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _gone_already = kill_process_group(group, Signal::KILL);
        }
    }
}

fn cannot_run(program: &str, error: std::io::Error) -> Trouble {
    Trouble::failed(format!("{program} cannot be run")).because(error)
}

async fn keep_end(from: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut part = [0; 1024];
    while let Ok(n @ 1..) = from.read(&mut part).await {
        kept.extend_from_slice(&part[..n]);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }
}

/// Why one cannot be called; for a look beforehand. A name without a slash is looked for when it is called.
pub fn why_not(argv: &[String]) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(program) = argv.first() else { return Some("it names no program".to_owned()) };
    if !program.contains('/') {
        return None;
    }
    match std::fs::metadata(Path::new(program)) {
        Err(error) => Some(format!("{program}: {error}")),
        Ok(found) if !found.is_file() || found.permissions().mode() & 0o111 == 0 => {
            Some(format!("{program} is no program that can be run"))
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }
    const SOON: Limit<'static> = Limit { name: "5 s", value: Duration::from_secs(5) };

    #[tokio::test]
    async fn a_program_is_told_the_facts_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let said = dir.path().join("said");
        let script = "cat > \"$1\"; printf '%s %s' \"$SWITCHOVER_NAME\" \"$SWITCHOVER_EXIT\" >> \"$1\"";
        let words = argv(&["sh", "-c", script, "sh", said.to_str().unwrap()]);
        call(&words, &json!({ "name": "shop db", "exit": 6 }), SOON).await.unwrap();
        assert_eq!(std::fs::read_to_string(said).unwrap(), "{\"exit\":6,\"name\":\"shop db\"}\nshop db 6");
    }

    #[tokio::test]
    async fn one_that_fails_or_hangs_is_trouble() {
        assert!(call(&argv(&["sh", "-c", "exit 3"]), &json!({}), SOON).await.unwrap_err().one_line().contains('3'));
        assert!(call(&argv(&["/nowhere/at all"]), &json!({}), SOON).await.is_err());
        let short = Limit { name: "50 ms", value: Duration::from_millis(50) };
        let began = std::time::Instant::now();
        assert!(call(&argv(&["sleep", "60"]), &json!({}), short).await.is_err());
        assert!(began.elapsed() < Duration::from_secs(5));
        call(&[], &json!({}), SOON).await.unwrap();
    }

    fn question<'a>(argv: &'a [String], facts: &'a Value, limit: Limit<'a>) -> Question<'a> {
        Question { argv, directory: Path::new("/"), facts, limit }
    }

    #[tokio::test]
    async fn an_answer_has_the_code_and_the_words() {
        let script =
            "pwd; printf '%s:%s' \"$SWITCHOVER_V1_PORT\" \"${SWITCHOVER_V2_ADDRESS-none}\"; echo no >&2; exit 4";
        let facts = json!({ "v1": { "port": 5432 }, "v2": { "address": null } });
        let answer = ask(&question(&argv(&["sh", "-c", script]), &facts, SOON)).await.unwrap();
        assert_eq!(
            (answer.status.code(), answer.said.as_str(), answer.complaint.as_str()),
            (Some(4), "/\n5432:none", "no")
        );
        // Of much only the end is kept.
        let much = argv(&["sh", "-c", "yes 0123456789 | head -5000; echo the end"]);
        let answer = ask(&question(&much, &json!({}), SOON)).await.unwrap();
        assert!(answer.said.len() <= KEPT && answer.said.ends_with("the end"));
    }

    #[tokio::test]
    async fn one_that_hangs_goes_with_all_it_started_and_its_last_words_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("late");
        let script = "echo stuck >&2; (sleep 1; touch \"$1\") & wait";
        let words = argv(&["sh", "-c", script, "sh", file.to_str().unwrap()]);
        let short = Limit { name: "within", value: Duration::from_millis(200) };
        let said = ask(&question(&words, &json!({}), short)).await.err().unwrap().one_line();
        assert_eq!(said, "sh did not end within 200 ms (within): stuck");
        // Looked at after the time at which what it started would have acted.
        ask(&question(&argv(&["sleep", "1.2"]), &json!({}), SOON)).await.unwrap();
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn whoever_it_leaves_in_the_background_is_not_waited_for() {
        let began = std::time::Instant::now();
        let words = argv(&["sh", "-c", "echo v1; sleep 3 & exit 0"]);
        let answer = ask(&question(&words, &json!({}), SOON)).await.unwrap();
        assert_eq!((answer.status.success(), answer.said.as_str()), (true, "v1"));
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn what_cannot_be_called_is_known_beforehand() {
        assert!(why_not(&argv(&["/nowhere/hook"])).is_some() && why_not(&argv(&["/tmp"])).is_some());
        assert!(why_not(&argv(&["/bin/sh", "-c"])).is_none() && why_not(&argv(&["true"])).is_none());
        assert!(why_not(&[]).is_some());
    }
}
