//! Where a run stands, as its journal tells: for people and for `result`. The driver decides by its own reading.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::facts::Fact;
use crate::saga::journal::{Closed, Event};
use crate::saga::{Line, Record};
use crate::state::{Kind, Order, order_of};
use crate::trouble::Trouble;

/// A run as its records tell it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub order: Order,
    pub began: Timestamp,
    pub last: Timestamp,
    pub steps: Vec<Taken>,
    /// The point of no return is behind it.
    pub passed: bool,
    /// On its way back: where to (`None`: to nothing) and why.
    pub retreating: Option<(Option<String>, String)>,
    /// It came back to this resting point, and why; gone when it goes forward again.
    pub came_back: Option<(Option<String>, String)>,
    /// It stopped there half-way, and why.
    pub stopped: Option<(String, String)>,
    pub closed: Option<Closed>,
    /// How many times the window was begun.
    pub attempts: u32,
}

/// A step that was begun and not undone.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: String,
    pub began: Timestamp,
    pub done: Option<(Timestamp, Fact)>,
    pub failed: Option<String>,
}

/// One word on where a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Switched,
    /// All of it is undone.
    Undone,
    /// At a resting point: it holds by itself.
    Resting(String),
    /// Stopped half-way: a person must look.
    Stopped(String),
    /// A step is begun. Somebody works on it, or was killed.
    At(String),
}

impl Phase {
    /// As a sentence.
    pub fn said(&self) -> String {
        match self {
            Phase::Switched => "done".to_owned(),
            Phase::Undone => "turned back, nothing of it is left".to_owned(),
            Phase::Resting(at) => format!("at rest: {at}"),
            Phase::Stopped(at) => format!("stopped half-way, at {at}"),
            Phase::At(at) => format!("at {at}"),
        }
    }
}

impl Standing {
    pub fn of(records: &[Record<Fact>]) -> Result<Standing, Trouble> {
        let Some((Event::Opened { plan, .. }, first)) = records.first().map(|record| (&record.event, record)) else {
            return Err(Trouble::person("the journal does not say what it is about"));
        };
        let mut standing = Standing {
            order: order_of(plan)?,
            began: first.at,
            last: first.at,
            steps: Vec::new(),
            passed: false,
            retreating: None,
            came_back: None,
            stopped: None,
            closed: None,
            attempts: 0,
        };
        for record in records {
            standing.take(&record.event, record.at);
        }
        Ok(standing)
    }

    fn take(&mut self, event: &Event<Fact>, at: Timestamp) {
        self.last = at;
        match event {
            Event::Opened { .. } => {}
            Event::Begun { step } => {
                (self.stopped, self.came_back) = (None, None);
                self.attempts += u32::from(step == "hold");
                self.steps.retain(|taken| taken.id != *step);
                self.steps.push(Taken { id: step.clone(), began: at, done: None, failed: None });
            }
            Event::Done { step, fact } => {
                if let Some(taken) = self.steps.iter_mut().find(|taken| taken.id == *step) {
                    taken.done = Some((at, fact.clone()));
                }
            }
            Event::Failed { step, error } => {
                if let Some(taken) = self.steps.iter_mut().find(|taken| taken.id == *step) {
                    taken.failed = Some(error.clone());
                }
            }
            Event::Undone { step } => {
                self.stopped = None;
                self.steps.retain(|taken| taken.id != *step);
            }
            Event::Retreating { to, because, .. } => {
                self.stopped = None;
                self.retreating = Some((to.clone(), because.clone()));
            }
            Event::Retreated { to } => {
                let because = self.retreating.take().map(|(_, because)| because).unwrap_or_default();
                self.came_back = Some((to.clone(), because));
            }
            Event::PassedPointOfNoReturn => self.passed = true,
            Event::Stopped { step, error } => self.stopped = Some((step.clone(), error.clone())),
            Event::Closed { outcome } => self.closed = Some(*outcome),
        }
    }

    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub fn fact(&self, step: &str) -> Option<&Fact> {
        self.taken(step).and_then(|taken| taken.done.as_ref()).map(|(_, fact)| fact)
    }

    pub fn is_begun(&self, step: &str) -> bool {
        self.taken(step).is_some()
    }

    /// Clients are affected now: the window is begun and no write through their address was proven.
    pub fn in_window(&self) -> bool {
        self.is_open() && self.is_begun("hold") && self.fact("release").is_none()
    }

