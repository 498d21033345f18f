//! The window against a real server: what the crash matrix assumes of it must be true of MariaDB.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::before::{Before, Options, Serving};
use super::window::MariadbWindow;
use super::{give_back, window};
use crate::engine::mysql_family::connect::{self, Timeouts};
use crate::engine::mysql_family::made::Made;
use crate::engine::mysql_family::on_a_server::{self as server, docker, patiently, root, writable, write};
use crate::engine::mysql_family::{door, sessions, switch};
use crate::engine::{Place, Window};
use crate::plan::Plan;
use crate::plan::tests::any_plan;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const IMAGE: &str = "switchover-test/mariadb:10.11";

fn before() -> serde_json::Value {
    let serving = Serving {
        server_id: 1,
        max_connections: 151,
        event_scheduler: "ON".into(),
        sync_binlog: 0,
        flush_log: 1,
        most_dirty: "90.000000".into(),
        least_dirty: "0.000000".into(),
        binlog_format: "MIXED".into(),
        gtid_strict_mode: "OFF".into(),
        parallel_threads: 0,
    };
    let made = Made {
        lower_case_table_names: "0".into(),
        page_size: "16384".into(),
        data_file: String::new(),
        charset: "utf8mb4".into(),
        collation: "utf8mb4_general_ci".into(),
    };
    let log = Options { log_bin: Some("binlog".into()), server_id: None };
    let before = Before {
        serving,
        restart: false,
        fixed_id: false,
        keeps_collations: false,
        options: [Options::default(), log],
        option_folders: ["/etc/mysql/conf.d", "/etc/mysql/conf.d"].map(str::to_owned),
        made,
        owners: [(999, 999); 2],
    };
    serde_json::to_value(before).unwrap()
}

/// A plan of a run on such a server.
pub(super) fn plan() -> Plan {
    Plan { before: before(), v1_restart_policy: "unless-stopped".into(), ..any_plan() }
}

async fn armed(place: &Place, attempt: u32, cap: Duration) -> MariadbWindow {
    door::ensure_taken(place, true, 151).await.unwrap();
    let give_back = give_back::statements(&Before::of(&place.plan).unwrap().serving);
    let switch = Rc::new(switch::open(place, give_back).await.unwrap());
    let window = window::open(place, switch, attempt).await.unwrap();
    window.arm(cap).await.unwrap();
    window
}

fn on_a_server(test: impl AsyncFn(&Place)) {
    let run = ["-e", "MARIADB_INITDB_SKIP_TZINFO=1", "--restart", "unless-stopped"];
    server::on_a_server(plan(), IMAGE, &run, &["--log-bin=binlog"], test);
}

#[test]
fn the_window_shuts_mariadb_in_the_order_of_the_story() {
    on_a_server(async |place| {
        let running = root(place).await.unwrap();
        let kept = Rc::new(connect::admin(place, Timeouts::short(Duration::from_secs(5))).await.unwrap());
        let seen = sessions::clients(&kept).await.unwrap();
        let far = |address: &str| address.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback());
        assert!(seen.iter().any(|one| one.user == "root" && far(&one.address)), "{seen:?}");
        let window = armed(place, 1, Duration::from_secs(20)).await;
        window.shut_door().await.unwrap();
        assert!(root(place).await.is_err(), "the door is shut, for root too");
        write(&running).await.expect("a running session goes on behind the shut door");

        let began = Instant::now();
        let ended = window.end_sessions(Duration::from_millis(500)).await.unwrap();
        assert_eq!((ended.idle, ended.in_transaction), (1, 0));
        let position = window.written().await.unwrap();
        window.take_lock().await.unwrap();
        window.make_fence_durable().await.unwrap();
        window.fence_in_force().await.unwrap();
        window.look(&position).await.unwrap();
        println!("fence to last look: {:?}", began.elapsed());
        assert!(write(&running).await.is_err());
        assert!(write(&kept).await.is_err(), "nobody writes, whoever it is");
        assert!(root(place).await.is_err());

        drop(window);
        give_back::ensure_given_back(place, &[kept]).await.unwrap();
        writable(place).await;
        give_back::ensure_given_back(place, &[]).await.expect("again is no harm");
        let session = root(place).await.unwrap();
        let as_before = "SELECT CONCAT(@@GLOBAL.read_only + 0, ' ', @@GLOBAL.max_connections)";
        assert_eq!(session.text(as_before).await.unwrap().as_deref(), Some("0 151"), "nothing of the fence is left");
    });
}

#[test]
fn the_switch_gives_mariadb_back_with_nobody_typing_anything() {
    on_a_server(async |place| {
        // Frozen past the cap.
        let cap = Duration::from_secs(2);
        let window = armed(place, 1, cap).await;
        window.shut_door().await.unwrap();
        window.end_sessions(Duration::ZERO).await.unwrap();
        writable(place).await;
        assert!(window.take_lock().await.is_err(), "the switch has won");
        assert!(window.make_fence_durable().await.is_err());
        writable(place).await;
        drop(window);
        give_back::ensure_given_back(place, &[]).await.unwrap();

        // Gone: long before the cap.
        let began = Instant::now();
        let window = armed(place, 2, Duration::from_secs(600)).await;
        window.shut_door().await.unwrap();
        window.end_sessions(Duration::ZERO).await.unwrap();
        drop(window);
        writable(place).await;
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    });
}

