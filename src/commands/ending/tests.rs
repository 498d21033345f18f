//! Every ending, as it is read.

use super::super::look::{Scene, SideNow};
use super::*;
use crate::engine::{Position, ServerState, SessionsEnded, Side};
use crate::plan::tests::any_plan;
use crate::saga::Record;
use crate::saga::journal::{Closed, Event, Then};
use crate::state::{Kind as Which, Order, Until};
use crate::switchback;
use crate::switchover::SWITCHOVER;

fn side(container: &str, image: &str, writable: bool, following: bool) -> SideNow {
    SideNow {
        container: Some(container.into()),
        image: image.into(),
        image_id: "sha256:1".into(),
        digest: None,
        version: "1".into(),
        server: ServerState {
            writable: Some(writable),
            clients_admitted: Some(writable),
            following: Some(following),
            clients_connected: Some(if writable { 8 } else { 0 }),
            note: None,
            behind: None,
        },
    }
}

fn scene(on: Option<Side>, v1: SideNow, v2: SideNow) -> Scene {
    Scene { v1, v2, clients: vec![("network alias db on shop".into(), on)] }
}

fn before() -> Scene {
    scene(Some(Side::V1), side("shop-db", "shop:1", true, false), side("shop-db-v2", "shop:2", false, true))
}

fn after() -> Scene {
    scene(Some(Side::V2), side("shop-db-v1", "shop:1", false, true), side("shop-db", "shop:2", true, false))
}

fn standing(order: Order, events: Vec<Event<Fact>>) -> Standing {
    let opened = Event::Opened { format: 1, switchover: "0.1.0".into(), plan: serde_json::to_value(order).unwrap() };
    let at = "2026-11-22T03:00:00Z".parse().unwrap();
    let events = std::iter::once(opened).chain(events).enumerate();
    let records: Vec<Record<Fact>> = events.map(|(seq, event)| Record { seq: seq as u64, at, event }).collect();
    Standing::of(&records).unwrap()
}

fn order(kind: Which) -> Order {
    let mut plan = any_plan();
    if kind == Which::Switchback {
        let container = |id: &str, name: &str| crate::runtime::Container {
            id: id.into(),
            name: name.into(),
            ..crate::plan::tests::container()
        };
        plan = switchback::plan(&plan, &container("bb22", "shop-db"), &container("aa11", "shop-db-v1"), json!(null));
    }
    Order { id: "01".into(), kind, until: Until::End, after: None, remove_data: false, plan }
}

/// Every step up to one, done.
fn up_to(last: &str) -> Vec<Event<Fact>> {
    let ids = SWITCHOVER.iter().filter_map(crate::saga::Line::id);
    let end = ids.clone().position(|id| id == last).unwrap();
    ids.take(end + 1)
        .flat_map(|id| {
            let fact = match id {
                "fence" => Fact::Fenced { ended: SessionsEnded { idle: 8, in_transaction: 0 } },
                "drain" => Fact::Drained { position: Position("0/1".into()) },
                "release" => Fact::Released { cutover_ms: Some(143) },
                _ => Fact::sentence(id),
            };
            [Event::Begun { step: id.into() }, Event::Done { step: id.into(), fact }]
        })
        .collect()
}

fn done(step: &str, fact: Fact) -> Event<Fact> {
    Event::Done { step: step.into(), fact }
}

fn told(outcome: &Outcome, wanted_back: bool, standing: &Standing, scene: &Scene) -> String {
    let ending = Ending { outcome, wanted_back, standing, scene, journal: "/state/shop-db/01.jsonl".into() };
    let text = anstream::adapter::strip_str(&ending.text()).to_string();
    format!("{text}\nresult: {}\nexit: {}\n", ending.word(), ending.exit_code())
}

fn turned_back(to: Option<&'static str>, because: Trouble) -> Outcome {
    Outcome::TurnedBack { to, because }
}

#[test]
fn switched_with_a_way_back() {
    let mut events = up_to("settle");
    events.push(done("settle", Fact::Settled { way_back: true, why: "it follows".into() }));
    let verified = Fact::Verified { tables: 12, rows: 3456, differing: Vec::new(), sampled: Vec::new() };
    events.extend([done("verify", verified), Event::Closed { outcome: Closed::Switched }]);
    insta::assert_snapshot!(told(&Outcome::Switched, false, &standing(order(Which::Switchover), events), &after()));
}

#[test]
fn switched_without_a_way_back() {
    let mut events = up_to("settle");
    let why = "V1's log goes past the switch".to_owned();
    events
        .extend([done("settle", Fact::Settled { way_back: false, why }), Event::Closed { outcome: Closed::Switched }]);
    let mut scene = after();
    scene.v1.server = ServerState { note: Some("it does not run".into()), ..ServerState::default() };
    insta::assert_snapshot!(told(&Outcome::Switched, false, &standing(order(Which::Switchover), events), &scene));
}