    /// V2 bears V1's name, or is about to.
    pub fn moved(&self) -> bool {
        self.is_begun("move")
    }

    fn taken(&self, step: &str) -> Option<&Taken> {
        self.steps.iter().find(|taken| taken.id == step)
    }

    /// Where it stands in a story.
    pub fn phase<X>(&self, story: &[Line<X, Fact>]) -> Phase {
        match self.closed {
            Some(Closed::Switched) => return Phase::Switched,
            Some(Closed::TurnedBack) => return Phase::Undone,
            None => {}
        }
        if let Some((at, _)) = &self.stopped {
            return Phase::Stopped(at.clone());
        }
        if let Some(begun) = self.steps.iter().find(|taken| taken.done.is_none()) {
            return Phase::At(begun.id.clone());
        }
        // Everything begun is done: it rests if the next line is a resting point.
        let mut rest = None;
        for line in story {
            match line {
                Line::Resting(name) => rest = Some(*name),
                Line::Step { id, .. } if self.is_begun(id) => rest = None,
                Line::Step { id, .. } => {
                    let at =
                        || self.retreating.as_ref().map_or_else(|| (*id).to_owned(), |_| "turning back".to_owned());
                    return rest.map_or_else(|| Phase::At(at()), |rest| Phase::Resting(rest.to_owned()));
                }
                Line::Window | Line::PointOfNoReturn => {}
            }
        }
        Phase::At("the end".to_owned())
    }

    /// What `result` and `history` say of a run; what only a living process sees is added by it.
    pub fn result(&self, outcome: &str) -> Value {
        let plan = &self.order.plan;
        let side = |side: &crate::plan::SidePlan| json!({ "image": side.image, "image_id": side.image_id, "digest": side.digest, "version": side.version });
        let mut result = json!({
            "run": self.order.id,
            "name": plan.name,
            "kind": self.order.kind.name(),
            "engine": plan.engine,
            "from": side(&plan.v1),
            "to": side(&plan.v2),
            "method": plan.method,
            "seed": plan.seed,
            "outcome": outcome,
            "began": self.began.to_string(),
            "ended": self.last.to_string(),
            "steps": self.steps.iter().filter_map(|taken| taken.result(&self.order)).collect::<Vec<_>>(),
            "cutover_ms": self.cutover_ms(),
            "held_ms": self.held_ms(),
            "bytes_seeded": self.bytes_seeded(),
            "left": self.left(),
            "warnings": [],
            "clients": [],
        });
        if let Some(because) = self.because() {
            result["because"] = self.order.told(because).into();
        }
        result
    }

    /// From the first session ended to the first write proven through the clients' address, where one process saw both.
    pub fn cutover_ms(&self) -> Option<u64> {
        match self.fact("release") {
            Some(Fact::Released { cutover_ms }) => *cutover_ms,
            _ => None,
        }
    }

    fn held_ms(&self) -> Option<u64> {
        let done = |step: &str| self.taken(step).and_then(|taken| taken.done.as_ref()).map(|(at, _)| *at);
        Some(between(done("hold")?, done("release")?))
    }

    fn bytes_seeded(&self) -> Option<u64> {
        match self.fact("seed") {
            Some(Fact::Seeded { bytes, .. }) => Some(*bytes),
            _ => None,
        }
    }

    /// What of the other side is left: `nothing`, `seeded` (a copy that stands still), `following`, `stopped`.
    fn left(&self) -> &'static str {
        match (self.closed, self.fact("settle")) {
            (Some(Closed::TurnedBack), _) => return "nothing",
            (_, Some(Fact::Settled { way_back: true, .. })) => return "following",
            (_, Some(Fact::Settled { .. })) => return "stopped",
            _ => {}
        }
        if self.order.kind == Kind::Switchback || self.fact("follow").is_some() {
            "following"
        } else if self.fact("seed").is_some() {
            "seeded"
        } else {
            "nothing"
        }
    }

    /// Why it is not at its end, if that is known.
    pub fn because(&self) -> Option<&str> {
        let stopped = self.stopped.as_ref().map(|(_, error)| error);
        let back = self.retreating.as_ref().or(self.came_back.as_ref()).map(|(_, because)| because);
        stopped.or(back).map(String::as_str)
    }
}

impl Taken {
    fn result(&self, order: &Order) -> Option<Value> {
        let (done, fact) = self.done.as_ref()?;
        Some(json!({
            "id": self.id,
            "started": self.began.to_string(),
            "ms": between(self.began, *done),
            "fact": order.told(&fact.to_string()),
        }))
    }
}

