//! One scenario from start to end: the stage is set, the clients begin, the steps are played, the verdict is given,
//! and everything is taken down, whatever happened in between.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::RunArgs;
use super::clients::Clients;
use super::file::Scenario;
use super::play::Play;
use super::record::Record;
use super::report::{say, verdict_in_words};
use super::stage::Stage;
use super::tool::kill_everything_of;
use super::units::Vars;
use super::verdict::{Court, judge};
use crate::tell::Teller;
use crate::trouble::Trouble;
use crate::wait::{self, Limit, human};

/// How long the clients may take to be served after the last step.
const LAST_SERVED: Duration = Duration::from_secs(60);

pub(super) async fn run(args: RunArgs) -> Result<u8, Trouble> {
    let scenario = Scenario::read(&args.dir)?;
    let binary = match &args.binary {
        Some(path) => std::path::absolute(path),
        None => std::env::current_exe(),
    };
    let binary = binary.map_err(|error| Trouble::usage("cannot find the binary to try").because(error))?;
    let dir = args.dir.canonicalize().map_err(|e| Trouble::usage(format!("no {}", args.dir.display())).because(e))?;
    let name = dir.file_name().map_or_else(|| "scenario".into(), |name| name.to_string_lossy().to_lowercase());
    let started = Instant::now();
    say(&format!("{name}: {}", scenario.about));

    let mut record = Record::default();
    let mut stage = set_stage(&args, &scenario, &dir, &name).await?;
    let outcome = until_stopped(&scenario, Box::pin(perform(&scenario, &mut stage, &binary, &args, &mut record))).await;
    kill_everything_of(&stage.project);
    let failed = match outcome {
        Ok(complaints) if complaints.is_empty() => Vec::new(),
        Ok(complaints) => complaints,
        Err(trouble) => {
            let hints = trouble.hints.iter().map(|hint| format!("hint: {hint}"));
            std::iter::once(trouble.what.clone()).chain(trouble.causes()).chain(hints).collect()
        }
    };
    let took = human(started.elapsed());
    if failed.is_empty() {
        say(&format!("{name}: passed in {took}"));
    } else {
        say(&format!("{name}: FAILED after {took}\n  {}", failed.join("\n").replace('\n', "\n  ")));
        stage.keep_logs().await.unwrap_or_else(|error| say(&format!("  logs were not kept: {}", error.one_line())));
        say(&format!("  records: {}", stage.work.display()));
    }
    let failures = u8::from(!failed.is_empty());
    let down = take_down(&args, &stage, failed.is_empty()).await;
    if let Some(path) = &args.json {
        (record.scenario, record.passed, record.complaints) = (name, failed.is_empty(), failed);
        record.write(path)?;
    }
    down.map(|()| failures)
}

async fn set_stage(args: &RunArgs, scenario: &Scenario, dir: &Path, name: &str) -> Result<Stage, Trouble> {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let project = format!("swtest-{name}-{}", &random[..6]);
    let parent = args.artefacts.clone().unwrap_or_else(std::env::temp_dir);
    let work = parent.join(&project);
    std::fs::create_dir_all(&work)
        .map_err(|error| Trouble::usage(format!("cannot make {}", work.display())).because(error))?;
    let work = work.canonicalize().map_err(|e| Trouble::failed(format!("no {}", work.display())).because(e))?;

    // What is not text cannot be meant by a name in a file.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut vars = Vars(environment.collect());
    vars.set("PROJECT", project.as_str());
    vars.set("WORK", work.display().to_string());
    vars.set("PORT", free_port()?.to_string());
    if scenario.engine_over_tcp {
        vars.set("DOCKER_TCP", offer_engine_over_tcp().await?);
    }
    for pair in &args.vars {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Trouble::usage(format!("`--var {pair}` is not NAME=VALUE")))?;
        vars.set(name, value);
    }
    let compose = (scenario.compose.as_str(), scenario.compose_is_copied);
    Stage::set(project, dir, compose, scenario.database.clone(), vars, work, Teller::silent()).await
}

/// Plays it within its limit, or until somebody stops the runner.
async fn until_stopped<T>(scenario: &Scenario, play: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let cannot = |error| Trouble::failed("cannot listen for signals").because(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let limit = Limit { name: "the scenario's limit", value: scenario.limit.0 };
    tokio::select! {
        done = wait::within(limit, "the scenario", play) => done,
        _ = interrupt.recv() => Err(Trouble::failed("interrupted")),
        _ = terminate.recv() => Err(Trouble::failed("terminated")),
    }
}

/// Answers what is wrong with the verdict.
async fn perform(
    scenario: &Scenario,
    stage: &mut Stage,
    binary: &Path,
    args: &RunArgs,
    record: &mut Record,
) -> Result<Vec<String>, Trouble> {
    stage.start().await?;
    let stage = &*stage;
    let Some(workload) = &scenario.workload else {
        let mut play = Play::new(stage, None, binary, args.patience);
        let played = play.steps(scenario).await;
        record.played(&play);
        return played.map(|()| Vec::new());
    };
    let mut clients = Clients::start(stage, workload).await?;
    clients.recognise(stage).await?;
    let mut play = Play::new(stage, Some(&clients), binary, args.patience);
    let played = tokio::select! {
        played = play_to_the_end(&mut play, scenario) => played,
        () = clients.watch_sides(stage) => Ok(()),
    };
    record.played(&play);
    let (calls, wanted) = (play.calls(), play.wanted);
    let finished = clients.finish(stage).await;
    let sides = clients.sides();
    let history = clients.history();
    let verdict = judge(&Court { history: &history, sides: &sides, journey: &wanted.journey, calls });
    record.judged(&verdict, &history);
    say(&verdict_in_words(&verdict));
    played?;
    finished?;
    Ok(wanted.complaints(&verdict, args.patience))
}

/// The steps, and then every client served once more.
async fn play_to_the_end(play: &mut Play<'_>, scenario: &Scenario) -> Result<(), Trouble> {
    play.steps(scenario).await?;
    if play.wanted.served_in_the_end {
        let since = play.calls().map_or(0, |(_, last)| last);
        play.everyone_on(None, since, LAST_SERVED).await?;
    }
    Ok(())
}

async fn take_down(args: &RunArgs, stage: &Stage, passed: bool) -> Result<(), Trouble> {
    if args.keep {
        say(&format!("  kept: compose project {}, records in {}", stage.project, stage.work.display()));
        return Ok(());
    }
    stage.take_down().await.map_err(|error| {
        Trouble::failed(format!("not everything of {} could be removed", stage.project)).because(error)
    })?;
    if passed {
        std::fs::remove_dir_all(&stage.work)
            .map_err(|error| Trouble::failed(format!("cannot remove {}", stage.work.display())).because(error))?;
    }
    Ok(())
}

/// A port nobody listens on: for `${PORT}`, as a fixed number is what a published port must keep.
fn free_port() -> Result<u16, Trouble> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| Trouble::failed("no free port").because(error))
}

/// The local engine behind a TCP port of this host, for as long as this program runs: remote, as far as anybody can see.
async fn offer_engine_over_tcp() -> Result<String, Trouble> {
    let cannot = |error| Trouble::failed("cannot offer the engine over TCP").because(error);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let socket = PathBuf::from("/var/run/docker.sock");
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                if let Ok(mut far) = tokio::net::UnixStream::connect(&socket).await {
                    // Either end may hang up when it likes.
                    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    });
    Ok(format!("tcp://{address}"))
}
