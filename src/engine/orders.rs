//! How we speak with a helper that stays: one order a line, each answered with `done`, or `failed` and why.

use crate::engine::Place;
use crate::runtime::{Helper, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

pub(in crate::engine) struct Orders {
    place: Place,
    /// `None`: it has ended.
    helper: Option<Box<dyn Helper>>,
}

impl Orders {
    /// Of a helper that says `started` when it takes orders.
    pub(in crate::engine) async fn start(place: &Place, spec: &HelperSpec, what: &str) -> Result<Orders, Trouble> {
        let mut orders = Orders { place: place.clone(), helper: Some(place.runtime.helper(spec).await?) };
        match orders.heard(what).await?.as_str() {
            "started" => Ok(orders),
            other => Err(failed(what, other)),
        }
    }

    /// Done when this returns. `what`: what is being made, for people.
    pub(in crate::engine) async fn order(&mut self, order: &str, what: &str) -> Result<(), Trouble> {
        self.place.tell.waiting(what, "the servers' own programs are at it");
        match self.answer(order, what).await?.as_str() {
            "done" => Ok(()),
            other => Err(failed(what, other)),
        }
    }

    /// What it answers, without a word: for looks that repeat. A failure is an error.
    pub(in crate::engine) async fn answer(&mut self, order: &str, what: &str) -> Result<String, Trouble> {
        let Some(helper) = &mut self.helper else { return Err(failed(what, "its helper has ended")) };
        helper.send(order).await?;
        let answer = self.heard(what).await?;
        if answer.starts_with("failed") { Err(failed(what, &answer)) } else { Ok(answer) }
    }

    /// The next line, where an answer has several.
    pub(in crate::engine) async fn heard(&mut self, what: &str) -> Result<String, Trouble> {
        let limit = Limit { name: "limits.total", value: self.place.plan.limits.total.0 };
        let Some(helper) = &mut self.helper else { return Err(failed(what, "its helper has ended")) };
        if let Some(line) = wait::within(limit, what, helper.line()).await? {
            return Ok(line);
        }
        let Some(helper) = self.helper.take() else { return Err(failed(what, "its helper has ended")) };
        let output = helper.end().await?;
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        // 137: killed from outside, mostly as memory ran out.
        Err(failed(what, &format!("its helper ended by itself with code {}: {why}", output.code)))
    }

    pub(in crate::engine) async fn end(self) -> Result<(), Trouble> {
        match self.helper {
            Some(helper) => helper.end().await.map(drop),
            None => Ok(()),
        }
    }
}

fn failed(what: &str, why: &str) -> Trouble {
    let why = why.strip_prefix("failed ").unwrap_or(why).trim();
    Trouble::failed(format!("{what}: not done")).because(Trouble::failed(why)).hint(what_to_do(why))
}

/// V2's disk, as every server and program of ours says it.
pub(in crate::engine) fn is_full(why: &str) -> bool {
    why.contains("No space left")
}

/// About a copy that failed.
pub(in crate::engine) fn what_to_do(why: &str) -> &'static str {
    match is_full(why) {
        true => "V2's disk is full: make room, or let V2's volume be elsewhere; then run again",
        false => "run again: the copy begins anew",
    }
}
