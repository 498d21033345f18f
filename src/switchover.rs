//! ★ The story. Read the table, then the functions in the same order: that is the product.
//!
//! Planning, running, resuming, turning back, progress, the step table of the documentation and the crash tests all
//! walk this one table. The driver (`saga/drive.rs`) alone decides back or forward; a step does not know whether it
//! runs for the first time, after a crash, or in a switchback with the sides exchanged. Every act here may be
//! repeated with the same effect. Steps print nothing and sleep nowhere.

use std::time::Duration;

use futures_util::future::{join3, try_join_all};
use tokio::time::Instant;

use crate::clients::ClientsWay;
use crate::engine::Side;
use crate::facts::Fact;
use crate::gate;
pub use crate::run::Run;
use crate::run::{
    drained, each_way, ensure_probes, let_v1_refuse, private, refuse_what_changed, steadily_near, unless_v1_is_gone,
    wait_for_the_go, window,
};
use crate::runtime::Recipe;
use crate::saga::{Line, Undo};
use crate::service;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Deadline, Limit, Look, Wait};

macro_rules! act {
    ($function:ident) => {
        |x| Box::pin($function(x))
    };
}
macro_rules! by {
    ($function:ident) => {
        Undo::By(|x| Box::pin($function(x)))
    };
}

/// One line a step: id, sentence, act, undo. `ARCHITECTURE.md` says what each marker means.
#[rustfmt::skip]
pub const SWITCHOVER: &[Line<Run, Fact>] = &[
    Line::step("survey",     "Look at V1, V2's image and the clients",        act!(survey),       Undo::Nothing),
    Line::step("restart-v1", "Restart V1 once, where that is needed",         act!(restart_v1),   by!(forget_restart)),
    Line::step("prepare-v1", "Make V1 ready to be followed",                  act!(prepare_v1),   by!(put_v1_back)),
    Line::step("create-v2",  "Make V2's volume and container, cut off",       act!(create_v2),    by!(remove_v2)),
    Line::step("seed",       "Copy V1's data to V2",                          act!(seed),         by!(drop_seed)),
    Line::step("follow",     "V2 follows V1",                                 act!(follow),       by!(stop_following)),
    Line::Resting("following"),
    Line::step("catch-up",   "Wait until V2 has caught up",                   act!(catch_up),     Undo::Nothing),
    Line::step("polish",     "Make V2 fit to serve",                          act!(polish),       Undo::Nothing),
    Line::Resting("ready"),
    Line::step("ready",      "Wait for the go; look at everything once more", act!(ready),        Undo::Nothing),
    Line::step("claim",      "Let V2 be the compose service; guard its file", act!(claim),        by!(unclaim)),
    Line::step("connect",    "Open every connection the window needs",        act!(connect),      Undo::Nothing),
    Line::Window,
    Line::step("hold",       "Arm switch and guard; let new clients wait",    act!(hold),         by!(give_v1_back)),
    Line::step("fence",      "Fence V1: no write can reach it",               act!(fence),        by!(give_v1_back)),
    Line::step("drain",      "Wait until V2 has V1's last write",             act!(drain),        Undo::Nothing),
    Line::step("promote",    "Promote V2, still closed",                      act!(promote),      by!(demote_v2)),
    Line::step("disarm",     "Make V1's fence last, and look once more",      act!(disarm),       by!(give_v1_back)),
    Line::PointOfNoReturn,
    Line::step("open",       "Open V2 to clients",                            act!(open),         Undo::Nothing),
    Line::step("move",       "Move the clients to V2",                        act!(move_clients), Undo::Nothing),
    Line::step("release",    "Let the clients run, and prove a write",        act!(release),      Undo::Nothing),
    Line::step("hand-over",  "Let the compose file name V2",                  act!(hand_over),    Undo::Nothing),
    Line::step("verify",     "Compare V1's and V2's data",                    act!(verify),       Undo::Nothing),
    Line::step("settle",     "Let V1 follow V2, and tidy up",                 act!(settle),       Undo::Nothing),
];

