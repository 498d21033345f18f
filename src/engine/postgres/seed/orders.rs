//! How we speak with a helper that stays: one order a line, each answered with `done`, or `failed` and why.

use std::time::Duration;

use crate::engine::Place;
use crate::runtime::{Helper, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// What such a helper's script begins with.
pub(in super::super) const HELPER: &str = include_str!("helper.sh");

pub(in super::super) struct Orders {
    place: Place,
    helper: Box<dyn Helper>,
}

impl Orders {
    /// Of a helper that says `started` when it takes orders.
    pub(in super::super) async fn start(place: &Place, spec: &HelperSpec, what: &str) -> Result<Orders, Trouble> {
        let mut orders = Orders { place: place.clone(), helper: place.runtime.helper(spec).await? };
        match orders.heard(what, Duration::from_secs(300)).await?.as_str() {
            "started" => Ok(orders),
            other => Err(failed(what, other)),
        }
    }

    /// Done when this returns. `what`: what is being made, for people.
    pub(in super::super) async fn order(&mut self, order: &str, what: &str) -> Result<(), Trouble> {
        match self.ask(order, what).await?.as_str() {
            "done" => Ok(()),
            other => Err(failed(what, other)),
        }
    }

    /// What it answers; a failure is an error.
    pub(in super::super) async fn ask(&mut self, order: &str, what: &str) -> Result<String, Trouble> {
        self.place.tell.waiting(what, "the servers' own programs are at it");
        self.answer(order, what).await
    }

    /// The same without a word: for looks that repeat.
    pub(in super::super) async fn answer(&mut self, order: &str, what: &str) -> Result<String, Trouble> {
        self.helper.send(order).await?;
        let answer = self.heard(what, self.place.plan.limits.total.0).await?;
        if answer.starts_with("failed") { Err(failed(what, &answer)) } else { Ok(answer) }
    }

    /// The next line, where an answer has several.
    pub(in super::super) async fn heard(&mut self, what: &str, value: Duration) -> Result<String, Trouble> {
        let limit = Limit { name: "limits.total", value };
        let line = wait::within(limit, what, self.helper.line()).await?;
        line.ok_or_else(|| Trouble::failed(format!("{what}: the helper that was at it ended by itself")))
    }

    pub(in super::super) async fn end(self) -> Result<(), Trouble> {
        self.helper.end().await.map(drop)
    }
}

fn failed(what: &str, why: &str) -> Trouble {
    let why = why.strip_prefix("failed ").unwrap_or(why).trim();
    let trouble = Trouble::failed(format!("{what}: not done")).because(Trouble::failed(why));
    if why.contains("No space left") {
        return trouble.hint("V2's disk is full: make room, or let V2's volume be elsewhere");
    }
    trouble.hint("run again: the copy begins anew")
}
