//! The driver: the only place that decides back or forward.
//!
//! 1. That a step is begun is recorded before it acts; that it is done, with the fact it leaves, before the next begins.
//! 2. Above the line a failure goes back to the resting point: every *begun* step below it is undone, last first.
//!    A process that finds a window begun counts all of its steps as begun: their records need not be on disk.
//! 3. The way back is recorded, so a run that was interrupted on it keeps going back.
//! 4. The line is a record of its own. Below it nothing is undone; a failure stops, and `resume` goes on.
//! 5. An undo that fails stops, and can be run again.
//! 6. A journal that cannot be written stops the run before it acts.

use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::crash::{self, Moment};
use super::journal::{Closed, Event, Journal, Then};
use super::past::{Past, Retreat};
use super::{Context, Interrupt, Line, Outcome, Undo, UndoAct, Wish, resting_above};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};

/// Where a run stands that does not know whether its line was written.
pub const POINT_OF_NO_RETURN: &str = "point-of-no-return";

/// Goes on from where the journal ends, as far as the wish says, and tells where that ended.
pub async fn drive<X, F>(
    story: &[Line<X, F>],
    x: &mut X,
    journal: &mut Journal<F>,
    wish: Wish,
    stop: &Interrupt,
) -> Outcome
where
    X: Context<F>,
    F: Serialize + DeserializeOwned,
{
    let tell = x.tell().clone();
    let mut driver = Driver { story, x, journal, stop, tell, past: Past::nothing(story) };
    match driver.run(wish).await {
        Ok(outcome) => outcome,
        Err(halt) => driver.halt(halt),
    }
}

struct Driver<'a, X, F> {
    story: &'a [Line<X, F>],
    x: &'a mut X,
    journal: &'a mut Journal<F>,
    stop: &'a Interrupt,
    tell: Teller,
    past: Past,
}

/// Why nothing more is touched, neither forward nor back.
struct Halt {
    at: String,
    trouble: Trouble,
    /// Whether the journal should hear of it.
    record: bool,
}

