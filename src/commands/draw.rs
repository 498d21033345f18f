//! From a running V1 and an image to a plan. Touches nothing.

use std::rc::Rc;

use super::invocation::Invocation;
use crate::clients;
use crate::compose;
use crate::config::Limits;
use crate::engine::{Check, ENGINES, Engine, Survey, SurveyRequest, Verdict};
use crate::plan::{self, Drawing, Drawn, Names, Plan, Taken};
use crate::runtime::{Container, Image, Runtime};
use crate::state::{Kind, Order};
use crate::storage;
use crate::target::Target;
use crate::tell::Teller;
use crate::trouble::{Kind as Sort, Trouble};

/// A plan and what it was drawn from.
pub(super) struct Draft {
    pub(super) drawn: Drawn,
    pub(super) survey: Survey,
}

/// Whatever failed before a run was begun has left everything as it was.
pub(super) fn nothing_changed(mut trouble: Trouble) -> Trouble {
    if trouble.kind == Sort::Failed {
        trouble.kind = Sort::Refused;
    }
    trouble
}

/// Looks at everything.
pub(super) async fn draft(
    typed: &Invocation,
    runtime: &Rc<dyn Runtime>,
    target: &Target,
    v2: &Image,
    tell: &Teller,
) -> Result<Draft, Trouble> {
    let v1 = &target.container;
    refuse_first(&plan::before_survey(v1))?;
    let v1_image = runtime.image(&v1.image_id).await?;
    let engine = engine_of(v1, v1_image.as_ref(), v2)?;
    let architecture = v1_image.as_ref().map(|image| plan::same_architecture(image, v2));
    refuse_first(architecture.as_slice())?;
    let access = typed.access()?;
    let limits = typed.config.limits.over(&Limits::default())?;
    let ask = SurveyRequest {
        v1,
        v2,
        access: &access,
        runtime: &**runtime,
        tell,
        allow: &typed.config.allow,
        limits: &limits,
        seed: typed.config.seed.as_deref().filter(|seed| *seed != "auto"),
    };
    let mut survey = engine.survey(&ask).await?;
    survey.checks.splice(0..0, architecture);
    let names = Names::new(&uuid::Uuid::now_v7().to_string(), &v1.name, typed.config.v2.volume.as_deref());
    let storage = storage::for_v2(v1, &survey.v1_data, v2, &survey.v2_data, &survey.more_data, &names.volume)?;
    let taken = taken(&**runtime, &names).await?;
    let mut networks = Vec::new();
    for on in &v1.networks {
        networks.extend(runtime.network(&on.network).await?);
    }
    let mut service = service(target, v2, &storage.v2_volumes).await?;
    survey.checks.append(&mut service.checks);
    let around = clients::Around { v1, names: &names, survey: &survey, port: survey.port, limits: &limits, runtime };
    let drawn = plan::draw(&Drawing {
        names: &names,
        v1,
        v1_image: v1_image.as_ref(),
        networks: &networks,
        ways: &clients::find(v1, &networks),
        ways_checks: &clients::checks(v1, &networks, &typed.config.allow),
        proxies: &clients::proxies(&typed.config.clients, &around).await,
        compose: service.compose.as_ref(),
        v2,
        taken: &taken,
        survey: &survey,
        storage: &storage,
        config: &typed.config,
        hold: typed.hold.clone(),
    })?;
    Ok(Draft { drawn, survey })
}

/// What becomes of the service that was named.
async fn service(target: &Target, v2: &Image, volumes: &[(String, String)]) -> Result<compose::Found, Trouble> {
    let Some(named) = &target.service else { return Ok(compose::Found::default()) };
    compose::draw(named, &compose::Wanted { v1: &target.container, v2, volumes }).await
}

/// The engine of V1, which must be V2's too.
fn engine_of(v1: &Container, v1_image: Option<&Image>, v2: &Image) -> Result<&'static dyn Engine, Trouble> {
    let of = |image: &Image| ENGINES.iter().copied().find(|engine| engine.recognises(image));
    let Some(v1_image) = v1_image else {
        return Err(Trouble::refused(format!("the image of {} is gone: it cannot be said what runs there", v1.name))
            .hint(format!("docker pull {}", v1.image)));
    };
    let known = || ENGINES.iter().map(|engine| engine.name()).collect::<Vec<_>>().join(", ");
    let Some(engine) = of(v1_image) else {
        return Err(Trouble::refused(format!("{} ({}) is no database that we know", v1.name, v1.image))
            .hint(format!("known are: {}", known())));
    };
    match of(v2) {
        Some(other) if other.name() == engine.name() => Ok(engine),
        Some(other) => Err(Trouble::refused(format!("{} is {}, V1 is {}", v2.reference, other.name(), engine.name()))
            .hint("V2's image must be of V1's engine")),
        None => Err(Trouble::refused(format!("{} is no image of {}", v2.reference, engine.name()))
            .hint("V2's image must be of V1's engine")),
    }
}

async fn taken(runtime: &dyn Runtime, names: &Names) -> Result<Vec<Taken>, Trouble> {
    let mut taken = Vec::new();
    if runtime.container(&names.v2_container).await?.is_some() {
        taken.push(Taken::V2Container);
    }
    if runtime.container(&names.v1_final).await?.is_some() {
        taken.push(Taken::V1Final);
    }
    if runtime.volume_exists(&names.volume).await? {
        taken.push(Taken::Volume);
    }
    if runtime.network(&names.private_network).await?.is_some() {
        taken.push(Taken::Network);
    }
    Ok(taken)
}

/// A precheck that refuses, as an error.
fn refuse_first(checks: &[Check]) -> Result<(), Trouble> {
    match checks.iter().find(|check| check.verdict == Verdict::Refused) {
        None => Ok(()),
        Some(check) => Err(refused(check)),
    }
}

fn refused(check: &Check) -> Trouble {
    let trouble = Trouble::refused(format!("{}: {}", check.id, check.found));
    check.hint.iter().fold(trouble, |trouble, hint| trouble.hint(hint.clone()))
}

/// All the prechecks that refuse, as one error.
pub(super) fn refuse(drawn: &Drawn) -> Result<(), Trouble> {
    let refusals: Vec<&Check> = drawn.refusals().collect();
    match &refusals[..] {
        [] => Ok(()),
        [one] => Err(refused(one)),
        many => {
            let said: Vec<String> = many.iter().map(|check| format!("{}: {}", check.id, check.found)).collect();
            let trouble = Trouble::refused(format!("{} prechecks refuse: {}", many.len(), said.join("; ")));
            let hints = many.iter().filter_map(|check| check.hint.as_ref().map(|hint| format!("{}: {hint}", check.id)));
            Err(hints.fold(trouble, Trouble::hint))
        }
    }
}

/// A new run of a plan.
pub(super) fn order(plan: Plan, until: crate::state::Until) -> Order {
    Order { id: plan.run.clone(), kind: Kind::Switchover, until, after: None, remove_data: false, plan }
}
