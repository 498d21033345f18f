//! The runner's end of the workload: starts the clients where they can use the address they were told to, reads what
//! they saw, and knows which container each server that answered them belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::command::docker;
use super::file::Workload;
use super::history::{History, Micros, Record, Side};
use super::stage::Stage;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

pub(super) struct Clients {
    /// Closed to end the workload.
    stdin: Option<ChildStdin>,
    process: Child,
    history: Arc<Mutex<History>>,
    sides: Mutex<BTreeMap<Side, String>>,
    pub(super) writers: u16,
}

impl Clients {
    /// Starts them and waits until every writer was served.
    pub(super) async fn start(stage: &Stage, workload: &Workload) -> Result<Self, Trouble> {
        let runner = std::env::current_exe().map_err(|e| Trouble::failed("cannot find this program").because(e))?;
        let mut command = if workload.through == "port" {
            on_host(stage, &runner).await?
        } else {
            in_network(stage, workload, &runner).await?
        };
        let numbers = [
            ("--writers", u64::from(workload.writers)),
            ("--readers", u64::from(workload.readers)),
            ("--pause-ms", millis(workload.pause.0)),
            ("--give-up-ms", millis(workload.give_up.0)),
        ];
        for (option, value) in numbers {
            command.arg(option).arg(value.to_string());
        }
        let database = &stage.database;
        command.args(["--engine", database.engine.name(), "--user", &database.user]);
        command.args(database.name.iter().flat_map(|name| ["--database", name]));
        command.env("SCENARIO_PASSWORD", &database.password);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command.process_group(0).kill_on_drop(true);
        let mut process = command.spawn().map_err(|e| Trouble::failed("cannot start the clients").because(e))?;
        let history = Arc::new(Mutex::new(History::default()));
        read_records(&mut process, history.clone(), &stage.work.join("history.jsonl"))?;
        let stdin = process.stdin.take();
        let clients = Clients { stdin, process, history, sides: Mutex::default(), writers: workload.writers };
        clients.everyone_served(stage).await?;
        Ok(clients)
    }

    async fn everyone_served(&self, stage: &Stage) -> Result<(), Trouble> {
        let wait = Wait {
            what: "every writer's first acknowledgement",
            limit: Limit { name: "the limit of a start", value: Duration::from_secs(90) },
            every: Duration::from_millis(20),
            kind: Kind::Failed,
        };
        wait::until(wait, &stage.tell, async || {
            let history = self.history();
            if let Some(trouble) = history.troubles.first() {
                return Err(Trouble::failed("the clients gave up").because(Trouble::failed(trouble.clone())));
            }
            let served: BTreeSet<i32> = history.acknowledged().map(|op| op.writer).collect();
            if served.len() == usize::from(self.writers) {
                return Ok(Look::Done(()));
            }
            Ok(Look::NotYet(format!("{} of {} were served", served.len(), self.writers)))
        })
        .await
    }

