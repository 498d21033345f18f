//! What `run` does around its runs, for nights when nobody looks: it turns back what an earlier night left half-way, where the
//! owner wants that, and tries again what may go well a little later.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::find;
use super::invocation::Invocation;
use super::perform::{Performance, phase};
use super::run::begin_or_go_on;
use crate::config::quantity::Span;
use crate::config::{Limits, Retry, Unfinished};
use crate::gate::{self, Again};
use crate::saga::{Interrupt, Wish};
use crate::standing::{Phase, Standing};
use crate::state::{self, Until};
use crate::tell::out;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Deadline, Limit, Look, Wait, human};

/// What its runs have in common.
#[derive(Default)]
pub(super) struct Night {
    /// Another run may follow: the result of the one before is not told yet, as a command tells one.
    pub(super) goes_on: Cell<bool>,
    /// How many tries there were; 0: the command makes none.
    tries: Cell<u32>,
    given_up: RefCell<Option<String>>,
    /// When `limits.total` is over for all of them.
    end: Cell<Option<Deadline>>,
    interrupt: RefCell<Option<Interrupt>>,
}

impl Night {
    /// One for the whole command: a signal between two runs is meant for the next one, too.
    pub(super) fn interrupt(&self) -> Result<Interrupt, Trouble> {
        if let Some(interrupt) = &*self.interrupt.borrow() {
            return Ok(interrupt.clone());
        }
        let interrupt = Interrupt::on_signals()?;
        self.interrupt.replace(Some(interrupt.clone()));
        Ok(interrupt)
    }

    /// A limit of the whole command, for one of its runs.
    pub(super) fn left_of(&self, total: Span) -> Span {
        self.end.get().map_or(total, |end| Span(total.0.min(end.left()).max(Duration::from_secs(1))))
    }

    /// What the result says of it.
    pub(super) fn note(&self, result: &mut Value) {
        if self.tries.get() > 0 {
            result["tries"] = self.tries.get().into();
        }
        if let Some(why) = &*self.given_up.borrow() {
            result["given_up"] = why.clone().into();
        }
    }

    fn was_interrupted(&self) -> bool {
        self.interrupt.borrow().as_ref().is_some_and(|interrupt| interrupt.asked() > 0)
    }
}

/// `run`, until it has ended well, or for good.
pub(super) async fn through(typed: &Invocation) -> Result<u8, Trouble> {
    typed.night.goes_on.set(true);
    let ended = tries(typed).await;
    typed.night.goes_on.set(false);
    // Of an error the caller tells.
    let result = typed.result.borrow().clone();
    if let (Ok(_), Some(mut result)) = (&ended, result) {
        typed.night.note(&mut result);
        typed.tell_result(&typed.teller(false), result);
    }
    ended
}

/// A run that an earlier night left half-way, turned back where the owner wants that; the exit code where the command ends
/// with it. One at rest holds by itself: it was prepared, or has come back there, and is gone on with.
async fn left_by_an_earlier_one(typed: &Invocation) -> Result<Option<u8>, Trouble> {
    if typed.config.unfinished == Unfinished::Resume {
        return Ok(None);
    }
    let name = find::name_of_target(typed).await?;
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    let Some(found) = find::open(typed, &name)? else { return Ok(None) };
    if !turns_back(typed, &found.standing) {
        return Ok(None);
    }
    let said = phase(&found.standing).said();
    typed.confirm(&format!("A run of {name} was left half-way ({said}). Turn it back, and begin anew?"))?;
    let code = Performance::go_on(typed, found.files).await?.perform(typed, Wish::TurnBack).await?;
    Ok((code != 0 || typed.night.was_interrupted()).then_some(code))
}

/// Beyond the line there is only forward, and a switchback was begun by hand: it is for whoever did.
pub(super) fn turns_back(typed: &Invocation, standing: &Standing) -> bool {
    let half_way = matches!(phase(standing), Phase::At(_) | Phase::Stopped(_));
    let ours = standing.order.kind == state::Kind::Switchover && !standing.passed;
    typed.config.unfinished == Unfinished::Abort && half_way && ours
}

async fn tries(typed: &Invocation) -> Result<u8, Trouble> {
    let end = Deadline::after(typed.config.limits.over(&Limits::default())?.total.0);
    if let Some(code) = left_by_an_earlier_one(typed).await? {
        return Ok(code);
    }
    // Where somebody is asked, it is for him to try again.
    let retry = if typed.options.yes { typed.config.retry } else { Retry::default() };
    loop {
        let night = &typed.night;
        night.tries.set(night.tries.get() + 1);
        typed.result.replace(None);
        let code = begin_or_go_on(typed, Until::End).await?;
        if retry.times == 0 || !may_pass(code) || night.was_interrupted() {
            return Ok(code);
        }
        let why = reason(typed);
        let (window, now) = (typed.config.window.as_ref(), Timestamp::now());
        match gate::again(retry, night.tries.get(), window, now, end.left())? {
            Again::After(pause) if wait_for_next(typed, pause, &why).await? => night.end.set(Some(end)),
            Again::After(_) => return Ok(given_up(typed, code, "interrupted between two tries")),
            Again::No(no) => return Ok(given_up(typed, code, &format!("{no}; the last one: {why}"))),
        }
    }
}

/// Turned back, or not ready in time. What a precheck refuses it refuses a little later, too, and what stopped half-way
/// needs a person.
fn may_pass(code: u8) -> bool {
    code == Kind::Failed.exit_code() || code == Kind::NotReady.exit_code()
}

fn reason(typed: &Invocation) -> String {
    let result = typed.result.borrow();
    let said = result.as_ref().and_then(|result| result["error"]["what"].as_str());
    said.unwrap_or("it was turned back").to_owned()
}

fn given_up(typed: &Invocation, code: u8, why: &str) -> u8 {
    typed.night.given_up.replace(Some(why.to_owned()));
    out::note(&format!("\n{} {why}\n", out::yellow("given up:")));
    code
}

/// False where it was interrupted.
async fn wait_for_next(typed: &Invocation, pause: Duration, why: &str) -> Result<bool, Trouble> {
    let (interrupt, end) = (typed.night.interrupt()?, Deadline::after(pause));
    let next = typed.night.tries.get() + 1;
    let why = format!("{} after try {}, which came to nothing: {why}", human(pause), next - 1);
    let wait = Wait {
        what: &format!("try {next} of {}", typed.config.retry.times.saturating_add(1)),
        limit: Limit { name: "retry.wait", value: pause.saturating_add(Duration::from_secs(60)) },
        every: Duration::from_millis(200),
        kind: Kind::Failed,
    };
    let tell = typed.teller(false);
    let waited = wait::until(wait, &tell, async || {
        Ok(match (interrupt.asked() > 0, end.is_over()) {
            (true, _) => Look::Done(false),
            (false, true) => Look::Done(true),
            (false, false) => Look::NotYet(why.clone()),
        })
    });
    let passed = waited.await?;
    tell.flush();
    Ok(passed)
}
