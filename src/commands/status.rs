//! `status`: where every side and every way of the clients stands. Looks only, also while another process works.

use std::fmt::Write as _;
use std::time::Duration;

use super::assemble::{Parts, assemble};
use super::ending;
use super::find::{self, Found};
use super::invocation::Invocation;
use super::look::{Scene, look};
use crate::cli;
use crate::config::quantity::Bytes;
use crate::engine::{Lag, Side};
use crate::facts::Fact;
use crate::guard::Unguarded;
use crate::saga::journal::Closed;
use crate::standing::Phase;
use crate::state::Who;
use crate::tell::{Event, Teller, json, out, text};
use crate::trouble::Trouble;
use crate::wait;

pub(super) async fn status(typed: &Invocation, args: &cli::Status) -> Result<u8, Trouble> {
    loop {
        let said = look_once(typed).await?;
        if args.watch && out::can_draw() && !typed.is_json() {
            // Home, and what was there before is gone.
            out::data("\u{1b}[H\u{1b}[2J");
        }
        out::data(&said.text);
        if !args.watch {
            return Ok(if typed.options.check { u8::from(!said.healthy) } else { 0 });
        }
        wait::a_moment(Duration::from_secs(1)).await;
    }
}

/// What one look says.
struct Said {
    text: String,
    healthy: bool,
}

async fn look_once(typed: &Invocation) -> Result<Said, Trouble> {
    let names = if typed.names_v1() { vec![find::name(typed).await?] } else { typed.state.names()? };
    let mut said = Said { text: String::new(), healthy: true };
    for name in &names {
        let Some(found) = newest(typed, name)? else { continue };
        let view = view(typed, name, found).await?;
        let reasons = view.unhealthy();
        said.healthy &= reasons.is_empty();
        said.text.push_str(&if typed.is_json() { view.json(&reasons) } else { view.text(&reasons) });
    }
    if said.text.is_empty() && !typed.is_json() {
        "no switchover was ever begun here\n".clone_into(&mut said.text);
    }
    Ok(said)
}

/// The open run, else the last one.
fn newest(typed: &Invocation, name: &str) -> Result<Option<Found>, Trouble> {
    let mut all = find::all(typed, name)?;
    let open = all.iter().rposition(|found| found.standing.is_open());
    Ok(match open {
        Some(at) => Some(all.swap_remove(at)),
        None => all.pop(),
    })
}

/// All that is shown of one database.
struct View {
    name: String,
    found: Found,
    scene: Scene,
    /// How far the side that follows is behind, where one does.
    lag: Option<Lag>,
    holder: Option<(u32, Who)>,
    phase: Phase,
}

async fn view(typed: &Invocation, name: &str, found: Found) -> Result<View, Trouble> {
    let order = &found.standing.order;
    let parts = Parts {
        runtime: typed.runtime().await?,
        access: typed.access()?,
        guard: Box::new(Unguarded),
        tell: Teller::silent(),
    };
    let run = assemble(order.plan.clone(), &found.files, parts)?;
    let scene = look(&run, order.is_exchanged()).await;
    // Who follows whom is the other way round once the clients are across.
    let (leader, follower) =
        if found.standing.closed == Some(Closed::Switched) { (&run.v2, &run.v1) } else { (&run.v1, &run.v2) };
    let lag = match leader.position().await {
        Ok(position) => follower.behind(&position).await.ok().flatten(),
        Err(_) => None,
    };
    let phase = super::perform::phase(&found.standing);
    Ok(View { name: name.to_owned(), holder: typed.state.holder(name), scene, lag, phase, found })
}

impl View {
    fn headline(&self) -> String {
        let standing = &self.found.standing;
        let kind = standing.order.kind.name();
        match (&self.phase, self.holder) {
            (Phase::Switched, _) => format!("{kind} done"),
            (Phase::Undone, _) => format!("{kind} turned back, nothing of it is left"),
            (Phase::At(at), Some((pid, Who::Tool))) => format!("{kind} at {at}; process {pid} works on it"),
            (Phase::At(at), Some((pid, Who::Guard))) => {
                format!("{kind} at {at}; the guard (process {pid}) finishes it")
            }
            (Phase::At(at), None) => format!("{kind} interrupted at {at}; nobody works on it"),
            (phase, _) => format!("{kind} {}", phase.said()),
        }
    }

