//! A process of the tool, from its start to its end or its death.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;

use switchover::config::Limits;
use switchover::config::OnFailure;
use switchover::engine::Side;
use switchover::facts::{Fact, Facts};
use switchover::plan::{Plan, SidePlan};
use switchover::saga::{Journal, Line, Outcome, Wish, drive};
use switchover::switchover::Run;
use switchover::tell::Teller;
use switchover::trouble::Trouble;

use super::around::{FakeGuard, FakeRuntime, NetworkWay, PoolerWay};
use super::disk::FakeDisk;
use super::server::FakeServer;
use super::world::{Faults, Killed, State, World};

/// How a process ended.
#[derive(Debug)]
pub enum End {
    Killed,
    /// The journal could not be opened.
    #[expect(dead_code, reason = "shown when a test fails")]
    Refused(Trouble),
    Ended(Outcome),
}

/// A story, lived in a world.
#[derive(Clone, Copy)]
pub struct Life {
    pub story: &'static [Line<Run, Fact>],
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLAN: Rc<Plan> = Rc::new(plan());
    /// Time is not real: a wait is over as soon as nothing else can happen.
    static RUNTIME: RefCell<tokio::runtime::Runtime> =
        RefCell::new(tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap());
}

impl Life {
    /// The journal of a new run in this world.
    pub fn begun(mut state: State) -> State {
        state.faults.clear();
        // The plan's own text is the commands' business, and costs time at every opening.
        let plan = serde_json::Value::Null;
        let world = Rc::new(World::new(state));
        drop(Journal::<Fact>::begin(Box::new(FakeDisk(world.clone())), "journal", plan).unwrap());
        world.state.replace(State::new(super::Kind::PLAIN, super::Knobs::default()))
    }

    /// One process, to its end.
    pub fn live(&self, mut state: State, faults: Faults, wish: Wish) -> (State, End) {
        quiet_kills();
        state.process += 1;
        state.clock = 0;
        state.trace.clear();
        state.faults = faults;
        let world = Rc::new(World::new(state));
        let stop = world.stop.borrow().clone();
        let lived = catch_unwind(AssertUnwindSafe(|| {
            RUNTIME.with_borrow(|runtime| {
                runtime.block_on(async {
                    let mut journal = match Journal::on(Box::new(FakeDisk(world.clone())), "journal") {
                        Ok(journal) => journal,
                        Err(trouble) => return End::Refused(trouble),
                    };
                    let mut run = run(&world);
                    End::Ended(drive(self.story, &mut run, &mut journal, wish, &stop).await)
                })
            })
        }));
        let end = match lived {
            Ok(end) => end,
            Err(panic) if panic.is::<Killed>() => {
                world.change(State::bury);
                End::Killed
            }
            Err(panic) => resume_unwind(panic),
        };
        let state = world.state.replace(State::new(super::Kind::PLAIN, super::Knobs::default()));
        (state, end)
    }
}

/// What a new process knows: the plan, and handles.
fn run(world: &Rc<World>) -> Run {
    let kind = world.change(|s| s.kind);
    let mut ways: Vec<Box<dyn switchover::clients::ClientsWay>> = Vec::new();
    if kind.by_network {
        ways.push(Box::new(NetworkWay(world.clone())));
    }
    if kind.by_pooler {
        ways.push(Box::new(PoolerWay(world.clone())));
    }
    Run {
        plan: PLAN.with(Rc::clone),
        facts: Facts::default(),
        v1: Box::new(FakeServer { world: world.clone(), side: Side::V1 }),
        v2: Box::new(FakeServer { world: world.clone(), side: Side::V2 }),
        ways,
        service: None,
        runtime: Rc::new(FakeRuntime(world.clone())),
        guard: Box::new(FakeGuard(world.clone())),
        tell: Teller::silent(),
        window: None,
        probes: Vec::new(),
        attempt: 0,
        deadline: None,
        fence_began: None,
        given_back: false,
        to_nothing: false,
    }
}

fn plan() -> Plan {
    let side = |id: &str, container: &str, last: &str| SidePlan {
        container: container.into(),
        id: id.into(),
        final_name: last.into(),
        image: "db:1".into(),
        image_id: "1".into(),
        digest: None,
        version: "1".into(),
        data: "/data".into(),
        port: 5432,
    };
    Plan {
        run: "0123456789abcdef".into(),
        name: "db".into(),
        engine: "fake".into(),
        method: "physical".into(),
        seed: "copy".into(),
        seed_ms: None,
        v1: side("v1-id", "db", "db-v1"),
        v2: side("", "db-v2", "db"),
        v2_volumes: vec![("db-v2".into(), "/data".into())],
        v1_data_mounts: Vec::new(),
        private_network: "private".into(),
        ways: Vec::new(),
        compose: None,
        limits: Limits::default(),
        allow: Vec::new(),
        hold: None,
        window: None,
        on_failure: OnFailure::Keep,
        verify: true,
        verify_whole: false,
        v1_networks: Vec::new(),
        v1_restart_policy: "always".into(),
        before: serde_json::Value::Null,
        bytes: 1,
    }
}

/// A kill is thrown by the thousand; only real panics are shown.
fn quiet_kills() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload().is::<Killed>() && !QUIET.get() {
                usual(panic);
            }
        }));
    });
}

/// What is noticed in there, without a word on the terminal.
pub fn noticed(act: impl FnOnce()) -> Option<String> {
    QUIET.set(true);
    let panic = catch_unwind(AssertUnwindSafe(act)).err();
    QUIET.set(false);
    panic.map(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().copied().unwrap_or("something").to_owned(),
    })
}
