//! The stage of one scenario: a compose project of its own, and whatever the tool makes beside it. All of it is found
//! by the project's name and taken down again, also after a failure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::command::{Call, docker};
use super::database::Database;
use super::file;
use super::history::Side;
use super::units::Vars;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Compose starting or ending a project: images are local.
const COMPOSE: Duration = Duration::from_secs(180);

pub(super) struct Stage {
    /// The compose project, and the mark on everything that belongs to this scenario.
    pub(super) project: String,
    /// The scenario's directory.
    pub(super) dir: PathBuf,
    /// The state of the tool, its output, the history: kept when the scenario fails.
    pub(super) work: PathBuf,
    pub(super) vars: Vars,
    /// What the scenario says of its database.
    said: file::Database,
    /// How to get in, once V1 is there.
    pub(super) database: Database,
    /// The project as it was written: it is taken down by it, whatever became of a copy.
    compose: Vec<String>,
    /// The copy that it is started from, if there is one.
    copy: Option<PathBuf>,
    /// V1's container, by id: names change hands.
    pub(super) v1: String,
    pub(super) tell: Teller,
}

/// A container as `docker inspect` shows it.
#[derive(Clone)]
pub(super) struct Container(pub(super) Value);

impl Container {
    pub(super) fn id(&self) -> &str {
        self.0["Id"].as_str().unwrap_or_default()
    }
    pub(super) fn name(&self) -> &str {
        self.0["Name"].as_str().unwrap_or_default().trim_start_matches('/')
    }
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.0["Config"]["Labels"][name].as_str()
    }
    pub(super) fn is_running(&self) -> bool {
        self.0["State"]["Running"].as_bool().unwrap_or(false) && !self.0["State"]["Paused"].as_bool().unwrap_or(false)
    }
    pub(super) fn networks(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0["NetworkSettings"]["Networks"].as_object().into_iter().flatten()
    }
}

impl Stage {
    /// Starts the project and waits until V1 serves.
    pub(super) async fn set(
        project: String,
        dir: &Path,
        (compose_file, is_copied): (&str, bool),
        said: file::Database,
        vars: Vars,
        work: PathBuf,
        tell: Teller,
    ) -> Result<Self, Trouble> {
        let mut compose: Vec<String> = compose_command().await?;
        let file = dir.join(compose_file);
        compose.extend(["-p".into(), project.clone(), "-f".into(), file.display().to_string()]);
        let copy = is_copied.then(|| copied(dir, compose_file, &work)).transpose()?;
        let (dir, v1) = (dir.to_owned(), String::new());
        let database = Database::of(&Value::Null, &said);
        Ok(Stage { project, dir, work, vars, said, database, compose, copy, v1, tell })
    }

    pub(super) async fn start(&mut self) -> Result<(), Trouble> {
        let started = match &self.copy {
            None => self.compose(["up", "-d"]).await,
            Some(copy) => self.compose_copy(copy).await,
        };
        started.map_err(|error| {
            Trouble::failed("the scenario's compose project does not start")
                .because(error)
                .hint("the images are made by `./dev setup`; V1_IMAGE and V2_IMAGE name others")
        })?;
        self.v1 = self.service(&self.said.service).await?;
        let found = self.inspect(&self.v1).await?;
        self.database = Database::of(&found.0, &self.said);
        self.vars.set("V1", found.name());
        self.vars.set("V1_ID", self.v1.as_str());
        self.wait_until_served().await
    }