// ── V1 serves; nothing of its clients' is touched ───────────────────────────────────────────────────────────────

/// Every precheck passed or was accepted, and every way of the clients points at V1.
async fn survey(x: &mut Run) -> Result<Fact, Trouble> {
    refuse_what_changed(x).await?;
    let ways: Vec<String> = x.ways.iter().map(|way| way.describe()).collect();
    Ok(Fact::sentence(format!(
        "{} {} → {} by {}, {}; clients: {}",
        x.plan.engine,
        x.plan.v1.version,
        x.plan.v2.version,
        x.plan.method,
        crate::config::quantity::Bytes(x.plan.bytes),
        if ways.is_empty() { "none known".into() } else { ways.join(", ") },
    )))
}

/// A setting that takes a restart is in force on V1. Where one is needed, the plan was allowed to do it.
async fn restart_v1(x: &mut Run) -> Result<Fact, Trouble> {
    Ok(Fact::sentence(x.v1.ensure_restarted().await?))
}

async fn forget_restart(x: &mut Run) -> Result<(), Trouble> {
    x.v1.ensure_restart_forgotten().await
}

/// V1 can be reached over the private network and followed. What was changed is in the plan, with its old value.
async fn prepare_v1(x: &mut Run) -> Result<Fact, Trouble> {
    let labels = x.plan.labels("both");
    x.runtime.ensure_network(&x.plan.private_network, true, &labels).await?;
    x.runtime.ensure_joined(&x.plan.v1.id, &private(x)).await?;
    Ok(Fact::sentence(x.v1.ensure_followable().await?))
}

async fn put_v1_back(x: &mut Run) -> Result<(), Trouble> {
    // Of a process that is gone; one of them may stand on the private network.
    x.runtime.ensure_no_helpers(&x.plan.run).await?;
    x.v1.ensure_unfollowable().await?;
    x.runtime.ensure_left(&x.plan.v1.id, &x.plan.private_network).await?;
    x.runtime.ensure_no_network(&x.plan.private_network, &x.plan.run).await
}

/// V2 exists, like V1 but for image and data, on the private network only, and is not started.
async fn create_v2(x: &mut Run) -> Result<Fact, Trouble> {
    let plan = &x.plan;
    for (volume, _) in &plan.v2_volumes {
        x.runtime.ensure_volume(volume, &plan.labels_of_volume(volume)).await?;
    }
    let recipe = Recipe {
        name: plan.v2.container.clone(),
        in_place_of: None,
        like: plan.v1.id.clone(),
        image: plan.v2.image_id.clone(),
        volumes: plan.v2_volumes.clone(),
        leave_out: plan.v1_data_mounts.clone(),
        network: plan.private_network.clone(),
        labels: plan.labels("V2"),
    };
    x.runtime.ensure_created(&recipe).await?;
    Ok(Fact::sentence(format!("container {} from {}, cut off from clients", plan.v2.container, plan.v2.image)))
}

async fn remove_v2(x: &mut Run) -> Result<(), Trouble> {
    x.runtime.ensure_no_container(&x.plan.v2.container, &x.plan.run).await?;
    for (volume, _) in &x.plan.v2_volumes {
        x.runtime.ensure_no_volume(volume, &x.plan.run).await?;
    }
    Ok(())
}

/// V2 holds a copy with a known position; V1 keeps what V2 lacks.
async fn seed(x: &mut Run) -> Result<Fact, Trouble> {
    let seeded = x.v2.ensure_seeded().await?;
    Ok(Fact::Seeded { position: seeded.position, bytes: seeded.bytes, forecast_ms: x.plan.seed_ms })
}

async fn drop_seed(x: &mut Run) -> Result<(), Trouble> {
    // One of an earlier process may be at work on V2's data.
    x.runtime.ensure_no_helpers(&x.plan.run).await?;
    x.v2.ensure_unseeded().await
}

