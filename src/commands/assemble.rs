//! From a plan to a run: every trait object the story works on.

use std::ffi::OsString;
use std::rc::Rc;

use secrecy::ExposeSecret as _;

use super::invocation::Invocation;
use crate::clients;
use crate::compose::Service;
use crate::engine::{Access, ENGINES, Engine, Place, Secrets, Side};
use crate::facts::Facts;
use crate::guard::{Brief, Guard, GuardProcess};
use crate::plan::Plan;
use crate::runtime::Runtime;
use crate::state::RunFiles;
use crate::switchover::Run;
use crate::tell::Teller;
use crate::trouble::Trouble;

/// What a run is made of besides its plan.
pub(super) struct Parts {
    pub(super) runtime: Rc<dyn Runtime>,
    pub(super) access: Access,
    pub(super) guard: Box<dyn Guard>,
    pub(super) tell: Teller,
}

pub(super) fn assemble(plan: Plan, files: &RunFiles, parts: Parts) -> Result<Run, Trouble> {
    let Parts { runtime, access, guard, tell } = parts;
    let engine = engine(&plan)?;
    let plan = Rc::new(plan);
    let secrets: Rc<dyn Secrets> = Rc::new(files.secrets());
    let server = |side| {
        let (plan, runtime, secrets) = (Rc::clone(&plan), Rc::clone(&runtime), Rc::clone(&secrets));
        engine.server(Place { side, plan, runtime, secrets, access: access.clone(), tell: tell.clone() })
    };
    let (v1, v2) = (server(Side::V1), server(Side::V2));
    runtime.adopt(&plan.run);
    let way = |way| clients::from_plan(way, Rc::clone(&plan), Rc::clone(&runtime), tell.clone());
    let ways = plan.ways.iter().map(way).collect();
    let service = Service::of(&plan, tell.clone());
    Ok(Run {
        plan,
        facts: Facts::default(),
        v1,
        v2,
        ways,
        service,
        runtime,
        guard,
        tell,
        window: None,
        probes: Vec::new(),
        attempt: 0,
        deadline: None,
        fence_began: None,
        given_back: false,
        to_nothing: false,
    })
}

pub(super) fn engine(plan: &Plan) -> Result<&'static dyn Engine, Trouble> {
    ENGINES.iter().copied().find(|engine| engine.name() == plan.engine).ok_or_else(|| {
        Trouble::person(format!("this version knows no {}; nothing was touched", plan.engine))
            .hint("use the version of switchover that began this run")
    })
}

/// The guard of a run, not started yet.
pub(super) fn guard(typed: &Invocation, plan: &Plan, files: &RunFiles, access: &Access) -> GuardProcess {
    let mut args: Vec<OsString> = vec!["guard".into(), "--name".into(), files.name.clone().into()];
    args.extend(["--run".into(), files.run.clone().into()]);
    args.extend(["--state-dir".into(), typed.state.dir().into()]);
    if let Some(docker) = &typed.options.docker {
        args.extend(["--docker".into(), docker.into()]);
    }
    let brief = Brief {
        tool: std::process::id().cast_signed(),
        limits: plan.limits.clone(),
        user: access.user.clone(),
        password: access.password.as_ref().map(|password| password.expose_secret().to_owned()),
    };
    GuardProcess::new(args, brief, files.guard_log())
}
