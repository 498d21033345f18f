//! One verb a file. What several of them do is in `invocation` (what was typed, and what it means), `draw` (from a
//! running V1 to a plan), `assemble` (from a plan to a run), `perform` (the run and its ending).

mod abort;
mod afterwards;
mod assemble;
mod completions;
mod cutover;
mod doctor;
mod draw;
mod ending;
mod find;
mod guard;
mod history;
mod image;
mod invocation;
mod look;
mod man;
mod night;
mod perform;
mod plan;
mod prepare;
mod resume;
mod retire;
mod run;
mod status;
mod switchback;
mod verify;

use clap::Parser as _;

use crate::cli::{Cli, Environment, Options, Output, Verb};
use crate::saga::crash;
use crate::tell::{Event, json, out, text};
use crate::trouble::{Kind, Trouble};
use invocation::Invocation;

/// Parses, runs, prints; the exit code is design's.
pub fn main() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let said = error.render().ansi().to_string();
            let tell = if error.use_stderr() { out::note } else { out::data };
            tell(&said);
            return u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.exit_code());
        }
    };
    let options = cli.options.clone();
    let ended = begin(cli);
    ended.unwrap_or_else(|trouble| complain(&options, &trouble))
}

fn begin(cli: Cli) -> Result<u8, Trouble> {
    let environment = Environment::read();
    if let Some(point) = &environment.crash_at
        && !crash::set(point)
    {
        return Err(Trouble::usage(format!("{} = {point} is no moment of this build", crash::VARIABLE)));
    }
    if let Some(level) = &cli.options.log {
        log_to_stderr(level)?;
    }
    // Two threads: one waits for servers, the other for signals and the engine, also while the first syncs a file.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Trouble::failed("cannot start").because(e))?;
    runtime.block_on(dispatch(cli, environment))
}

async fn dispatch(cli: Cli, environment: Environment) -> Result<u8, Trouble> {
    match cli.verb {
        Verb::Completions(args) => return Ok(completions::print(&args)),
        Verb::Man => return man::print(),
        Verb::Scenario(args) => return crate::scenario::run_command(args).await,
        _ => {}
    }
    let typed = Invocation::new(cli.options, environment)?;
    let concerns_others = afterwards::concerns(&cli.verb);
    let ended = match cli.verb {
        Verb::Plan => plan::plan(&typed).await,
        Verb::Run => run::run(&typed).await,
        Verb::Prepare => prepare::prepare(&typed).await,
        Verb::Cutover => cutover::cutover(&typed).await,
        // For monitoring: what cannot be looked at is not healthy.
        Verb::Status(args) => return status::status(&typed, &args).await,
        Verb::Verify => verify::verify(&typed).await,
        Verb::Doctor => doctor::doctor(&typed).await,
        Verb::Resume => resume::resume(&typed).await,
        Verb::Abort => abort::abort(&typed).await,
        Verb::Switchback => Box::pin(switchback::switchback(&typed)).await,
        Verb::Retire(args) => retire::retire(&typed, &args).await,
        Verb::History => history::history(&typed).await,
        Verb::Guard(args) => return guard::guard(&typed, &args).await,
        Verb::Completions(_) | Verb::Man | Verb::Scenario(_) => Ok(0),
    };
    // What a run met is its outcome; an error is from before it, when nothing was touched.
    let ended = ended.map_err(draw::nothing_changed);
    if concerns_others {
        afterwards::told(&typed, &ended).await;
    }
    ended
}

/// An ending before any run had begun.
fn complain(options: &Options, trouble: &Trouble) -> u8 {
    out::note(&text::trouble(trouble, &[]));
    if options.output == Output::Json {
        let result = serde_json::json!({
            "outcome": "refused",
            "exit": trouble.kind.exit_code(),
            "error": ending::error(trouble),
        });
        out::data(&json::line(&Event::Result(Box::new(result)), jiff::Timestamp::now()));
    }
    trouble.kind.exit_code()
}

/// What is not ours stays at `warn`, whatever is asked for: client libraries write whole requests at `debug`,
/// environment and all, and that is where passwords are.
fn log_to_stderr(level: &str) -> Result<(), Trouble> {
    let wrong = || Trouble::usage(format!("--log {level}")).hint("error, warn, info, debug or trace");
    let known = ["error", "warn", "info", "debug", "trace"].contains(&level);
    let ours = if known { format!("warn,switchover={level}") } else { return Err(wrong()) };
    let filter = tracing_subscriber::EnvFilter::try_new(ours).map_err(|e| wrong().because(e))?;
    // A second subscriber could only be one of our own tests'.
    let _set = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    Ok(())
}