#[test]
fn the_data_differ() {
    let mut events = up_to("settle");
    let differing = vec!["shop.public.orders".to_owned()];
    events.push(done("verify", Fact::Verified { tables: 12, rows: 3456, differing, sampled: Vec::new() }));
    insta::assert_snapshot!(told(&Outcome::Switched, false, &standing(order(Which::Switchover), events), &after()));
}

#[test]
fn prepared() {
    let standing = standing(order(Which::Switchover), up_to("polish"));
    insta::assert_snapshot!(told(&Outcome::Rested { at: "ready" }, false, &standing, &before()));
}

#[test]
fn turned_back_to_ready() {
    let standing = standing(order(Which::Switchover), up_to("polish"));
    let lost = Trouble::failed("replication slot `s` is lost (wal_status = lost)")
        .hint("raise `max_slot_wal_keep_size` on V1");
    let outcome = turned_back(Some("ready"), Trouble::failed("V2 stopped following V1 while draining").because(lost));
    insta::assert_snapshot!(told(&outcome, false, &standing, &before()));
}

#[test]
fn turned_back_to_the_follower() {
    let standing = standing(order(Which::Switchover), up_to("follow"));
    let outcome =
        turned_back(Some("following"), Trouble::not_ready("waited 6 h 0 min for V2 to catch up (limits.catch-up)"));
    insta::assert_snapshot!(told(&outcome, false, &standing, &before()));
}

#[test]
fn turned_back_to_nothing() {
    let mut scene = before();
    scene.v2 = SideNow::default();
    let standing = standing(order(Which::Switchover), vec![Event::Closed { outcome: Closed::TurnedBack }]);
    let failed = turned_back(None, Trouble::failed("the disk of V2 is full"));
    insta::assert_snapshot!("turned_back_to_nothing", told(&failed, false, &standing, &scene));
    let aborted = turned_back(None, Trouble::failed("asked to turn back"));
    insta::assert_snapshot!("aborted", told(&aborted, true, &standing, &scene));
    let refused = turned_back(None, Trouble::refused("clients: V1 is no longer on network shop").hint("plan anew"));
    insta::assert_snapshot!("refused_at_the_second_look", told(&refused, false, &standing, &scene));
}

#[test]
fn stopped_on_the_way_back() {
    let mut events = up_to("drain");
    let retreating = Event::Retreating { to: Some("ready".into()), because: "too late".into(), then: Then::Stop };
    events.extend([retreating, Event::Stopped { step: "fence".into(), error: "no".into() }]);
    let trouble = Trouble::person("turning back stopped: `fence` could not be undone")
        .because(Trouble::failed("V1's container shop-db is not running").hint("docker start shop-db"));
    let outcome = Outcome::Stopped { at: "fence".into(), beyond_return: false, trouble };
    let mut scene = before();
    scene.v1.server = ServerState { note: Some("it does not run".into()), ..ServerState::default() };
    insta::assert_snapshot!(told(&outcome, false, &standing(order(Which::Switchover), events), &scene));
}

#[test]
fn stopped_beyond_the_line() {
    let mut events = up_to("disarm");
    events.extend([Event::PassedPointOfNoReturn, Event::Begun { step: "open".into() }]);
    let trouble = Trouble::failed("V2's container shop-db-v2 is gone");
    let outcome = Outcome::Stopped { at: "open".into(), beyond_return: true, trouble };
    let scene = scene(Some(Side::V1), side("shop-db", "shop:1", false, false), SideNow::default());
    insta::assert_snapshot!(told(&outcome, false, &standing(order(Which::Switchover), events), &scene));
}

#[test]
fn a_switchback_is_told_in_the_persons_words() {
    let mut events = up_to("settle");
    let settled = done("settle", Fact::Settled { way_back: true, why: String::new() });
    events.extend([settled, Event::Closed { outcome: Closed::Switched }]);
    let standing_there = standing(order(Which::Switchback), events);
    let there =
        scene(Some(Side::V1), side("shop-db", "shop:1", true, false), side("shop-db-v2", "shop:2", false, true));
    insta::assert_snapshot!("switched_back", told(&Outcome::Switched, false, &standing_there, &there));
    let outcome =
        turned_back(None, Trouble::failed("V1's fence could not be proven").because(Trouble::failed("V2 is slow")));
    let undone = standing(order(Which::Switchback), vec![Event::Closed { outcome: Closed::TurnedBack }]);
    insta::assert_snapshot!("switchback_failed", told(&outcome, false, &undone, &after()));
}

#[test]
fn ways_that_point_at_different_sides_are_told_one_by_one() {
    let mut scene = before();
    scene.clients.push(("published port *:5432 → 5432/tcp".into(), Some(Side::V2)));
    scene.clients.push(("network alias db on etl".into(), None));
    assert_eq!(
        clients(&scene),
        "on V1: network alias db on shop\non V2: published port *:5432 → 5432/tcp\n\
         nowhere, or it cannot be said: network alias db on etl"
    );
}
