use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::saga::Line;
use crate::wait::Deadline;

/// What a small story did, and where it should fail.
struct World {
    log: Rc<RefCell<Vec<String>>>,
    fail: &'static str,
    /// A step that asks to stop, as a person would while it runs.
    ask: &'static str,
    hang: &'static str,
    stop: Interrupt,
    deadline: Option<Deadline>,
    facts: Vec<String>,
    attempts: u32,
    tell: Teller,
}

impl Context<String> for World {
    fn done(&mut self, step: &str, fact: &String) {
        assert_eq!(fact, &format!("{step} is true"));
        self.facts.push(step.to_owned());
    }
    fn undone(&mut self, step: &str) {
        self.facts.retain(|known| known != step);
    }
    fn attempt(&mut self, n: u32) {
        self.attempts = n;
    }
    fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }
    fn tell(&self) -> &Teller {
        &self.tell
    }
    fn sentence(fact: &String) -> String {
        fact.clone()
    }
}

async fn act(x: &mut World, id: &str) -> Result<String, Trouble> {
    x.log.borrow_mut().push(id.to_owned());
    if x.ask == id {
        x.stop.ask();
    }
    if x.hang == id || x.ask == id {
        tokio::task::yield_now().await;
    }
    if x.hang == id {
        std::future::pending::<()>().await;
    }
    if x.fail == id { Err(Trouble::failed(format!("{id} broke"))) } else { Ok(format!("{id} is true")) }
}

async fn undo(x: &mut World, id: &str) -> Result<(), Trouble> {
    act(x, id).await.map(drop)
}

macro_rules! step {
    ($id:literal) => {
        Line::step($id, $id, |x| Box::pin(act(x, $id)), Undo::By(|x| Box::pin(undo(x, concat!("-", $id)))))
    };
}

const STORY: &[Line<World, String>] = &[
    step!("make"),
    step!("seed"),
    Line::Resting("seeded"),
    step!("follow"),
    Line::Resting("ready"),
    Line::step("look", "look", |x| Box::pin(act(x, "look")), Undo::Nothing),
    Line::Window,
    step!("hold"),
    step!("fence"),
    Line::PointOfNoReturn,
    step!("open"),
    step!("settle"),
];

struct Run {
    place: tempfile::TempDir,
    world: World,
}

impl Run {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let world = World {
            log: Rc::default(),
            fail: "",
            ask: "",
            hang: "",
            stop: Interrupt::default(),
            deadline: None,
            facts: Vec::new(),
            attempts: 0,
            tell: Teller::silent(),
        };
        drop(Journal::<String>::create(&place.path().join("j"), serde_json::Value::Null).unwrap());
        Run { place, world }
    }

    fn journal(&self) -> Journal<String> {
        Journal::open(&self.place.path().join("j")).unwrap()
    }

    /// Drives with a new process's memory; returns what was done, and how it ended in few words.
    async fn drive(&mut self, wish: Wish) -> (String, String) {
        let mut journal = self.journal();
        self.world.log.borrow_mut().clear();
        self.world.facts.clear();
        self.world.attempts = 0;
        let stop = self.world.stop.clone();
        let outcome = drive(STORY, &mut self.world, &mut journal, wish, &stop).await;
        self.world.stop = Interrupt::default();
        (self.world.log.borrow().join(" "), brief(&outcome))
    }

    /// As [`Run::drive`], then the fault is mended.
    async fn fails(&mut self, at: &'static str, wish: Wish) -> (String, String) {
        self.world.fail = at;
        let ended = self.drive(wish).await;
        self.world.fail = "";
        ended
    }

    fn kinds(&self) -> Vec<String> {
        let line = |r: &crate::saga::Record<String>| serde_json::to_value(&r.event).unwrap();
        self.journal()
            .records()
            .iter()
            .map(line)
            .map(|v| [v["event"].as_str(), v["step"].as_str()].into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect()
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Switched => "switched".into(),
        Outcome::Rested { at } => format!("rested at {at}"),
        Outcome::TurnedBack { to, because } => format!("back to {}: {}", to.unwrap_or("nothing"), because.one_line()),
        Outcome::Stopped { at, beyond_return, trouble } => {
            format!("stopped at {at}{}: {}", if *beyond_return { ", beyond" } else { "" }, trouble.one_line())
        }
    }
}