    async fn compose<'a>(&'a self, words: impl IntoIterator<Item = &'a str>) -> Result<String, Trouble> {
        let words = self.compose.iter().map(String::as_str).chain(words);
        Call::new(words).env(&self.vars.0).within(COMPOSE).ok().await
    }

    /// As its owner would: by the file's own folder.
    async fn compose_copy(&self, copy: &Path) -> Result<String, Trouble> {
        let program = self.compose.iter().map(String::as_str).take_while(|word| *word != "-p");
        let file = copy.display().to_string();
        let words = program.chain(["-p", &self.project, "-f", &file, "up", "-d"]);
        Call::new(words).env(&self.vars.0).within(COMPOSE).ok().await
    }

    /// The container of a compose service; V1's own even after it was renamed.
    pub(super) async fn service(&self, service: &str) -> Result<String, Trouble> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let label = format!("label=com.docker.compose.service={service}");
        let found = docker(["ps", "-aq", "--no-trunc", "--filter", &project, "--filter", &label]).ok().await?;
        let mut own = found.lines().map(str::to_owned);
        own.next().ok_or_else(|| Trouble::usage(format!("the compose file has no service `{service}`")))
    }

    /// `v1`, `v2`, … or a compose service.
    pub(super) async fn container(&self, target: &str) -> Result<String, Trouble> {
        if target == "v1" {
            return self.v1_now().await;
        }
        let Some(number) = target.strip_prefix('v').and_then(|n| n.parse::<usize>().ok()) else {
            return self.service(target).await;
        };
        let made = self.servers_made().await?;
        let wanted = number.checked_sub(2).and_then(|at| made.get(at));
        wanted.cloned().ok_or_else(|| Trouble::failed(format!("there is no {target} (yet)")))
    }

    /// V1, also where its container was made anew: by the tool, or by somebody's `docker compose up`.
    pub(super) async fn v1_now(&self) -> Result<String, Trouble> {
        if docker(["container", "inspect", &self.v1]).end().await?.ok {
            return Ok(self.v1.clone());
        }
        let of_the_tool = format!("label=switchover.container={}", self.v1);
        let found = docker(["ps", "-aq", "--no-trunc", "--filter", &of_the_tool]).ok().await?;
        match found.lines().next() {
            Some(found) => Ok(found.to_owned()),
            None => self.service(&self.said.service).await,
        }
    }

    /// The databases the tool has made, oldest first: V2, V3, …
    pub(super) async fn servers_made(&self) -> Result<Vec<String>, Trouble> {
        let mut made: Vec<Container> = self.containers().await?;
        made.retain(|container| container.id() != self.v1 && container.label("switchover.side") == Some("V2"));
        made.sort_by(|a, b| a.0["Created"].as_str().cmp(&b.0["Created"].as_str()));
        Ok(made.iter().map(|container| container.id().to_owned()).collect())
    }

    /// Every container that bears the scenario's mark, in its name or in a label.
    pub(super) async fn containers(&self) -> Result<Vec<Container>, Trouble> {
        let all = inspect_all("container", &["ps", "-aq", "--no-trunc"]).await?;
        let ours = all.into_iter().filter(|found| self.is_ours(&found["Name"], &found["Config"]["Labels"]));
        Ok(ours.map(Container).collect())
    }

    fn is_ours(&self, name: &Value, labels: &Value) -> bool {
        let marked = |value: &Value| value.as_str().is_some_and(|text| text.contains(&self.project));
        marked(name) || labels.as_object().is_some_and(|labels| labels.values().any(marked))
    }

    pub(super) async fn inspect(&self, container: &str) -> Result<Container, Trouble> {
        let text = docker(["container", "inspect", container]).ok().await?;
        let all: Value =
            serde_json::from_str(&text).map_err(|e| Trouble::bug("docker inspect is not JSON").because(e))?;
        Ok(Container(all[0].clone()))
    }

    /// The scenario's networks or volumes that bear a label of the tool, by name.
    pub(super) async fn objects(&self, kind: &str, made_by_tool: bool) -> Result<Vec<String>, Trouble> {
        let mut objects = inspect_all(kind, &[kind, "ls", "-q"]).await?;
        objects.retain(|found| {
            let tools = !made_by_tool || !found["Labels"]["switchover.run"].is_null();
            tools && self.is_ours(&found["Name"], &found["Labels"])
        });
        Ok(objects.iter().filter_map(|found| found["Name"].as_str().map(str::to_owned)).collect())
    }

    async fn wait_until_served(&self) -> Result<(), Trouble> {
        let wait = Wait {
            what: "V1 to serve",
            limit: Limit { name: "the limit of a start", value: Duration::from_secs(90) },
            every: Duration::from_millis(200),
            kind: Kind::Failed,
        };
        wait::until(wait, &self.tell, async || match self.database.answers(&self.v1).await {
            Ok(()) => Ok(Look::Done(())),
            Err(error) => Ok(Look::NotYet(error.one_line())),
        })
        .await
    }

    /// Every server among the running containers of the scenario, with the container's id.
    pub(super) async fn servers(&self) -> Result<BTreeMap<Side, String>, Trouble> {
        let mut servers = BTreeMap::new();
        for container in self.containers().await? {
            if !container.is_running() {
                continue;
            }
            // Not every container is a database, and a closed one does not answer.
            if let Ok(side) = self.database.side(container.id()).await {
                servers.insert(side, container.id().to_owned());
            }
        }
        Ok(servers)
    }

    /// Keeps what every container wrote and how it stands.
    pub(super) async fn keep_logs(&self) -> Result<(), Trouble> {
        for container in self.containers().await? {
            let name = container.name();
            let ended = docker(["logs", "--timestamps", container.id()]).end().await?;
            self.keep(&format!("container-{name}.log"), &(ended.stdout + &ended.stderr))?;
            self.keep(&format!("container-{name}.json"), &format!("{:#}", container.0))?;
        }
        Ok(())
    }

    pub(super) fn keep(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let path = self.work.join(name);
        std::fs::write(&path, text).map_err(|e| Trouble::failed(format!("cannot write {}", path.display())).because(e))
    }

    /// Takes everything down. Goes on after an error, and answers the first.
    pub(super) async fn take_down(&self) -> Result<(), Trouble> {
        let mut first = Ok(());
        let mut note = |result: Result<String, Trouble>| {
            if first.is_ok() {
                first = result.map(drop);
            }
        };
        for container in self.containers().await? {
            // `rm -f` waits for a paused container in vain.
            let _not_paused = docker(["unpause", container.id()]).end().await?;
            note(docker(["rm", "-f", "-v", container.id()]).ok().await);
        }
        note(self.compose(["down", "-v", "--remove-orphans", "-t", "1"]).await);
        for network in self.objects("network", false).await? {
            note(docker(["network", "rm", &network]).ok().await);
        }
        for volume in self.objects("volume", false).await? {
            note(docker(["volume", "rm", "-f", &volume]).ok().await);
        }
        first
    }
}