/// V2 runs, closed, and applies V1's changes.
async fn follow(x: &mut Run) -> Result<Fact, Trouble> {
    Ok(Fact::sentence(x.v2.ensure_following().await?))
}

async fn stop_following(x: &mut Run) -> Result<(), Trouble> {
    x.v2.ensure_not_following().await
}

/// V2's lag is below the limit and stays there. A V2 that ended while the run rested is started again.
async fn catch_up(x: &mut Run) -> Result<Fact, Trouble> {
    x.v2.ensure_following().await?;
    let limit = Limit { name: "limits.catch-up", value: x.plan.limits.catch_up.0 };
    let behind = steadily_near(x, limit, gate::STEADY).await?;
    Ok(Fact::CaughtUp { behind })
}

/// V2 is fit to serve.
async fn polish(x: &mut Run) -> Result<Fact, Trouble> {
    Ok(Fact::sentence(x.v2.polish().await?))
}

/// The owner said go, and nothing that was checked has changed: a V1 that is another container by now is never followed.
async fn ready(x: &mut Run) -> Result<Fact, Trouble> {
    wait_for_the_go(x).await?;
    refuse_what_changed(x).await?;
    Ok(Fact::sentence("the owner's go is there, and nothing has changed"))
}

/// Where V1 was named by a compose file: V2 is the service to compose as well, and none of its commands gets past the file.
async fn claim(x: &mut Run) -> Result<Fact, Trouble> {
    Ok(Fact::sentence(service::ensure_claimed(x).await?))
}

async fn unclaim(x: &mut Run) -> Result<(), Trouble> {
    service::ensure_unclaimed(x).await
}

/// V2 is near, and whatever the window needs stands ready.
async fn connect(x: &mut Run) -> Result<Fact, Trouble> {
    x.v2.ensure_following().await?;
    let limit = Limit { name: "limits.catch-up", value: x.plan.limits.catch_up.0 };
    steadily_near(x, limit, Duration::ZERO).await?;
    refuse_what_changed(x).await?;
    x.v1.ensure_connected().await?;
    x.v2.ensure_connected().await?;
    ensure_probes(x).await?;
    try_join_all(x.ways.iter().map(|way| way.ensure_connected())).await?;
    x.guard.ensure_started().await?;
    Ok(Fact::Ready { attempt: x.attempt + 1 })
}

// ── The window: from here to the line an interrupted run turns back, by itself if need be ───────────────────────

/// Whoever dies now, V1 is given back. New clients wait where they can; running sessions still work on V1.
async fn hold(x: &mut Run) -> Result<Fact, Trouble> {
    x.given_back = false;
    let cap = x.plan.limits.cutover.0;
    x.guard.ensure_armed(Deadline::after(cap)).await?;
    let window = x.v1.open_window(x.attempt).await?;
    let window = &*x.window.insert(window);
    window.arm(cap).await?;
    // Before anybody waits or is sent away, or behind a held listener: a join takes its time, and while rejected clients
    // come back every few milliseconds it hangs them.
    let ahead = x.v2.ensure_turns_away().await? || x.ways.iter().any(|way| way.pauses());
    let stand_by = async |now: bool| try_join_all(x.ways.iter().filter(|_| now).map(|way| way.ensure_stand_by())).await;
    let stood_ahead = stand_by(ahead).await?.contains(&true);
    // Proxies before the door: one that finds it shut would fail its clients instead of letting them wait.
    let paused = try_join_all(x.ways.iter().map(|way| way.ensure_held())).await?.contains(&true);
    window.shut_door().await?;
    let listener = window.hold_listener().await?;
    let stood_behind = stand_by(listener && !ahead).await?.contains(&true);
    Ok(Fact::Held { listener, stands_by: stood_ahead || stood_behind, paused })
}

/// No session can write on V1, and none can come.
async fn fence(x: &mut Run) -> Result<Fact, Trouble> {
    x.fence_began = Some(Instant::now());
    let window = window(x)?;
    window.shut_door().await?;
    let ended = window.end_sessions(x.plan.limits.transactions.0).await?;
    Ok(Fact::Fenced { ended })
}