fn ended(log: &str, how: &str) -> (String, String) {
    (log.to_owned(), how.to_owned())
}

#[tokio::test]
async fn a_story_runs_to_its_end_once() {
    let mut run = Run::new();
    assert_eq!(run.drive(Wish::Switch).await, ended("make seed follow look hold fence open settle", "switched"));
    assert_eq!(run.world.attempts, 1);
    assert_eq!(run.drive(Wish::Switch).await, ended("", "switched"));
    assert_eq!(
        run.drive(Wish::TurnBack).await,
        ended(
            "",
            "stopped at point-of-no-return, beyond: this run is past the point of no return: it only goes forward"
        )
    );
}

#[tokio::test]
async fn prepare_rests_and_looks_again_on_each_approach() {
    let mut run = Run::new();
    assert_eq!(run.drive(Wish::Prepare).await, ended("make seed follow", "rested at ready"));
    assert_eq!(run.drive(Wish::Rescue).await, ended("", "rested at ready"));
    assert_eq!(run.fails("look", Wish::Switch).await, ended("look", "back to ready: look broke"));
    assert_eq!(run.drive(Wish::Switch).await, ended("look hold fence open settle", "switched"));
}

#[tokio::test]
async fn a_failure_goes_back_to_the_resting_point_above_it() {
    for (at, did, to) in [
        ("make", "make -make", "nothing"),
        ("seed", "make seed -seed -make", "nothing"),
        ("follow", "make seed follow -follow", "seeded"),
        ("hold", "make seed follow look hold -hold", "ready"),
        ("fence", "make seed follow look hold fence -fence -hold", "ready"),
    ] {
        let mut run = Run::new();
        assert_eq!(run.fails(at, Wish::Switch).await, ended(did, &format!("back to {to}: {at} broke")));
        if to == "nothing" {
            assert_eq!(run.drive(Wish::Switch).await, ended("", "back to nothing: this run was turned back earlier"));
        } else {
            assert_eq!(run.drive(Wish::Switch).await.1, "switched");
        }
    }
}

#[tokio::test]
async fn a_failure_below_the_line_stops_and_is_resumed() {
    let mut run = Run::new();
    assert_eq!(run.fails("open", Wish::Switch).await.1, "stopped at open, beyond: open broke");
    assert!(run.fails("open", Wish::TurnBack).await.1.contains("only goes forward"));
    assert_eq!(run.fails("open", Wish::Rescue).await, ended("open", "stopped at open, beyond: open broke"));
    assert_eq!(run.drive(Wish::Rescue).await, ended("open settle", "switched"));
}

#[tokio::test]
async fn an_undo_that_fails_stops_and_is_resumed() {
    let mut run = Run::new();
    run.fails("fence", Wish::Prepare).await;
    assert_eq!(
        run.fails("-follow", Wish::TurnBack).await,
        ended("-follow", "stopped at follow: turning back stopped: `follow` could not be undone: -follow broke")
    );
    // However it is resumed, it keeps going back.
    assert_eq!(run.drive(Wish::Switch).await, ended("-follow -seed -make", "back to nothing: asked to turn back"));
    assert_eq!(run.world.facts, Vec::<String>::new());
}

#[tokio::test]
async fn a_run_interrupted_in_the_window_starts_it_over() {
    let mut run = Run::new();
    run.world.hang = "fence";
    // The process is gone while the fence is made.
    let killed = tokio::time::timeout(Duration::from_millis(50), run.drive(Wish::Switch)).await;
    assert!(killed.is_err());
    run.world.hang = "";
    assert_eq!(run.drive(Wish::Switch).await, ended("-fence -hold look hold fence open settle", "switched"));
    assert_eq!(run.world.attempts, 2);
}