    /// What they saw so far. Held shortly: the records go on coming.
    pub(super) fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sides(&self) -> BTreeMap<Side, String> {
        self.sides.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The writers that were served since then, by side.
    pub(super) fn served_since(&self, since: Micros) -> BTreeMap<String, BTreeSet<i32>> {
        let sides = self.sides();
        let mut served: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        // The newest stand last: everything before the first older one is of no interest.
        for op in self.history().acknowledged().rev().take_while(|op| op.ended > since.saturating_sub(2_000_000)) {
            if op.began >= since {
                let side = op.side.and_then(|side| sides.get(&side).cloned());
                served.entry(side.unwrap_or_else(|| "a server not yet known".into())).or_default().insert(op.writer);
            }
        }
        served
    }

    /// For ever: finds out which container each new server in the history belongs to, as long as it can be asked.
    pub(super) async fn watch_sides(&self, stage: &Stage) {
        let mut looked_at = 0;
        loop {
            let (new, count) = self.unknown_sides(looked_at);
            if new.is_empty() {
                looked_at = count;
            } else if let Err(error) = self.recognise(stage).await {
                tracing::debug!(error = error.one_line(), "cannot ask the servers who they are");
            }
            wait::pace(Duration::from_millis(100)).await;
        }
    }

    fn unknown_sides(&self, from: usize) -> (BTreeSet<Side>, usize) {
        let known = self.sides();
        let history = self.history();
        let told = history.ops.iter().skip(from).filter_map(|op| op.side);
        (told.filter(|side| !known.contains_key(side)).collect(), history.ops.len())
    }

    pub(super) async fn recognise(&self, stage: &Stage) -> Result<(), Trouble> {
        let servers = stage.servers().await?;
        let (made, v1) = (stage.servers_made().await?, stage.v1_now().await?);
        for (side, container) in servers {
            let place = made.iter().position(|id| *id == container);
            let name = if container == v1 { Some("v1".to_owned()) } else { place.map(|n| format!("v{}", n + 2)) };
            if let Some(name) = name {
                self.sides.lock().unwrap_or_else(PoisonError::into_inner).insert(side, name);
            }
        }
        Ok(())
    }

    /// The clients finish; the final tables are read.
    pub(super) async fn finish(&mut self, stage: &Stage) -> Result<(), Trouble> {
        self.stdin = None;
        let limit = Limit { name: "the limit of the clients' end", value: Duration::from_secs(90) };
        let ended = wait::within(limit, "the clients' last look at the tables", async {
            self.process.wait().await.map_err(|e| Trouble::failed("cannot wait for the clients").because(e))
        });
        ended.await?;
        let wait = Wait {
            what: "the clients' last records",
            limit: Limit { name: "the limit of the clients' end", value: Duration::from_secs(10) },
            every: Duration::from_millis(10),
            kind: Kind::Failed,
        };
        wait::until(wait, &stage.tell, async || {
            let history = self.history();
            match (history.last.side, history.troubles.first()) {
                (Some(_), _) => Ok(Look::Done(())),
                (None, Some(trouble)) => {
                    Err(Trouble::failed("the clients could not finish").because(Trouble::failed(trouble.clone())))
                }
                (None, None) => Ok(Look::NotYet("the final tables are not complete".into())),
            }
        })
        .await
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Through the published port, from the host.
async fn on_host(stage: &Stage, runner: &Path) -> Result<Command, Trouble> {
    let port = stage.database.port.to_string();
    let published = docker(["port", &stage.v1, &port]).ok().await?;
    let address = published.lines().next().unwrap_or_default();
    let (_, published) = address.rsplit_once(':').ok_or_else(|| {
        Trouble::usage("the clients go through the port, and V1 publishes none")
            .hint(format!("publish it in the compose file, as in `127.0.0.1:${{PORT}}:{port}`"))
    })?;
    let mut command = Command::new(runner);
    command.args(["scenario", "workload", "--host", "127.0.0.1", "--port", published]);
    Ok(command)
}

/// By name, from a container in the clients' network: this program, in an image with a C library it runs on.
async fn in_network(stage: &Stage, workload: &Workload, runner: &Path) -> Result<Command, Trouble> {
    let image = match &workload.image {
        Some(image) => stage.vars.fill(image)?,
        None => stage.inspect(&stage.v1).await?.0["Image"].as_str().unwrap_or_default().to_owned(),
    };
    let mut command = Command::new("docker");
    command.args([
        "run",
        "--rm",
        "-i",
        "--pull",
        "never",
        "--entrypoint",
        "/switchover",
        "--label",
        "switchover.test=1",
    ]);
    command.args(["--name", &format!("{}-clients", stage.project)]);
    command.args(["--network", &format!("{}_{}", stage.project, workload.network)]);
    command.args(["--volume", &format!("{}:/switchover:ro", runner.display()), "-e", "SCENARIO_PASSWORD", &image]);
    let port = workload.port.unwrap_or(stage.database.port).to_string();
    command.args(["scenario", "workload", "--host", &workload.through, "--port", &port]);
    Ok(command)
}

fn read_records(process: &mut Child, history: Arc<Mutex<History>>, copy: &Path) -> Result<(), Trouble> {
    let mut copy = std::fs::File::create(copy)
        .map(std::io::BufWriter::new)
        .map_err(|error| Trouble::failed(format!("cannot write {}", copy.display())).because(error))?;
    let Some(pipe) = process.stdout.take() else { return Err(Trouble::bug("the clients have no output")) };
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let record = serde_json::from_str(&line)
                .unwrap_or_else(|error| Record::Trouble { what: format!("not a record ({error}): {line}") });
            history.lock().unwrap_or_else(PoisonError::into_inner).add(record);
            // The copy is for people; the verdict does not need it.
            let _copied = writeln!(copy, "{line}");
        }
    });
    Ok(())
}