fn between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::any_plan;
    use crate::saga::journal::Then;
    use crate::state::Until;
    use crate::switchover::SWITCHOVER;

    fn standing(events: Vec<Event<Fact>>) -> Standing {
        let order = Order {
            id: "01".into(),
            kind: Kind::Switchover,
            until: Until::End,
            after: None,
            remove_data: false,
            plan: any_plan(),
        };
        let opened =
            Event::Opened { format: 1, switchover: "0.1.0".into(), plan: serde_json::to_value(order).unwrap() };
        let start: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        let records: Vec<Record<Fact>> = std::iter::once(opened)
            .chain(events)
            .enumerate()
            .map(|(seq, event)| Record {
                seq: seq as u64,
                at: start + std::time::Duration::from_secs(seq as u64),
                event,
            })
            .collect();
        Standing::of(&records).unwrap()
    }
    fn begun(step: &str) -> Event<Fact> {
        Event::Begun { step: step.into() }
    }
    fn done(step: &str) -> Event<Fact> {
        let fact = match step {
            "release" => Fact::Released { cutover_ms: Some(140) },
            "settle" => Fact::Settled { way_back: true, why: "it follows".into() },
            _ => Fact::sentence(step),
        };
        Event::Done { step: step.into(), fact }
    }
    fn up_to(last: &str) -> Vec<Event<Fact>> {
        let ids = SWITCHOVER.iter().filter_map(Line::id);
        let end = ids.clone().position(|id| id == last).unwrap();
        ids.take(end + 1).flat_map(|id| [begun(id), done(id)]).collect()
    }

    #[test]
    fn a_prepared_run_rests() {
        assert_eq!(standing(up_to("polish")).phase(SWITCHOVER), Phase::Resting("ready".into()));
        assert_eq!(standing(up_to("follow")).phase(SWITCHOVER), Phase::Resting("following".into()));
        assert_eq!(standing(vec![]).phase(SWITCHOVER), Phase::At("survey".into()));
        let mut events = up_to("prepare-v1");
        events.push(begun("create-v2"));
        assert_eq!(standing(events).phase(SWITCHOVER), Phase::At("create-v2".into()));
    }

    #[test]
    fn a_missed_cap_comes_back_to_ready_and_says_why() {
        let mut events = up_to("fence");
        events.extend([
            begun("drain"),
            Event::Failed { step: "drain".into(), error: "too slow".into() },
            Event::Retreating { to: Some("ready".into()), because: "too slow".into(), then: Then::Stop },
        ]);
        assert!(standing(events.clone()).in_window());
        for step in ["drain", "fence", "hold", "ready"] {
            events.push(Event::Undone { step: step.into() });
        }
        let almost = standing(events.clone());
        assert_eq!((almost.phase(SWITCHOVER), almost.in_window()), (Phase::Resting("ready".into()), false));
        events.push(Event::Retreated { to: Some("ready".into()) });
        let back = standing(events);
        assert_eq!(back.because(), Some("too slow"));
        let result = back.result("turned-back");
        assert_eq!((&result["left"], &result["outcome"]), (&json!("following"), &json!("turned-back")));
    }

    #[test]
    fn a_run_that_switched_tells_its_times() {
        let mut events = up_to("settle");
        events.push(Event::Closed { outcome: Closed::Switched });
        let done = standing(events);
        assert_eq!(done.phase(SWITCHOVER), Phase::Switched);
        let result = done.result("switched");
        assert_eq!((&result["cutover_ms"], &result["left"]), (&json!(140), &json!("following")));
        assert_eq!(result["steps"].as_array().unwrap().len(), SWITCHOVER.iter().filter_map(Line::id).count());
        assert_eq!(result["steps"][0]["ms"], json!(1000));
    }

    #[test]
    fn half_way_is_said_as_such() {
        let mut events = up_to("disarm");
        events.extend([
            Event::PassedPointOfNoReturn,
            begun("open"),
            Event::Failed { step: "open".into(), error: "no".into() },
            Event::Stopped { step: "open".into(), error: "no".into() },
        ]);
        let stopped = standing(events.clone());
        assert_eq!((stopped.phase(SWITCHOVER), stopped.passed), (Phase::Stopped("open".into()), true));
        events.push(begun("open"));
        assert_eq!(standing(events).phase(SWITCHOVER), Phase::At("open".into()));
    }
}