/// V2 has applied the last position of V1, read after the fence.
async fn drain(x: &mut Run) -> Result<Fact, Trouble> {
    let position = window(x)?.written().await?;
    let wait = Wait {
        what: "V2 to apply V1's last write",
        limit: Limit { name: "limits.cutover", value: x.plan.limits.cutover.0 },
        every: Duration::from_millis(1),
        kind: Kind::Failed,
    };
    wait::until(wait, &x.tell, async || {
        Ok(match x.v2.has_applied(&position).await? {
            true => Look::Done(()),
            false => Look::NotYet(format!("V2 has not applied {position} yet")),
        })
    })
    .await?;
    Ok(Fact::Drained { position })
}

/// V2 is writable and closed; its data as of now is kept in sight for `verify`.
async fn promote(x: &mut Run) -> Result<Fact, Trouble> {
    let sentence = x.v2.ensure_promoted().await?;
    if x.plan.verify {
        x.v2.ensure_snapshot_kept().await?;
    }
    Ok(Fact::sentence(sentence))
}

/// The switch has lost, V1's fence is durable, nobody is on V1 and it has begun no transaction since `drain`. The
/// order is the proof (design §4): lock, rules on disk, rules in force, one look, all in the session that was opened
/// before the fence.
async fn disarm(x: &mut Run) -> Result<Fact, Trouble> {
    let last_write = drained(x)?;
    let window = window(x)?;
    window.take_lock().await?;
    window.make_fence_durable().await?;
    window.fence_in_force().await?;
    window.look(&last_write).await?;
    Ok(Fact::sentence("V1's fence is durable; V1 is empty and has begun nothing since its last write"))
}

/// V1 serves, by itself, whatever was shut; V2 stands no more where clients look for it.
async fn give_v1_back(x: &mut Run) -> Result<(), Trouble> {
    if x.given_back {
        return Ok(());
    }
    x.window = None;
    x.v1.ensure_given_back().await?;
    // In this order: a proxy that looks names up when its clients run again must not find V2 by them.
    let stood_down = each_way(x, async |way| way.ensure_stood_down().await).await;
    each_way(x, async |way| way.ensure_released().await).await.and(stood_down)?;
    x.given_back = true;
    // Nothing is shut any more: what is left of the way back is V2's, and can wait for a person.
    x.deadline = None;
    x.guard.ensure_dismissed().await
}

/// V1 first, as V2 is closed either way; then V2 follows again. On the way to nothing it only stops: it goes anyway.
async fn demote_v2(x: &mut Run) -> Result<(), Trouble> {
    give_v1_back(x).await?;
    if x.to_nothing && x.plan.made_v2() {
        return x.v2.ensure_not_following().await;
    }
    x.v2.ensure_demoted().await
}

// ── Beyond the line: V2 has everything and V1 is shut for good; we only go forward ──────────────────────────────

/// V2 accepts clients; those that wait at V1 are told no at once and find V2 (where a proxy holds clients, those go first: in
/// `move`).
async fn open(x: &mut Run) -> Result<Fact, Trouble> {
    x.v2.ensure_promoted().await?;
    x.v2.ensure_open().await?;
    if !x.ways.iter().any(|way| way.pauses()) {
        send_v1s_clients_away(x).await?;
    }
    Ok(Fact::sentence("V2 accepts clients"))
}

/// Every way points at V2, and whoever was held runs; V2 stays open over a restart, and bears V1's name. V1 may still stand beside it.
async fn move_clients(x: &mut Run) -> Result<Fact, Trouble> {
    let cross = async |way: &dyn ClientsWay| {
        way.ensure_pointing_at(Side::V2).await?;
        way.ensure_released().await
    };
    let proxies = each_way(x, async |way| if way.pauses() { cross(way).await } else { Ok(()) });
    let others = async {
        if x.ways.iter().any(|way| way.pauses()) {
            send_v1s_clients_away(x).await?;
        }
        each_way(x, async |way| if way.pauses() { Ok(()) } else { cross(way).await }).await
    };
    let (proxies, others, lasts) = join3(proxies, others, x.v2.ensure_open_lasts()).await;
    others.and(proxies).and(lasts)?;
    let (v1, v2) = (&x.plan.v1, &x.plan.v2);
    unless_v1_is_gone(x, x.runtime.ensure_named(&v1.id, &v1.final_name).await).await?;
    x.runtime.ensure_named(v2.handle(), &v2.final_name).await?;
    Ok(Fact::sentence(format!("clients reach V2, which is now called {}", v2.final_name)))
}