#[tokio::test]
async fn a_record_of_the_window_may_be_lost() {
    let mut run = Run::new();
    run.drive(Wish::Prepare).await;
    // The fence was begun too, but the power was lost before that record was on disk.
    run.journal().append(Event::Begun { step: "hold".into() }).unwrap();
    assert_eq!(run.drive(Wish::Rescue).await, ended("-fence -hold", "back to ready: the run was interrupted"));
}

#[tokio::test]
async fn the_guard_goes_back_and_stops() {
    let mut run = Run::new();
    run.world.hang = "fence";
    let killed = tokio::time::timeout(Duration::from_millis(50), run.drive(Wish::Switch)).await;
    assert!(killed.is_err());
    run.world.hang = "";
    assert_eq!(run.drive(Wish::Rescue).await, ended("-fence -hold", "back to ready: the run was interrupted"));
    assert_eq!(run.drive(Wish::Switch).await, ended("look hold fence open settle", "switched"));
}

#[tokio::test]
async fn asked_once_it_turns_back_and_below_the_line_it_finishes() {
    let mut run = Run::new();
    run.world.ask = "hold";
    run.world.hang = "hold";
    assert_eq!(run.drive(Wish::Switch).await, ended("make seed follow look hold -hold", "back to ready: interrupted"));
    run.world.hang = "";
    run.world.ask = "open";
    assert_eq!(run.drive(Wish::Switch).await, ended("look hold fence open settle", "switched"));
}

#[tokio::test]
async fn asked_twice_it_stops_at_the_next_record() {
    let mut run = Run::new();
    run.world.hang = "fence";
    run.world.ask = "fence";
    run.world.stop.ask();
    // Asked before it began: nothing happens at all. Asked once more while it goes back: it stops there.
    assert_eq!(run.drive(Wish::Switch).await, ended("", "back to nothing: interrupted"));
    let mut run = Run::new();
    run.fails("look", Wish::Switch).await;
    run.world.ask = "-follow";
    run.world.stop.ask();
    let (did, how) = run.drive(Wish::TurnBack).await;
    assert_eq!((did.as_str(), how.as_str()), ("-follow", "stopped at seed: interrupted"));
    assert_eq!(run.drive(Wish::Switch).await, ended("-seed -make", "back to nothing: asked to turn back"));
}

#[tokio::test]
async fn the_window_has_an_end() {
    let mut run = Run::new();
    run.world.hang = "fence";
    run.world.deadline = Some(Deadline::after(Duration::from_millis(500)));
    let (did, how) = run.drive(Wish::Switch).await;
    assert_eq!(did, "make seed follow look hold fence -fence -hold");
    assert_eq!(how, "back to ready: the window took longer than allowed (limits.cutover)");
}

#[tokio::test]
async fn the_records_are_in_the_order_of_the_rules() {
    let mut run = Run::new();
    run.fails("fence", Wish::Switch).await;
    let kinds = run.kinds();
    let window = kinds.iter().position(|k| k == "begun look").unwrap();
    assert_eq!(
        kinds[window..],
        [
            "begun look",
            "done look",
            "begun hold",
            "done hold",
            "begun fence",
            "failed fence",
            "retreating",
            "undone fence",
            "undone hold",
            "undone look",
            "retreated"
        ]
    );
}

#[tokio::test]
async fn a_journal_of_another_story_is_not_touched() {
    let mut run = Run::new();
    run.journal().append(Event::Begun { step: "dance".into() }).unwrap();
    let (did, how) = run.drive(Wish::Switch).await;
    assert_eq!(did, "");
    assert!(how.starts_with("stopped at journal: the journal names a step `dance`"), "{how}");
    assert_eq!(run.journal().records().len(), 2);
}