    /// Design's remaining risk: between `disarm` and `open` nobody is writable, and if nobody works on it, it stays so.
    fn risk(&self) -> Option<&'static str> {
        let standing = &self.found.standing;
        let between = standing.is_begun("disarm") && standing.fact("open").is_none() && standing.is_open();
        (between && self.holder.is_none()).then_some(
            "V1's fence may be durable and V2 is not open: nobody is writable until `switchover resume`; nothing is lost",
        )
    }

    fn unhealthy(&self) -> Vec<String> {
        let standing = &self.found.standing;
        let mut reasons: Vec<String> = self.risk().map(str::to_owned).into_iter().collect();
        match (&self.phase, self.holder) {
            (Phase::Stopped(at), _) => reasons.push(format!("stopped half-way at {at}")),
            (Phase::At(at), None) => reasons.push(format!("interrupted at {at}")),
            _ => {}
        }
        match self.scene.clients_on() {
            Some(side) if self.scene.side(side).server.writable == Some(false) && self.holder.is_none() => {
                reasons.push(format!("clients are on {side}, which takes no writes"));
            }
            None if !self.scene.clients.is_empty() && self.holder.is_none() => {
                reasons.push("the clients' ways do not point at one side".to_owned());
            }
            _ => {}
        }
        if let (Phase::Switched, Some(Fact::Settled { way_back: true, .. })) = (&self.phase, standing.fact("settle")) {
            let follower = if standing.order.is_exchanged() { Side::V2 } else { Side::V1 };
            if self.scene.side(follower).server.following != Some(true) {
                reasons.push(format!(
                    "{follower} does not follow any more: there is no way back (start it, or `switchover retire` it)"
                ));
            }
        }
        if self.phase == Phase::Resting("ready".into()) {
            match self.lag {
                None => reasons.push("V2's lag cannot be measured".to_owned()),
                Some(lag) if lag.bytes > standing.order.plan.limits.lag.0 => {
                    reasons.push(format!("V2 is {} behind", Bytes(lag.bytes)));
                }
                Some(_) => {}
            }
        }
        reasons
    }

    fn text(&self, reasons: &[String]) -> String {
        let standing = &self.found.standing;
        let plan = &standing.order.plan;
        let mut facts = vec![("clients", ending::clients(&self.scene))];
        for side in [Side::V1, Side::V2] {
            let name = if side == Side::V1 { "V1" } else { "V2" };
            facts.push((name, self.side(side)));
        }
        if let Some(digest) = &self.scene.v2.digest {
            facts.push(("pinned", format!("V2 is {digest}")));
        }
        if let Some(because) = standing.because() {
            facts.push(("because", standing.order.told(because)));
        }
        facts.push(("began", standing.began.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()));
        facts.push(("journal", self.found.files.journal().display().to_string()));
        let mut said = format!("{}: {}\n{}", self.name, self.headline(), text::block(&facts));
        for reason in reasons {
            let _ = write!(said, "\n{} {reason}\n", out::yellow("not healthy:"));
        }
        if let Some(hint) = self.hint(&plan.name) {
            let _ = write!(said, "\n{} {hint}\n", out::cyan("hint:"));
        }
        said.push('\n');
        said
    }

    fn side(&self, side: Side) -> String {
        let now = self.scene.side(side);
        let mut said = ending::side(now);
        if now.server.following == Some(true) {
            let _ = match self.lag_of(side) {
                Some(lag) => write!(said, ", {} behind", Bytes(lag.bytes)),
                None => write!(said, ", lag not measurable yet"),
            };
        }
        said
    }

    /// As measured with a role of the run, else as the side that is followed sees it.
    fn lag_of(&self, side: Side) -> Option<Lag> {
        self.lag.or(self.scene.side(side).server.behind)
    }

    fn hint(&self, name: &str) -> Option<String> {
        if self.holder.is_some() {
            return None;
        }
        match &self.phase {
            Phase::Resting(at) if at == "ready" => {
                Some(format!("`switchover cutover --container {name}` moves the clients; `abort` turns back"))
            }
            Phase::Resting(_) | Phase::At(_) | Phase::Stopped(_) if self.found.standing.passed => {
                Some(format!("`switchover resume --container {name}` goes forward"))
            }
            Phase::Resting(_) | Phase::At(_) | Phase::Stopped(_) => {
                Some(format!("`switchover resume --container {name}` goes on; `abort` turns back"))
            }
            Phase::Switched | Phase::Undone => None,
        }
    }

    fn json(&self, reasons: &[String]) -> String {
        let standing = &self.found.standing;
        let mut status = self.scene.json();
        status["name"] = self.name.clone().into();
        status["run"] = standing.order.id.clone().into();
        status["kind"] = standing.order.kind.name().into();
        status["phase"] = match &self.phase {
            Phase::Switched => "switched".into(),
            Phase::Undone => "turned-back".into(),
            Phase::Resting(at) => at.clone().into(),
            Phase::Stopped(_) => "stopped".into(),
            Phase::At(_) => "under-way".into(),
        };
        if let Phase::At(at) | Phase::Stopped(at) = &self.phase {
            status["at_step"] = at.clone().into();
        }
        status["beyond_return"] = standing.passed.into();
        status["process"] = self.holder.map(|(pid, _)| pid).into();
        let lag = self.lag.or(self.scene.v1.server.behind).or(self.scene.v2.server.behind);
        status["lag_bytes"] = lag.map(|lag| lag.bytes).into();
        status["healthy"] = reasons.is_empty().into();
        status["reasons"] = serde_json::json!(reasons);
        status["because"] = standing.because().map(|because| standing.order.told(because)).into();
        json::line(&Event::Result(Box::new(status)), jiff::Timestamp::now())
    }
}