/// V2 is open by then: clients that both sides refuse come back every few milliseconds, and slow down what they wait for.
async fn send_v1s_clients_away(x: &Run) -> Result<(), Trouble> {
    let Err(trouble) = let_v1_refuse(x).await else { return Ok(()) };
    // V1 may have died meanwhile. V2 serves, and nothing of V1 may stand in its way.
    x.tell.warning(format!("V1 does not send its clients away by itself: {}", trouble.one_line()));
    unless_v1_is_gone(x, x.v1.ensure_listener_let_go().await).await
}

/// A write through the clients' own address succeeded, and V1 stands nowhere any more where clients look.
async fn release(x: &mut Run) -> Result<Fact, Trouble> {
    ensure_probes(x).await?;
    let limit = Limit { name: "limits.cutover", value: x.plan.limits.cutover.0 };
    for probe in &mut x.probes {
        wait::within(limit, "a write through the clients' address", probe.write()).await?;
    }
    let cutover_ms = x.fence_began.map(|began| u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    x.guard.ensure_dismissed().await?;
    each_way(x, async |way| way.ensure_withdrawn(Side::V1).await).await?;
    Ok(Fact::Released { cutover_ms })
}

/// Where V1 was named by a compose file: that names V2, and V1's container, on the same data, is none of compose's any more.
async fn hand_over(x: &mut Run) -> Result<Fact, Trouble> {
    Ok(Fact::sentence(service::ensure_handed_over(x).await?))
}

/// V1's and V2's data as of the switch are compared, while clients work on V2. Where that cannot be, it is said: clients
/// are served, and the run shall reach its end.
async fn verify(x: &mut Run) -> Result<Fact, Trouble> {
    if !x.plan.verify {
        return Ok(Fact::sentence("not compared, as configured"));
    }
    let compared = async {
        crate::verify::compare(x.v1.snapshot().await?, x.v2.snapshot().await?, x.plan.verify_whole, &x.tell).await
    };
    Ok(compared.await.unwrap_or_else(|trouble| {
        let not = format!("not compared: {}", trouble.one_line());
        x.tell.warning(format!("V1 and V2 were {not}"));
        Fact::sentence(not)
    }))
}

/// V1 follows V2, or is stopped and kept; what was made for the run alone is gone.
async fn settle(x: &mut Run) -> Result<Fact, Trouble> {
    x.window = None;
    for probe in std::mem::take(&mut x.probes) {
        probe.end().await?;
    }
    unless_v1_is_gone(x, x.runtime.ensure_restart_policy(&x.plan.v1.id, "no").await).await?;
    // Of a V1 that serves again after a switchback it was taken away.
    x.runtime.ensure_restart_policy(x.plan.v2.handle(), &x.plan.v1_restart_policy).await?;
    let way_back = x.v1.ensure_way_back().await?;
    x.v2.ensure_clean(way_back.is_ok()).await?;
    x.runtime.ensure_no_helpers(&x.plan.run).await?;
    if way_back.is_err() {
        for side in [x.plan.v1.handle(), x.plan.v2.handle()] {
            x.runtime.ensure_left(side, &x.plan.private_network).await?;
        }
        x.runtime.ensure_no_network(&x.plan.private_network, &x.plan.run).await?;
    }
    Ok(match way_back {
        Ok(how) => Fact::Settled { way_back: true, why: how },
        Err(why) => Fact::Settled { way_back: false, why },
    })
}
