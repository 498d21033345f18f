//! Clients come through something that programs of the owner's tell: a proxy that we do not know, a name in a zone, a service
//! that finds servers. How it finds the sides is moved by a way of its own beside this one (`plan/ways.rs`).
//!
//! A program may be asked for the same act again, by another process too, and sees to it that this has the same effect. It is
//! told where the sides stand at that moment, and is ended with all that it has started when its time is up. Each
//! call is a process inside the window, the one exception to its rules: who names a hook pays for it.

use std::cell::Cell;
use std::time::Duration;

use async_trait::async_trait;

use self::facts::{OfSide, Told};
use super::{ClientsWay, Sides};
use crate::engine::{Address, Side};
use crate::hooks::{self, Answer, Question};
use crate::plan::{self, HookAct, Route};
use crate::runtime::Container;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

mod facts;
mod find;

pub(super) use find::find;

pub(super) struct Hook {
    plan: plan::Hook,
    at: Sides,
    /// Where this process has led clients to, for what is told afterwards.
    serving: Cell<Side>,
}

impl Hook {
    pub(super) fn new(plan: plan::Hook, at: Sides) -> Hook {
        Hook { plan, at, serving: Cell::new(Side::V1) }
    }

    fn has(&self, act: HookAct) -> bool {
        self.plan.programs.contains_key(&act)
    }

    async fn found(&self, side: Side) -> Result<Option<Container>, Trouble> {
        self.at.runtime.container(self.at.container(side)).await
    }

    /// What the programs are told, as things stand now.
    async fn told(&self) -> Result<Told, Trouble> {
        let network = match &self.plan.route {
            Route::Network(network) => network.as_str(),
            Route::Port { .. } => "",
        };
        let of = async |side| {
            let found = self.found(side).await?;
            Ok::<_, Trouble>(OfSide::new(self.at.plan_of(side), found.as_ref(), network))
        };
        let (v1, v2) = futures_util::future::try_join(of(Side::V1), of(Side::V2)).await?;
        Ok(Told::of_plan(&self.at.plan, network, v1, v2))
    }

    fn cap(&self) -> Limit<'static> {
        Limit { name: "limits.cutover", value: self.at.plan.limits.cutover.0 }
    }

    /// A program gets no more time than the window has.
    fn limit(&self) -> Limit<'static> {
        let within = Limit { name: "within", value: self.plan.within.0 };
        if within.value <= self.cap().value { within } else { self.cap() }
    }

    async fn ask(&self, act: HookAct, told: &Told, serving: Option<Side>) -> Result<Answer, Trouble> {
        let argv = self.plan.programs.get(&act).map(Vec::as_slice).unwrap_or_default();
        let (facts, directory, limit) = (told.facts(act, serving), &self.plan.directory, self.limit());
        hooks::ask(&Question { argv, directory, facts: &facts, limit }).await.map_err(|trouble| {
            Trouble::failed(format!("`{}` of the clients' hook failed", act.name())).because(trouble)
        })
    }

    /// It was called and ended well. Nothing is done where there is no such program.
    async fn act(&self, act: HookAct, told: &Told, serving: Option<Side>) -> Result<(), Trouble> {
        if !self.has(act) {
            return Ok(());
        }
        let answer = self.ask(act, told, serving).await?;
        if answer.status.success() {
            return Ok(());
        }
        Err(Trouble::failed(format!("`{}` of the clients' hook failed", act.name()))
            .because(Trouble::failed(in_words(&answer)))
            .hint("what is wrong is in what the program says; it may be called by hand, with the same variables"))
    }

    /// What the programs are told once `side` is where they look for it: it may be on its way there.
    async fn told_where(&self, side: Side) -> Result<Told, Trouble> {
        let what = format!("{side} to be where {} looks for it", self.describe());
        let wait = Wait { what: &what, limit: self.cap(), every: Duration::from_millis(2), kind: Kind::Failed };
        wait::until(wait, &self.at.tell, async || {
            let told = self.told().await?;
            Ok(match told.of(side).address {
                Some(_) => Look::Done(told),
                None => Look::NotYet(format!("it is not on network {} yet", told.network)),
            })
        })
        .await
    }
}

#[async_trait(?Send)]
impl ClientsWay for Hook {
    fn describe(&self) -> String {
        name_of(&self.plan)
    }

