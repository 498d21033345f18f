//! What was typed, and what it means: file and flags together, flags first.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::image;
use super::night::Night;
use crate::cli::{Environment, Options, Output};
use crate::config::{self, Config, SaidLimits, V1, secret};
use crate::engine::Access;
use crate::gate::{self, Gate};
use crate::plan::Plan;
use crate::runtime::Runtime;
use crate::runtime::docker::Docker;
use crate::state::{NameLock, State, Who};
use crate::target::{self, Target};
use crate::tell::{Aside, Exchanged, Json, Lines, Printer, Teller, Terminal, out};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

pub(super) struct Invocation {
    pub(super) options: Options,
    /// The file, with what flags say in its place.
    pub(super) config: Config,
    pub(super) state: State,
    /// Waits at `ready` while it exists.
    pub(super) hold: Option<PathBuf>,
    /// What the command has told of its ending, if it has.
    pub(super) result: RefCell<Option<Value>>,
    pub(super) night: Night,
    pgpassword: Option<String>,
}

impl Invocation {
    pub(super) fn new(options: Options, environment: Environment) -> Result<Self, Trouble> {
        let mut config = options.file.as_deref().map(config::read).transpose()?.unwrap_or_default();
        let said = |flag: &Option<String>, key: Option<String>| flag.clone().or(key);
        config.v1 = v1(&options, config.v1)?;
        if options.image.is_some() {
            // Said with its tag, or as it is.
            config.v2.within = None;
        }
        config.v2.image = said(&options.image, config.v2.image);
        image::refuse_both(&config.v2)?;
        config.seed = said(&options.seed, config.seed);
        config.limits = config.limits.and(&SaidLimits::from_flags(&options.limit)?);
        config.limits.over(&config::Limits::default())?;
        config.allow.extend(options.allow.iter().cloned());
        if let Some(file) = &options.password_file {
            config.access.password = None;
            config.access.password_file = Some(file.clone());
        }
        // The guard stands in another directory.
        let dir = absolute(&options.state_dir.clone().unwrap_or_else(|| environment.state_dir()))?;
        let hold = options.hold.as_deref().map(absolute).transpose()?;
        let (state, result) = (State::at(dir), RefCell::default());
        let (night, pgpassword) = (Night::default(), environment.pgpassword);
        Ok(Invocation { options, config, state, hold, result, night, pgpassword })
    }

    /// It was said which database is meant.
    pub(super) fn names_v1(&self) -> bool {
        self.config.v1 != V1::default()
    }

    /// What shall be moved, as it is now. `name`: what our records call it.
    pub(super) async fn target(&self, runtime: &dyn Runtime, name: Option<&str>) -> Result<Target, Trouble> {
        target::find(runtime, &self.config.v1, name, self.options.docker.as_deref()).await
    }

    /// Tells how a command has ended, and keeps it for [`super::afterwards`].
    pub(super) fn tell_result(&self, tell: &Teller, result: Value) {
        self.result.replace(Some(result.clone()));
        if !self.night.goes_on.get() {
            tell.result(result);
        }
        tell.flush();
    }

    /// Where monitoring looks for figures.
    pub(super) fn metrics_file(&self) -> Option<PathBuf> {
        self.options.metrics_file.clone().or_else(|| self.config.metrics_file.clone())
    }

    pub(super) fn is_json(&self) -> bool {
        self.options.output == Output::Json
    }

    pub(super) async fn runtime(&self) -> Result<Rc<dyn Runtime>, Trouble> {
        let connected = Docker::connect(self.options.docker.as_deref(), None).await;
        // Before anything was touched: where the engine is, is the person's to say.
        Ok(Rc::new(connected.map_err(|trouble| Trouble { kind: Kind::Usage, ..trouble })?))
    }

    /// The image V2 shall be made from.
    pub(super) fn image(&self) -> Result<&str, Trouble> {
        self.config.v2.image.as_deref().ok_or_else(|| {
            Trouble::usage("which image shall V2 be made from?")
                .hint("--image IMAGE, or v2.image in the file that -f names")
        })
    }

    /// How to get in where local access is refused: the file's or flag's password, else PGPASSWORD.
    pub(super) fn access(&self) -> Result<Access, Trouble> {
        let access = &self.config.access;
        let password = match (&access.password_file, &access.password) {
            (Some(file), _) => Some(secret::from_file(file)?),
            (None, Some(variable)) => Some(variable.read()?),
            (None, None) => self.pgpassword.clone().map(SecretString::from),
        };
        Ok(Access { user: access.user.clone(), password })
    }

    /// A printer for a run: events for programs, a live line for a terminal, plain lines for a log.
    pub(super) fn teller(&self, exchanged: bool) -> Teller {
        let json = self.is_json();
        Teller::new(Box::new(Aside::new(move || {
            let printer: Box<dyn Printer> = match (json, out::can_draw()) {
                (true, _) => Box::new(Json),
                (false, true) => Box::new(Terminal::new()),
                (false, false) => Box::new(Lines::default()),
            };
            if exchanged { Box::new(Exchanged(printer)) } else { printer }
        })))
    }

