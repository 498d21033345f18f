//! `run`: the whole story, or what is left of it.

use super::draw::{self, draft};
use super::find;
use super::image::{self, Seen};
use super::invocation::{Invocation, refuse_outside_window};
use super::night;
use super::perform::Performance;
use super::plan::{Checks, overview};
use super::retire;
use crate::runtime::Image;
use crate::saga::Wish;
use crate::state::{Kind, Until};
use crate::target::Target;
use crate::tell::{Teller, out};
use crate::trouble::Trouble;

/// `--check`: there is something to do.
pub(super) const SOMETHING_TO_DO: u8 = 10;

pub(super) async fn run(typed: &Invocation) -> Result<u8, Trouble> {
    if typed.options.check {
        return begin_or_go_on(typed, Until::End).await;
    }
    night::through(typed).await
}

/// `run`, and `prepare` up to its resting point.
pub(super) async fn begin_or_go_on(typed: &Invocation, until: Until) -> Result<u8, Trouble> {
    let name = find::name_of_target(typed).await?;
    if typed.options.check {
        return check(typed, &name).await;
    }
    typed.ensure_can_confirm()?;
    let _lock = typed.lock(&name).await?;
    match find::open(typed, &name)? {
        Some(found) => Box::pin(go_on(typed, found, until)).await,
        None => Box::pin(begin(typed, &name, until)).await,
    }
}

async fn begin(typed: &Invocation, name: &str, until: Until) -> Result<u8, Trouble> {
    let runtime = typed.runtime().await?;
    let target = typed.target(&*runtime, Some(name)).await?;
    if until == Until::End
        && let Some(code) = retire::if_soaked(typed, name).await?
    {
        return Ok(code);
    }
    let tell = typed.teller(false);
    let image = image::have(typed, &*runtime, &target).await?;
    if runs_already(&target, &image) {
        return Ok(nothing_to_do(typed, &tell, &target, &image.reference));
    }
    let draft = draft(typed, &runtime, &target, &image, &tell).await?;
    tell.flush();
    if !typed.is_json() {
        out::note(&overview(&draft, Checks::ThatMatter));
    }
    draw::refuse(&draft.drawn)?;
    if until == Until::End {
        refuse_outside_window(&draft.drawn.plan)?;
    }
    let what = if until == Until::End { "Begin, up to the end?" } else { "Begin? Clients will notice nothing." };
    typed.confirm(what)?;
    let performance = Performance::begin(typed, draw::order(draft.drawn.plan, until), runtime, tell)?;
    performance.perform(typed, wish(until)).await
}

/// A run of the same move that is not at its end is not begun twice.
async fn go_on(typed: &Invocation, found: find::Found, until: Until) -> Result<u8, Trouble> {
    let order = &found.standing.order;
    let name = &order.plan.name;
    if order.kind == Kind::Retire && typed.config.retire.after.is_some() && until == Until::End {
        // A night like this one has begun it.
        return retire::go_on(typed, found.files).await;
    }
    if order.kind != Kind::Switchover {
        return Err(Trouble::refused(format!("a {} of {name} is under way", order.kind.name()))
            .hint(format!("`switchover resume --container {name}` goes on with it, `abort` turns it back")));
    }
    image::refuse_another(typed, &order.plan).await?;
    let plan = typed.over(order.plan.clone())?;
    if until == Until::End && !found.standing.in_window() && !found.standing.passed {
        refuse_outside_window(&plan)?;
    }
    typed.confirm(&format!("A run of {name} is under way. Go on with it?"))?;
    Performance::go_on(typed, found.files).await?.perform(typed, wish(until)).await
}

fn wish(until: Until) -> Wish {
    match until {
        Until::Ready => Wish::Prepare,
        Until::End => Wish::Switch,
    }
}

fn runs_already(target: &Target, image: &Image) -> bool {
    target.container.image_id == image.id
}

fn nothing_to_do(typed: &Invocation, tell: &Teller, target: &Target, image: &str) -> u8 {
    let name = &target.container.name;
    typed.tell_result(tell, serde_json::json!({ "name": name, "outcome": "nothing-to-do", "exit": 0 }));
    if !typed.is_json() {
        out::data(&format!("nothing to do: {name} runs {image} already\n"));
    }
    0
}

/// `--check`. Pulls nothing: an image that is not here is not what runs.
async fn check(typed: &Invocation, name: &str) -> Result<u8, Trouble> {
    let runtime = typed.runtime().await?;
    let open = find::open(typed, name)?.is_some();
    let tell = typed.teller(false);
    let why = match (open, retire::has_soaked(typed, name)) {
        // In the middle of one a compose file may be guarded: it is not asked who V1 is.
        (true, _) => "a run is under way".to_owned(),
        (false, true) => "the side that was kept (retire.after) is to be retired".to_owned(),
        (false, false) => {
            let target = typed.target(&*runtime, Some(name)).await?;
            match image::look(typed, &*runtime, &target).await? {
                Seen::Runs(image) => return Ok(nothing_to_do(typed, &tell, &target, &image)),
                Seen::Another(why) => why,
            }
        }
    };
    tell.result(
        serde_json::json!({ "name": name, "outcome": "something-to-do", "exit": SOMETHING_TO_DO, "because": why }),
    );
    tell.flush();
    if !typed.is_json() {
        out::data(&format!("something to do for {name}: {why}\n"));
    }
    Ok(SOMETHING_TO_DO)
}