    async fn check(&self) -> Result<(), Trouble> {
        let refused = |trouble: Trouble| Trouble { kind: Kind::Refused, ..trouble };
        let told = self.told().await.map_err(refused)?;
        let answer = self.ask(HookAct::Check, &told, None).await.map_err(refused)?;
        match pointing(&answer) {
            Pointing::At(Side::V1) => Ok(()),
            other => Err(other.refusal(&self.describe(), &answer)),
        }
    }

    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        let answer = self.ask(HookAct::Check, &self.told().await?, None).await?;
        Ok(match pointing(&answer) {
            Pointing::At(side) => Some(side),
            Pointing::Elsewhere => None,
        })
    }

    fn pauses(&self) -> bool {
        self.has(HookAct::Hold)
    }

    async fn ensure_held(&self) -> Result<bool, Trouble> {
        self.act(HookAct::Hold, &self.told().await?, Some(Side::V1)).await?;
        Ok(self.pauses())
    }

    /// Asked on the way back only: whatever was prepared for V2 is put back before clients run.
    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        self.act(HookAct::Undo, &self.told().await?, Some(Side::V1)).await
    }

    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        let told = self.told_where(side).await?;
        let what = format!("{} to lead clients to {side}", self.describe());
        let wait = Wait { what: &what, limit: self.cap(), every: Duration::from_millis(200), kind: Kind::Failed };
        wait::until(wait, &self.at.tell, async || {
            // Beyond the line it is only gone forward: what fails is tried again.
            let moved = self.act(HookAct::Move, &told, Some(side)).await.map(Look::Done);
            Ok(moved.unwrap_or_else(|trouble| Look::NotYet(trouble.one_line())))
        })
        .await?;
        self.serving.set(side);
        Ok(())
    }

    /// What programs have told may have been forgotten meanwhile.
    async fn ensure_withdrawn(&self, side: Side) -> Result<(), Trouble> {
        match self.pointing_at().await {
            Ok(Some(at)) if at == side => {
                self.ensure_pointing_at(side.other()).await?;
                self.ensure_released().await?;
                if self.pointing_at().await? != Some(side) {
                    return Ok(());
                }
                let what = format!("{} says that it still points at {side}, and was told otherwise", self.describe());
                Err(Trouble::failed(what).hint("`check` ends with 0 where clients are led to V1, and only there"))
            }
            Ok(_) => Ok(()),
            Err(trouble) => {
                // Clients run by now.
                self.at.tell.warning(format!(
                    "it cannot be said where {} points: {}",
                    self.describe(),
                    trouble.one_line()
                ));
                Ok(())
            }
        }
    }

    /// Whether another process has let clients wait cannot be known here: a program lets go also where nobody waits.
    async fn ensure_released(&self) -> Result<(), Trouble> {
        if !self.pauses() {
            return Ok(());
        }
        self.act(HookAct::Release, &self.told().await?, Some(self.serving.get())).await
    }

    /// Only its owner knows where clients connect: the way by which it finds V2 is tried instead.
    fn address(&self) -> Option<Address> {
        None
    }
}

/// By the program that moves clients.
fn name_of(plan: &plan::Hook) -> String {
    format!("hook {}", plan.programs.get(&HookAct::Move).and_then(|argv| argv.first()).map_or("", String::as_str))
}

/// What `check` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pointing {
    At(Side),
    /// At neither, or it does not say.
    Elsewhere,
}

impl Pointing {
    fn refusal(self, hook: &str, answer: &Answer) -> Trouble {
        let says = match self {
            Pointing::At(side) => format!("says that it points at {side}"),
            Pointing::Elsewhere => "does not say that it points at V1".to_owned(),
        };
        Trouble::refused(format!("{hook} {says}"))
            .because(Trouble::refused(in_words(answer)))
            .hint("`check` ends with 0 where clients are led to V1, by the address in SWITCHOVER_V1_ADDRESS")
    }
}

/// Its last line counts, if it says V2; that it is V1 takes a good end.
fn pointing(answer: &Answer) -> Pointing {
    match (answer.said.lines().last().map(str::trim), answer.status.success()) {
        (Some("v2"), _) => Pointing::At(Side::V2),
        (_, true) => Pointing::At(Side::V1),
        (_, false) => Pointing::Elsewhere,
    }
}

fn in_words(answer: &Answer) -> String {
    let words = [&answer.complaint, &answer.said].into_iter().find(|words| !words.is_empty());
    let ended = format!("it ended with {}", answer.status);
    words.map_or(ended.clone(), |words| format!("{ended}: {words}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn what_check_says_is_where_it_points() {
        let ended = |code: i32, said: &str| {
            pointing(&Answer { status: ExitStatus::from_raw(code << 8), said: said.into(), complaint: String::new() })
        };
        assert_eq!([ended(0, ""), ended(0, "v1"), ended(0, "10.0.0.2")], [Pointing::At(Side::V1); 3]);
        assert_eq!([ended(1, "v2"), ended(0, "v2"), ended(1, "looking\nv2")], [Pointing::At(Side::V2); 3]);
        // A good word with a bad end proves nothing.
        assert_eq!([ended(1, ""), ended(1, "v1"), ended(1, "v2 or v1")], [Pointing::Elsewhere; 3]);
    }
}