    /// A journaled plan, with what was said anew: limits, the hold file, the window, what is allowed. Names stay.
    pub(super) fn over(&self, mut plan: Plan) -> Result<Plan, Trouble> {
        plan.limits = self.config.limits.over(&plan.limits)?;
        plan.hold.clone_from(&self.hold);
        if self.config.window.is_some() {
            plan.window.clone_from(&self.config.window);
        }
        for id in &self.config.allow {
            if !plan.allow.contains(id) {
                plan.allow.push(id.clone());
            }
        }
        if self.options.file.is_some() {
            plan.on_failure = self.config.on_failure;
        }
        Ok(plan)
    }

    /// Whether a question can be answered at all: asked before anything long is done.
    pub(super) fn ensure_can_confirm(&self) -> Result<(), Trouble> {
        if self.options.yes || (out::has_person() && !self.is_json()) {
            return Ok(());
        }
        Err(Trouble::usage("nobody can be asked here").hint("--yes says yes to what this command asks"))
    }

    pub(super) fn confirm(&self, question: &str) -> Result<(), Trouble> {
        self.ensure_can_confirm()?;
        if self.options.yes {
            return Ok(());
        }
        match out::ask(&format!("{question} [y/N] ")).as_deref() {
            Some("y" | "Y" | "yes" | "Yes") => Ok(()),
            _ => Err(Trouble::usage("not confirmed; nothing was touched")),
        }
    }

    /// The right to work on a database. A guard that is finishing what a dead tool left is waited for.
    pub(super) async fn lock(&self, name: &str) -> Result<NameLock, Trouble> {
        let tell = self.teller(false);
        let wait = Wait {
            what: "the guard",
            limit: Limit { name: "the guard's patience", value: Duration::from_secs(600) },
            every: Duration::from_millis(100),
            kind: Kind::Busy,
        };
        wait::until(wait, &tell, async || match self.state.lock(name, Who::Tool) {
            Ok(lock) => Ok(Look::Done(lock)),
            Err(trouble) if trouble.kind == Kind::Busy => match self.state.holder(name) {
                Some((pid, Who::Guard)) => {
                    Ok(Look::NotYet(format!("process {pid} finishes what an earlier process left")))
                }
                _ => Err(trouble),
            },
            Err(trouble) => Err(trouble),
        })
        .await
    }
}

/// What flags name, else what the file does.
fn v1(options: &Options, file: V1) -> Result<V1, Trouble> {
    match (&options.container, &options.service, &options.compose[..]) {
        (Some(_), Some(_), _) => Err(Trouble::usage("--container and --service name V1 twice")),
        (Some(_), None, []) if options.project_name.is_some() => {
            Err(Trouble::usage("--project-name is of a compose file, and --container names V1 itself"))
        }
        (Some(container), None, []) => Ok(V1 { container: Some(container.clone()), compose: None }),
        (None, Some(service), files) => {
            let mut compose = file.compose.unwrap_or_default();
            compose.service.clone_from(service);
            if !files.is_empty() {
                compose.file = files.to_vec();
            }
            compose.project_name = options.project_name.clone().or(compose.project_name);
            Ok(V1 { container: None, compose: Some(compose) })
        }
        (None, None, []) if file.container.is_some() && file.compose.is_some() => {
            Err(Trouble::usage("v1: `container` and `compose` name it twice"))
        }
        (None, None, []) => match (&options.project_name, file.compose) {
            (Some(_), None) => {
                Err(Trouble::usage("--project-name is of a compose file").hint("--compose FILE --service SERVICE"))
            }
            (name, compose) => {
                let named =
                    |of: config::Compose| config::Compose { project_name: name.clone().or(of.project_name), ..of };
                Ok(V1 { compose: compose.map(named), ..file })
            }
        },
        (_, None, _) => Err(Trouble::usage("--compose names a file: which of its services?").hint("--service SERVICE")),
    }
}

/// Outside the owner's window, and it does not open soon: exit code 5, before anything is touched.
pub(super) fn refuse_outside_window(plan: &Plan) -> Result<(), Trouble> {
    match gate::window(plan.window.as_ref(), Timestamp::now(), plan.limits.total.0)? {
        Gate::Refuse(why) => Err(Trouble::not_ready(format!("outside the window: {why}"))
            .hint("`switchover prepare` lets V2 follow until then; clients notice nothing of it")),
        Gate::Go(_) | Gate::Wait(_) => Ok(()),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Trouble> {
    std::path::absolute(path).map_err(|e| Trouble::usage(format!("`{}` is no path", path.display())).because(e))
}