impl<X, F> Driver<'_, X, F>
where
    X: Context<F>,
    F: Serialize + DeserializeOwned,
{
    async fn run(&mut self, wish: Wish) -> Result<Outcome, Halt> {
        self.replay()?;
        match (wish, self.past.closed, self.past.passed) {
            (Wish::TurnBack, Some(Closed::Switched), _) | (Wish::TurnBack, None, true) => {
                return Err(self.no_way_back());
            }
            (_, Some(Closed::Switched), _) => return Ok(Outcome::Switched),
            (_, Some(Closed::TurnedBack), _) => return Ok(turned_back(None, "this run was turned back earlier")),
            (_, None, true) => return self.forward(wish).await,
            (Wish::TurnBack, None, false) => {
                let why = Trouble::failed("asked to turn back");
                return self.retreat(None, why, Then::Stop).await;
            }
            (_, None, false) => {}
        }
        if let Some(Retreat { to, because, then }) = self.past.retreating.clone() {
            self.tell.warning(format!("an earlier process was turning back; going on with that ({because})"));
            let ended = self.retreat(to, Trouble::failed(because), then).await?;
            if then == Then::Stop || wish == Wish::Rescue {
                return Ok(ended);
            }
        }
        if wish == Wish::Rescue {
            return self.rescue().await;
        }
        self.leave_window().await?;
        self.forward(wish).await
    }

    /// Takes in what the journal tells. A run that another version wrote is not touched.
    fn replay(&mut self) -> Result<(), Halt> {
        for record in self.journal.records() {
            self.past.take(self.story, &record.event, self.x).map_err(|trouble| Halt {
                at: "journal".to_owned(),
                trouble,
                record: false,
            })?;
        }
        self.past.distrust_window();
        Ok(())
    }

    /// The guard's way: the tool is gone, so the run goes back as far as it must to hold by itself.
    async fn rescue(&mut self) -> Result<Outcome, Halt> {
        let to = self.past.reached(self.story);
        match to {
            Some((_, at)) if self.past.begun_beyond(to).is_empty() => Ok(Outcome::Rested { at }),
            _ => self.retreat(to, Trouble::failed("the run was interrupted"), Then::Stop).await,
        }
    }

    /// A run interrupted beyond its last resting point starts over from there: what it looked at may be old, and the
    /// window's acts are only right in one go.
    async fn leave_window(&mut self) -> Result<(), Halt> {
        let to = self.past.threshold(self.story);
        let begun = to.is_some() && !self.past.begun_beyond(to).is_empty();
        if begun || self.past.is_window_begun() {
            self.retreat(to, Trouble::failed("the run was interrupted inside the window"), Then::GoOn).await?;
        }
        Ok(())
    }

    async fn forward(&mut self, wish: Wish) -> Result<Outcome, Halt> {
        let threshold = self.past.threshold(self.story);
        for (at, line) in self.story.iter().enumerate() {
            match line {
                Line::Resting(name) if wish == Wish::Prepare && !self.past.passed && threshold == Some((at, *name)) => {
                    return Ok(Outcome::Rested { at: name });
                }
                Line::Resting(_) | Line::Window => {}
                Line::PointOfNoReturn if self.past.passed => {}
                Line::PointOfNoReturn => {
                    if let Some(trouble) = self.hindrance() {
                        return self.turn_back_from(at, trouble).await;
                    }
                    self.cross()?;
                }
                Line::Step { .. } if self.past.is_done(at) => {}
                Line::Step { id, .. } => {
                    if let Err(trouble) = self.step(at).await? {
                        if self.past.above_line(at) {
                            return self.turn_back_from(at, trouble).await;
                        }
                        return Err(Halt::at(id, trouble));
                    }
                }
            }
        }
        self.record(Event::Closed { outcome: Closed::Switched }, true, "end")?;
        Ok(Outcome::Switched)
    }

    /// One step, from before its first record to after its last. The inner error is the step's, the outer one stops.
    async fn step(&mut self, at: usize) -> Result<Result<(), Trouble>, Halt> {
        let Line::Step { id, title, .. } = &self.story[at] else { return Ok(Ok(())) };
        if let Some(trouble) = self.hindrance() {
            return Ok(Err(trouble));
        }
        if self.past.begins_window(at)
            && let Err(trouble) = self.journal.reserve()
        {
            return Ok(Err(trouble));
        }
        // Inside the window only the first record is synced: without the line a resumed run goes back anyway.
        let synced = !self.past.in_window(at);
        crash::point(id, Moment::Before);
        self.record(Event::Begun { step: (*id).to_owned() }, synced || self.past.begins_window(at), id)?;
        self.tell.step_begun(id, title);
        crash::point(id, Moment::Begun);
        let started = Instant::now();
        match self.act(at).await {
            Ok(fact) => {
                crash::point(id, Moment::Acted);
                let sentence = X::sentence(&fact);
                self.record(Event::Done { step: (*id).to_owned(), fact }, synced, id)?;
                self.tell.step_done(id, &sentence, started.elapsed());
                crash::point(id, Moment::After);
                Ok(Ok(()))
            }
            Err(trouble) => {
                let error = trouble.one_line();
                self.record(Event::Failed { step: (*id).to_owned(), error }, synced, id)?;
                Ok(Err(trouble))
            }
        }
    }

    /// Runs an act. Above the line it is dropped when the person asks to stop or the window is over; the contract of
    /// acts makes that the same as a failure. Below the line nothing cuts it off.
    async fn act(&mut self, at: usize) -> Result<F, Trouble> {
        let Line::Step { act, .. } = &self.story[at] else { return Err(Trouble::bug("only a step can act")) };
        if !self.past.above_line(at) {
            return act(self.x).await;
        }
        let deadline = if self.past.in_window(at) { self.x.deadline() } else { None };
        let over = async {
            match deadline {
                Some(deadline) => deadline.passed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.wait() => Err(interrupted()),
            () = over => Err(too_late()),
            result = act(self.x) => result,
        }
    }

    /// What keeps the run from going on, looked at before each line of the story.
    fn hindrance(&self) -> Option<Trouble> {
        let over = || self.past.is_window_begun() && self.x.deadline().is_some_and(crate::wait::Deadline::is_over);
        if self.past.passed {
            (self.stop.asked() > 1).then(interrupted)
        } else if self.stop.asked() > 0 {
            Some(interrupted())
        } else {
            over().then(too_late)
        }
    }

    /// The point of no return. After an error nothing is undone: the line may have been written all the same.
    fn cross(&mut self) -> Result<(), Halt> {
        crash::point("line", Moment::Before);
        if let Err(trouble) = self.journal.append(Event::PassedPointOfNoReturn) {
            let what = "it is not known whether the point of no return was recorded; nothing was undone";
            let trouble = Trouble::person(what)
                .because(trouble)
                .hint("`switchover resume` finds out from the journal, and goes back or forward");
            return Err(Halt { at: POINT_OF_NO_RETURN.to_owned(), trouble, record: false });
        }
        self.past.passed = true;
        crash::point("line", Moment::After);
        Ok(())
    }

    /// A step above the line did not get done: back to the resting point above it.
    async fn turn_back_from(&mut self, at: usize, trouble: Trouble) -> Result<Outcome, Halt> {
        self.retreat(resting_above(self.story, at), trouble, Then::Stop).await
    }

    /// Undoes every begun step down to a resting point, or all of them, last first.
    async fn retreat(
        &mut self,
        to: Option<(usize, &'static str)>,
        because: Trouble,
        then: Then,
    ) -> Result<Outcome, Halt> {
        let name = to.map(|(_, name)| name);
        let steps = self.past.begun_beyond(to);
        // V1's clients wait meanwhile; a way back that is forgotten with the machine's power is begun again.
        let synced = !self.past.is_window_begun();
        let event = Event::Retreating { to: name.map(str::to_owned), because: because.one_line(), then };
        self.record(event, synced, name.unwrap_or("start"))?;
        for at in steps {
            self.undo(at).await?;
        }
        self.record(Event::Retreated { to: name.map(str::to_owned) }, true, name.unwrap_or("start"))?;
        if to.is_none() {
            self.record(Event::Closed { outcome: Closed::TurnedBack }, true, "start")?;
        }
        Ok(Outcome::TurnedBack { to: name, because })
    }

    async fn undo(&mut self, at: usize) -> Result<(), Halt> {
        let Line::Step { id, title, undo, .. } = &self.story[at] else { return Ok(()) };
        if self.stop.asked() > 1 {
            return Err(Halt::at(id, interrupted()));
        }
        crash::point(id, Moment::Undo);
        if let Undo::By(undo) = undo {
            self.undo_by(id, *undo).await?;
        }
        crash::point(id, Moment::Undone);
        self.record(Event::Undone { step: (*id).to_owned() }, !self.past.in_window(at), id)?;
        if matches!(undo, Undo::By(_)) {
            self.tell.step_undone(id, title);
        }
        Ok(())
    }

    async fn undo_by(&mut self, id: &str, undo: UndoAct<X>) -> Result<(), Halt> {
        undo(self.x).await.map_err(|trouble| {
            let trouble = Trouble::new(Kind::Person, format!("turning back stopped: `{id}` could not be undone"))
                .because(trouble);
            Halt::at(id, trouble)
        })
    }

    fn record(&mut self, event: Event<F>, synced: bool, at: &str) -> Result<(), Halt> {
        let written = if synced { self.journal.append(event) } else { self.journal.append_unsynced(event) };
        let taken = written.and_then(|record| self.past.take(self.story, &record.event, self.x));
        taken.map_err(|trouble| Halt { at: at.to_owned(), trouble, record: false })
    }

    fn halt(&mut self, halt: Halt) -> Outcome {
        let Halt { at, trouble, record } = halt;
        if record {
            let event = Event::Stopped { step: at.clone(), error: trouble.one_line() };
            if let Err(error) = self.journal.append(event) {
                self.tell.warning(error.one_line());
            }
        }
        Outcome::Stopped { beyond_return: self.past.passed || at == POINT_OF_NO_RETURN, at, trouble }
    }

    fn no_way_back(&self) -> Halt {
        let unfinished = self.past.closed.is_none();
        let mut trouble = Trouble::refused("this run is past the point of no return: it only goes forward");
        if unfinished {
            trouble = trouble.hint("`switchover resume` finishes it");
        }
        let trouble = trouble.hint("`switchover switchback` crosses back while V1 follows V2");
        Halt { at: POINT_OF_NO_RETURN.to_owned(), trouble, record: false }
    }
}

impl Halt {
    fn at(id: &str, trouble: Trouble) -> Self {
        Halt { at: id.to_owned(), trouble, record: true }
    }
}

fn interrupted() -> Trouble {
    Trouble::failed("interrupted")
}

fn too_late() -> Trouble {
    Trouble::failed("the window took longer than allowed (limits.cutover)")
}

fn turned_back(to: Option<&'static str>, why: &str) -> Outcome {
    Outcome::TurnedBack { to, because: Trouble::failed(why) }
}

#[cfg(test)]
mod tests;