/// A copy of the compose file and its variables, under the same names.
fn copied(dir: &Path, compose_file: &str, work: &Path) -> Result<PathBuf, Trouble> {
    for name in [compose_file, ".env"] {
        let (from, to) = (dir.join(name), work.join(name));
        if from.exists() {
            std::fs::copy(&from, &to)
                .map_err(|e| Trouble::failed(format!("cannot copy {}", from.display())).because(e))?;
        }
    }
    Ok(work.join(compose_file))
}

/// Inspects everything that a listing names. What has gone in between is left out.
async fn inspect_all(kind: &str, list: &[&str]) -> Result<Vec<Value>, Trouble> {
    let ids = docker(list.iter().copied()).ok().await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = docker([kind, "inspect"].into_iter().chain(ids.lines())).end().await?.stdout;
    serde_json::from_str(&found).map_err(|error| Trouble::bug("docker inspect does not answer JSON").because(error))
}

/// The compose plugin, or the old program of its own.
async fn compose_command() -> Result<Vec<String>, Trouble> {
    if docker(["compose", "version"]).end().await?.ok {
        return Ok(vec!["docker".into(), "compose".into()]);
    }
    match Call::new(["docker-compose", "version"]).end().await {
        Ok(ended) if ended.ok => Ok(vec!["docker-compose".into()]),
        _ => Err(Trouble::usage("docker compose is not installed").hint("`./dev setup` installs the plugin")),
    }
}
