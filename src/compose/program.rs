//! The user's own compose, called by its arguments. It alone says what a file means.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Reading files and asking the engine what is there.
const PATIENCE: Limit<'static> = Limit { name: "a minute", value: Duration::from_secs(60) };

/// A project, as the words that choose it.
#[derive(Clone, Debug)]
pub(super) struct Project {
    /// `docker compose --project-directory … --project-name …`
    pub(super) program: Vec<String>,
    pub(super) files: Vec<PathBuf>,
    /// The engine that is spoken to, where it is not the one compose would find.
    pub(super) engine: Option<String>,
}

/// A text that stands for one of the files, and variables that stand for those of `.env`.
#[derive(Clone, Copy, Default)]
pub(super) struct Instead<'a> {
    pub(super) file: Option<(&'a Path, &'a str)>,
    pub(super) variables: &'a [(String, String)],
}

pub(super) struct Said {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Project {
    /// The project as it is in its files, all variables filled in.
    pub(super) async fn model(&self, instead: Instead<'_>) -> Result<Value, Trouble> {
        let text = self.call(instead, &["config", "--format", "json"]).await?.stdout;
        serde_json::from_str(&text).map_err(|e| Trouble::failed("compose does not say its project as JSON").because(e))
    }

    /// What compose would label the service's container with. Asked of the whole file that compose makes of all: asked
    /// directly, a service with an `env_file` has another one than `up` gives it (tried with 2.26 and 2.40).
    pub(super) async fn hash(&self, service: &str, instead: Instead<'_>) -> Result<String, Trouble> {
        let whole = self.call(instead, &["config"]).await?.stdout;
        let file = PathBuf::from("-");
        let of_whole = Project { files: vec![file.clone()], ..self.clone() };
        let instead = Instead { file: Some((&file, &whole)), ..instead };
        let said = of_whole.call(instead, &["config", "--hash", service]).await?.stdout;
        let hash = said.split_whitespace().nth(1).map(str::to_owned);
        hash.ok_or_else(|| Trouble::failed(format!("compose does not say the hash of {service}")))
    }

    /// The containers of a service, stopped ones too.
    pub(super) async fn containers(&self, service: &str) -> Result<Vec<String>, Trouble> {
        let said = self.call(Instead::default(), &["ps", "--all", "--quiet", service]).await?.stdout;
        Ok(said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// What `up` would say that it does.
    pub(super) async fn dry_run(&self, instead: Instead<'_>) -> Result<String, Trouble> {
        let said = self.call(instead, &["up", "--detach", "--dry-run"]).await?;
        Ok(said.stderr + &said.stdout)
    }

    /// `Err` where it ends with another code than 0.
    pub(super) async fn call(&self, instead: Instead<'_>, act: &[&str]) -> Result<Said, Trouble> {
        let what = || format!("`{} {}`", self.program[..self.program.len().min(2)].join(" "), act.join(" "));
        let command = self.command(instead, act);
        let said = wait::within(PATIENCE, &what(), output(command, instead.file.map(|(_, text)| text))).await?;
        if said.status.success() {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Ok(Said { stdout: text(&said.stdout), stderr: text(&said.stderr) });
        }
        Err(Trouble::failed(format!("{} ended with {}", what(), said.status))
            .because(Trouble::failed(last_words(&said.stderr))))
    }

    fn command(&self, instead: Instead<'_>, act: &[&str]) -> Command {
        let mut words = self.program.iter();
        let mut command = Command::new(words.next().map_or("docker", String::as_str));
        command.args(words);
        for file in &self.files {
            let is_replaced = instead.file.is_some_and(|(replaced, _)| replaced == file);
            command.arg("--file").arg(if is_replaced { Path::new("-") } else { file });
        }
        command.args(act);
        command.envs(instead.variables.iter().map(|(name, value)| (name, value)));
        if let Some(engine) = &self.engine {
            command.env("DOCKER_HOST", engine);
        }
        command
    }
}

async fn output(mut command: Command, input: Option<&str>) -> Result<std::process::Output, Trouble> {
    let cannot = |error: std::io::Error| Trouble::failed("compose cannot be run").because(error);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot)?;
    let pipe = child.stdin.take();
    let told = async {
        if let (Some(mut pipe), Some(text)) = (pipe, input) {
            // One that does not read it to its end says so by its own.
            let _heard_or_not = pipe.write_all(text.as_bytes()).await;
        }
    };
    let ((), said) = tokio::join!(told, child.wait_with_output());
    said.map_err(cannot)
}

/// What compose says at the end, without what it quotes: that may be a value of the file, and a password.
fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
    let parts = last.split('"').enumerate();
    parts.map(|(n, part)| if n % 2 == 0 { part } else { "\"…\"" }).collect::<String>().chars().take(400).collect()
}

/// The words by which compose is called here: the plugin, or a program of its own. The old one, written in Python, marks
/// containers in another way and is refused.
pub(super) async fn program() -> Result<Vec<String>, Trouble> {
    let spellings = [vec!["docker".to_owned(), "compose".to_owned()], vec!["docker-compose".to_owned()]];
    let mut old = None;
    for words in spellings {
        let project = Project { program: words.clone(), files: Vec::new(), engine: None };
        let Ok(said) = project.call(Instead::default(), &["version", "--short"]).await else { continue };
        match said.stdout.trim().trim_start_matches('v') {
            version if version.starts_with("1.") => old = Some(version.to_owned()),
            _ => return Ok(words),
        }
    }
    let hint = "install the plugin: `docker compose version` must say 2 or more";
    Err(Trouble::usage(old.map_or_else(
        || "`docker compose` is not installed here".to_owned(),
        |version| {
            format!("the only compose here is docker-compose {version}, whose containers the present one replaces")
        },
    ))
    .hint(hint))
}
