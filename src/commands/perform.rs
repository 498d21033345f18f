//! A run from where its journal ends to its ending.

use std::rc::Rc;

use super::assemble::{self, Parts, assemble};
use super::ending::Ending;
use super::invocation::Invocation;
use super::look::look;
use crate::config::OnFailure;
use crate::facts::Fact;
use crate::guard::Guard as _;
use crate::retire::RETIRE;
use crate::runtime::Runtime;
use crate::saga::{Interrupt, Journal, Line, Outcome, Wish, drive};
use crate::standing::{Phase, Standing};
use crate::state::{self, Order, RunFiles, write_whole};
use crate::switchover::{Run, SWITCHOVER};
use crate::tell::{Teller, out};
use crate::trouble::{Kind, Trouble};
use crate::wait::Deadline;

/// The table a run walks.
pub(super) fn story(kind: state::Kind) -> &'static [Line<Run, Fact>] {
    match kind {
        state::Kind::Switchover | state::Kind::Retire => SWITCHOVER,
        state::Kind::Switchback => crate::switchback::story(),
    }
}

/// Where a run of any kind stands.
pub(super) fn phase(standing: &Standing) -> Phase {
    match standing.order.kind {
        state::Kind::Retire => standing.phase(RETIRE),
        kind => standing.phase(story(kind)),
    }
}

/// They serve this process alone: whoever goes on with the run makes its own.
pub(super) async fn end_helpers(run: &mut Run) {
    run.probes.clear();
    if let Err(trouble) = run.runtime.ensure_no_helpers(&run.plan.run).await {
        run.tell.warning(trouble.one_line());
    }
}

/// What keeps a run from being gone on with. In the window, or beyond the line, nothing of that is harmless.
fn half_way(standing: &Standing, mut trouble: Trouble) -> Trouble {
    if (standing.in_window() || standing.passed) && trouble.kind != Kind::Busy {
        trouble.kind = Kind::Person;
        return trouble.hint(
            "the run stands half-way: `switchover status` says who serves; `switchover resume` when this is mended",
        );
    }
    trouble
}

/// A run about to be performed. Whoever makes one holds the lock of its database.
pub(super) struct Performance {
    pub(super) files: RunFiles,
    pub(super) order: Order,
    pub(super) journal: Journal<Fact>,
    pub(super) runtime: Rc<dyn Runtime>,
    pub(super) tell: Teller,
}

impl Performance {
    /// A new run: its plan is on disk before anything is touched.
    pub(super) fn begin(
        typed: &Invocation,
        order: Order,
        runtime: Rc<dyn Runtime>,
        tell: Teller,
    ) -> Result<Self, Trouble> {
        let files = typed.state.run(&order.plan.name, &order.id);
        let plan = serde_json::to_value(&order).map_err(|e| Trouble::bug("a plan does not become text").because(e))?;
        let journal = Journal::create(&files.journal(), plan)?;
        Ok(Performance { files, order, journal, runtime, tell })
    }

    /// A run that is open, with what was said anew.
    pub(super) async fn go_on(typed: &Invocation, files: RunFiles) -> Result<Self, Trouble> {
        let standing = Standing::of(&files.read()?)?;
        Self::reopened(typed, files).await.map_err(|trouble| half_way(&standing, trouble))
    }

    async fn reopened(typed: &Invocation, files: RunFiles) -> Result<Self, Trouble> {
        let journal = Journal::<Fact>::open(&files.journal())?;
        let mut order = crate::state::order_of(journal.plan())?;
        order.plan = typed.over(order.plan)?;
        let tell = typed.teller(order.is_exchanged());
        Ok(Performance { files, order, journal, runtime: typed.runtime().await?, tell })
    }

    /// Drives it as far as wished, tells the ending, and says the exit code.
    pub(super) async fn perform(mut self, typed: &Invocation, wish: Wish) -> Result<u8, Trouble> {
        let interrupt = typed.night.interrupt()?;
        let standing = Standing::of(self.journal.records())?;
        let access = typed.access().map_err(|trouble| half_way(&standing, trouble))?;
        let mut guard = assemble::guard(typed, &self.order.plan, &self.files, &access);
        if standing.in_window() {
            // The run it goes on with may be dead in the middle of the window: so may this one be.
            // V1 may be shut: it is given back with or without a guard.
            if let Err(trouble) = guard.ensure_armed(Deadline::after(self.order.plan.limits.cutover.0)).await {
                self.tell.warning(format!("without a guard: {}", trouble.one_line()));
            }
        }
        let parts =
            Parts { runtime: Rc::clone(&self.runtime), access, guard: Box::new(guard), tell: self.tell.clone() };
        let mut plan = self.order.plan.clone();
        // Not in the journal: a later night has its own.
        plan.limits.total = typed.night.left_of(plan.limits.total);
        let mut run = assemble(plan, &self.files, parts)?;
        let story = story(self.order.kind);
        let mut outcome = drive(story, &mut run, &mut self.journal, wish, &interrupt).await;
        if self.goes_all_the_way_back(&outcome) {
            let Outcome::TurnedBack { because, .. } = outcome else { return Err(Trouble::bug("no way back")) };
            // What stops this way back is not the interrupt that may have begun it.
            let back = drive(story, &mut run, &mut self.journal, Wish::TurnBack, &Interrupt::default()).await;
            outcome = match back {
                Outcome::TurnedBack { to, .. } => Outcome::TurnedBack { to, because },
                stopped => stopped,
            };
        }
        end_helpers(&mut run).await;
        self.end(typed, &run, &outcome, wish == Wish::TurnBack).await
    }

    /// A switchback that failed leaves both sides as they were before it; cron may want nothing left at all.
    fn goes_all_the_way_back(&self, outcome: &Outcome) -> bool {
        let asked = self.order.kind == state::Kind::Switchback || self.order.plan.on_failure == OnFailure::Abort;
        asked && matches!(outcome, Outcome::TurnedBack { to: Some(_), .. })
    }

    async fn end(&self, typed: &Invocation, run: &Run, outcome: &Outcome, wanted_back: bool) -> Result<u8, Trouble> {
        let standing = Standing::of(self.journal.records())?;
        self.forget_secrets(&standing);
        self.files.tidy();
        let scene = look(run, self.order.is_exchanged()).await;
        let journal = self.files.journal().display().to_string();
        let ending = Ending { outcome, wanted_back, standing: &standing, scene: &scene, journal };
        let result = ending.result(&self.tell.warnings());
        if let Err(trouble) = write_whole(&self.files.result(), format!("{result:#}\n").as_bytes()) {
            self.tell.warning(trouble.one_line());
        }
        typed.tell_result(&self.tell, result);
        let code = ending.exit_code();
        let said = ending.text();
        match (typed.is_json(), code) {
            // Programs read the result; what went wrong is said to people, too.
            (true, 0) => {}
            (true, _) => out::note(&said),
            (false, 0) => out::data(&format!("\n{said}")),
            (false, _) => out::note(&format!("\n{said}")),
        }
        Ok(code)
    }

    /// Passwords go with the last thing that needs them: the way back, or the run.
    fn forget_secrets(&self, standing: &Standing) {
        let following = matches!(standing.fact("settle"), Some(Fact::Settled { way_back: true, .. }));
        if !standing.is_open()
            && !following
            && let Err(trouble) = self.files.secrets().forget_all()
        {
            self.tell.warning(trouble.one_line());
        }
    }
}