#[test]
fn a_durable_fence_outlasts_the_switch_and_a_restart() {
    on_a_server(async |place| {
        let policy = || docker(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", &place.plan.v1.id]);
        let window = armed(place, 1, Duration::from_secs(600)).await;
        window.shut_door().await.unwrap();
        window.end_sessions(Duration::ZERO).await.unwrap();
        let position = window.written().await.unwrap();
        window.take_lock().await.unwrap();
        window.make_fence_durable().await.unwrap();
        window.fence_in_force().await.unwrap();
        window.look(&position).await.unwrap();
        assert_eq!(policy(), "no", "the engine does not start it again");
        drop(window);
        // The switch has seen that the fence is to last, and every place stays taken.
        let lasts = wait::until(
            Wait {
                what: "the switch to act",
                limit: Limit { name: "test", value: Duration::from_secs(3) },
                every: Duration::from_millis(100),
                kind: Kind::Failed,
            },
            &place.tell,
            async || Ok(if root(place).await.is_ok() { Look::Done(()) } else { Look::NotYet("shut".into()) }),
        );
        assert!(lasts.await.is_err(), "nobody gets in, though nobody is there that fenced it");
        docker(&["restart", &place.plan.v1.id]);
        patiently("V1 again", async || {
            let socket = ["exec", "-e", "MYSQL_PWD=secret", &place.plan.v1.id, "mariadb", "-uroot", "-N", "-e"];
            let said = docker(&[&socket[..], &["SELECT @@read_only, @@event_scheduler"]].concat());
            if said == "1\tOFF" { Ok(()) } else { Err(Trouble::failed(said)) }
        })
        .await;
        assert!(root(place).await.is_err(), "fenced across its restart, whoever comes");
        give_back::ensure_given_back(place, &[]).await.unwrap();
        writable(place).await;
        assert_eq!(policy(), "unless-stopped");
        let left = docker(&["exec", &place.plan.v1.id, "ls", "/etc/mysql/conf.d"]);
        assert!(!left.contains("switchover"), "{left}");
    });
}

#[test]
fn a_v1_that_ended_under_half_a_fence_serves_again() {
    on_a_server(async |place| {
        place.runtime.ensure_restart_policy(&place.plan.v1.id, "no").await.unwrap();
        docker(&["kill", &place.plan.v1.id]);
        give_back::ensure_given_back(place, &[]).await.expect("the policy was ours, and so is the start");
        writable(place).await;
        let policy = docker(&["inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", &place.plan.v1.id]);
        assert_eq!(policy, "unless-stopped");
    });
}

#[test]
fn a_restart_in_the_window_gives_mariadb_back() {
    on_a_server(async |place| {
        let window = armed(place, 1, Duration::from_secs(600)).await;
        window.shut_door().await.unwrap();
        window.end_sessions(Duration::ZERO).await.unwrap();
        docker(&["kill", &place.plan.v1.id]);
        docker(&["start", &place.plan.v1.id]);
        writable(place).await;
        assert!(window.written().await.is_err() && window.make_fence_durable().await.is_err());
    });
}

#[test]
fn what_would_hold_the_fence_up_is_ended_beside_it() {
    on_a_server(async |place| {
        let locker = root(place).await.unwrap();
        locker.run("LOCK TABLES shop.t WRITE").await.unwrap();
        let busy = root(place).await.unwrap();
        busy.run("CREATE TABLE shop.other (n int)").await.unwrap();
        busy.run("BEGIN").await.unwrap();
        busy.run("INSERT INTO shop.other VALUES (1)").await.unwrap();
        let window = armed(place, 1, Duration::from_secs(60)).await;
        window.shut_door().await.unwrap();
        let began = Instant::now();
        let ended = window.end_sessions(Duration::from_millis(300)).await.unwrap();
        println!("fenced after {:?}: {ended:?}", began.elapsed());
        assert_eq!(ended.in_transaction, 1, "the open transaction had its time");
        assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(10));
        let position = window.written().await.unwrap();
        window.look(&position).await.unwrap();
    });
}

#[test]
fn a_door_that_a_dead_tool_has_shut_is_set_ajar() {
    on_a_server(async |place| {
        door::ensure_taken(place, true, 151).await.unwrap();
        let ours = connect::admin(place, Timeouts::short(Duration::from_secs(5))).await.unwrap();
        door::ensure_shut(&ours).await.unwrap();
        drop(ours);
        let full = connect::admin(place, Timeouts::short(Duration::from_secs(5))).await;
        let full = full.err().expect("no place is left when only the helper's sessions are there");
        assert_eq!(connect::turned(&full), Some(connect::Turned::Full));
        assert!(root(place).await.is_err());
        door::ensure_ajar(place).await.unwrap();
        writable(place).await;
        let session = root(place).await.unwrap();
        let wide = "SELECT @@GLOBAL.max_connections";
        assert_eq!(session.number(wide).await.unwrap(), Some(152), "and it is seen that it was shut");
        drop(session);
        give_back::ensure_given_back(place, &[]).await.unwrap();
        assert_eq!(root(place).await.unwrap().number(wide).await.unwrap(), Some(151));
    });
}

#[test]
fn a_prepared_transaction_stops_the_window() {
    on_a_server(async |place| {
        let session = root(place).await.unwrap();
        for sql in ["XA START 'x'", "INSERT INTO shop.t VALUES (9)", "XA END 'x'", "XA PREPARE 'x'"] {
            session.run(sql).await.unwrap();
        }
        drop(session);
        let window = armed(place, 1, Duration::from_secs(60)).await;
        window.shut_door().await.unwrap();
        window.end_sessions(Duration::ZERO).await.unwrap();
        let error = window.written().await.unwrap_err();
        assert!(error.what.contains("prepared"), "{error}");
    });
}
