//! The owner's own programs. Called by their arguments, never through a shell; told the facts as JSON on standard input and the
//! first of them as `SWITCHOVER_…` variables; ended when their time is up.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Facts that a program is told as variables, too.
const VARIABLES: [(&str, &str); 4] = [
    ("SWITCHOVER_NAME", "name"),
    ("SWITCHOVER_RUN", "run"),
    ("SWITCHOVER_OUTCOME", "outcome"),
    ("SWITCHOVER_EXIT", "exit"),
];

/// Runs one to its end. What it says goes to standard error; an end with another code than 0, or none in time, is trouble.
pub async fn call(argv: &[String], facts: &Value, limit: Limit<'_>) -> Result<(), Trouble> {
    let [program, arguments @ ..] = argv else { return Ok(()) };
    let cannot = |error: std::io::Error| Trouble::failed(format!("{program} cannot be run")).because(error);
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(std::io::stderr()).kill_on_drop(true);
    for (variable, key) in VARIABLES {
        match &facts[key] {
            Value::Null => {}
            Value::String(text) => drop(command.env(variable, text)),
            other => drop(command.env(variable, other.to_string())),
        }
    }
    let running = async {
        let mut child = command.spawn().map_err(cannot)?;
        if let Some(mut input) = child.stdin.take() {
            // It need not read them.
            let _heard_or_not = input.write_all(format!("{facts}\n").as_bytes()).await;
        }
        child.wait().await.map_err(cannot)
    };
    let status = wait::within(limit, &format!("{program} to end"), running).await?;
    if status.success() {
        return Ok(());
    }
    Err(Trouble::failed(format!("{program} ended with {status}")))
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

    #[test]
    fn what_cannot_be_called_is_known_beforehand() {
        assert!(why_not(&argv(&["/nowhere/hook"])).is_some() && why_not(&argv(&["/tmp"])).is_some());
        assert!(why_not(&argv(&["/bin/sh", "-c"])).is_none() && why_not(&argv(&["true"])).is_none());
        assert!(why_not(&[]).is_some());
    }
}
