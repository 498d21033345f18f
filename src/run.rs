//! What a run of the story works on, and what several of its steps ask.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::clients::ClientsWay;
use crate::compose::Service;
use crate::engine::{Position, Probe, Server, Verdict, Window};
use crate::facts::{Fact, Facts};
use crate::gate::{self, Gate};
use crate::guard::Guard;
use crate::plan::Plan;
use crate::runtime::{Attachment, Runtime};
use crate::saga::Context;
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Deadline, Limit, Look, Wait};

/// Everything a step may touch.
pub struct Run {
    pub plan: Rc<Plan>,
    /// What the journal says has happened.
    pub facts: Facts,
    /// The side that serves when the run begins.
    pub v1: Box<dyn Server>,
    /// The side that shall serve.
    pub v2: Box<dyn Server>,
    pub ways: Vec<Box<dyn ClientsWay>>,
    /// The compose service that V1 is, where it was named by one.
    pub service: Option<Service>,
    pub runtime: Rc<dyn Runtime>,
    pub guard: Box<dyn Guard>,
    pub tell: Teller,
    /// This attempt's sessions on V1. `None` outside the window, and below the line in a resumed run.
    pub window: Option<Box<dyn Window>>,
    /// One a way that has an address, made before the window.
    pub probes: Vec<Box<dyn Probe>>,
    /// How many times the window was begun, this one included.
    pub attempt: u32,
    /// When the window turns back by itself.
    pub deadline: Option<Deadline>,
    /// When the first session was about to be ended.
    pub fence_began: Option<Instant>,
    /// This process has given V1 back and nothing was shut since: turning back asks for it row by row.
    pub given_back: bool,
    /// The run is turning back all the way: nothing of V2 is kept.
    pub to_nothing: bool,
}

impl Context<Fact> for Run {
    fn done(&mut self, step: &str, fact: &Fact) {
        self.facts.note(step, fact.clone());
    }
    fn undone(&mut self, step: &str) {
        self.facts.forget(step);
    }
    /// The tool leaves the last tenth of the cap for turning back: at its end the switch gives V1 back by force, ending
    /// the session that is at it.
    fn attempt(&mut self, n: u32) {
        self.attempt = n;
        self.deadline = Some(Deadline::after(self.plan.limits.cutover.0 * 9 / 10));
    }
    fn retreats(&mut self, to: Option<&str>) {
        self.to_nothing = to.is_none();
    }
    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
    fn tell(&self) -> &Teller {
        &self.tell
    }
    fn sentence(fact: &Fact) -> String {
        fact.to_string()
    }
}

pub(crate) fn private(x: &Run) -> Attachment {
    Attachment { network: x.plan.private_network.clone(), ..Default::default() }
}

pub(crate) fn window(x: &Run) -> Result<&dyn Window, Trouble> {
    x.window.as_deref().ok_or_else(|| Trouble::bug("a step of the window runs outside it"))
}

/// Beyond the line V1 may be gone, by somebody else's hand: then there is nothing of it to see to.
pub(crate) async fn unless_v1_is_gone(x: &Run, seen_to: Result<(), Trouble>) -> Result<(), Trouble> {
    match seen_to {
        Err(_) if x.runtime.container(&x.plan.v1.id).await?.is_none() => {
            x.tell.warning("V1's container is gone; its part of the run is left out");
            Ok(())
        }
        other => other,
    }
}

/// Whoever waits at V1 is told no at once.
pub(crate) async fn let_v1_refuse(x: &Run) -> Result<(), Trouble> {
    let Some(window) = &x.window else { return x.v1.ensure_listener_let_go().await };
    window.let_listener_go().await?;
    // While its session lives: a published port takes V1 off the private network.
    window.end_switch().await
}

pub(crate) fn drained(x: &Run) -> Result<Position, Trouble> {
    match x.facts.of("drain") {
        Some(Fact::Drained { position }) => Ok(position.clone()),
        _ => Err(Trouble::bug("no last position of V1 is known")),
    }
}

/// Every way does its part, also after one of them has failed; then the first failure.
pub(crate) async fn each_way(
    x: &Run,
    part: impl AsyncFn(&dyn ClientsWay) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    join_all(x.ways.iter().map(|way| part(&**way))).await.into_iter().collect()
}

pub(crate) async fn ensure_probes(x: &mut Run) -> Result<(), Trouble> {
    if x.probes.is_empty() {
        for address in x.ways.iter().filter_map(|way| way.address()) {
            x.probes.push(x.v2.probe(&address).await?);
        }
    }
    Ok(())
}

pub(crate) async fn refuse_what_changed(x: &Run) -> Result<(), Trouble> {
    for way in join_all(x.ways.iter().map(|way| way.check())).await {
        way?;
    }
    match &x.service {
        // Somebody may have put the old file back.
        Some(service) if x.facts.of("claim").is_some() => service.ensure_still_guarded().await?,
        Some(service) => service.refuse_what_changed()?,
        None => {}
    }
    let checks = x.v1.recheck().await?;
    match checks.iter().find(|check| check.verdict == Verdict::Refused) {
        None => Ok(()),
        Some(check) => {
            let trouble = Trouble::refused(format!("{}: {}", check.id, check.found));
            Err(check.hint.iter().fold(trouble, |trouble, hint| trouble.hint(hint.clone())))
        }
    }
}

/// How far V2 is behind once it has been near enough for `steady` without a break.
pub(crate) async fn steadily_near(x: &Run, limit: Limit<'_>, steady: Duration) -> Result<u64, Trouble> {
    let mut near_since: Option<Instant> = None;
    let wait = Wait { what: "V2 to catch up", limit, every: Duration::from_millis(200), kind: Kind::NotReady };
    wait::until(wait, &x.tell, async || {
        let lag = x.v2.behind(&x.v1.position().await?).await?;
        match (gate::lag(lag, x.plan.limits.lag), lag) {
            (Gate::Go(_), Some(lag)) if near_since.get_or_insert_with(Instant::now).elapsed() >= steady => {
                Ok(Look::Done(lag.bytes))
            }
            (Gate::Go(why), _) => Ok(Look::NotYet(why)),
            (Gate::Wait(why), _) => {
                near_since = None;
                Ok(Look::NotYet(why))
            }
            (Gate::Refuse(why), _) => Err(Trouble::not_ready(why)),
        }
    })
    .await
}

/// The owner's go: no hold file, and the window open.
pub(crate) async fn wait_for_the_go(x: &Run) -> Result<(), Trouble> {
    let wait = Wait {
        what: "the go",
        limit: Limit { name: "limits.total", value: x.plan.limits.total.0 },
        every: Duration::from_millis(200),
        kind: Kind::NotReady,
    };
    let end = Deadline::after(x.plan.limits.total.0);
    wait::until(wait, &x.tell, async || match the_go(x, end.left())? {
        Gate::Go(_) => Ok(Look::Done(())),
        Gate::Wait(why) => Ok(Look::NotYet(why)),
        Gate::Refuse(why) => Err(Trouble::not_ready(format!("outside the window: {why}"))),
    })
    .await
}

fn the_go(x: &Run, patience: Duration) -> Result<Gate, Trouble> {
    if let Some(file) = &x.plan.hold {
        let held = gate::held(file.try_exists().ok(), &file.display().to_string());
        if !matches!(held, Gate::Go(_)) {
            return Ok(held);
        }
    }
    gate::window(x.plan.window.as_ref(), jiff::Timestamp::now(), patience)
}
