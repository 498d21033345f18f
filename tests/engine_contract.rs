//! PostgreSQL's `Server`, piece by piece, on real servers: every act twice, in the order of the story and back.
//!
//! Needs an engine and the images of `scenarios/images`. All it makes bears `switchover.test=1` or the run's label, and
//! is removed also when the test fails. SWITCHOVER_TEST_ALL=1 takes every major version there is an image of.

#![allow(
    clippy::pedantic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it sees"
)]

mod contract;

use contract::{Corner, Writer, sql};
use switchover::engine::{Side, Verdict};
use switchover::trouble::Kind;

/// (V1's image, V2's image)
fn pairs() -> Vec<(&'static str, &'static str)> {
    let mut pairs = vec![("15-old", "15"), ("17", "17")];
    if std::env::var_os("SWITCHOVER_TEST_ALL").is_some() {
        pairs.extend([("13", "13"), ("18", "18")]);
    }
    pairs
}

#[tokio::test]
async fn v1_is_put_back_byte_for_byte() {
    for (from, to) in pairs() {
        let mut corner = Corner::new("back", from, to).await;
        let v1 = corner.v1_name();
        sql(
            &v1,
            "ALTER SYSTEM SET work_mem = '5MB';; ALTER SYSTEM SET log_line_prefix = 'it''s \\ here %m ';; SELECT pg_reload_conf()",
        );
        corner.inside(&v1, "printf '# by hand, no end' >> \"$PGDATA/pg_hba.conf\"");
        let before = corner.picture();
        corner.plan().await;
        for _ in 0..2 {
            corner.prepare().await;
        }
        let server = corner.server(Side::V1);
        assert_ne!(corner.picture(), before);
        for _ in 0..2 {
            server.ensure_unfollowable().await.unwrap();
        }
        assert_eq!(corner.picture(), before, "{from}");

        // Nothing but half of it was there.
        corner.prepare().await;
        sql(&v1, &format!("SELECT pg_drop_replication_slot('switchover_{}')", corner.plan.tag()));
        sql(&v1, "ALTER SYSTEM SET maintenance_work_mem = '70MB'");
        server.ensure_unfollowable().await.unwrap();
        assert_eq!(sql(&v1, "SHOW max_slot_wal_keep_size"), "-1");
        sql(&v1, "ALTER SYSTEM RESET maintenance_work_mem;; SELECT pg_reload_conf();; SELECT pg_sleep(0.3)");
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let (now, then) = (lines(&corner.picture()), lines(&before));
        let differing: Vec<_> = now.symmetric_difference(&then).collect();
        assert!(differing.is_empty(), "{from}: only the order of settings may differ: {differing:?}");
    }
}

#[tokio::test]
#[ignore = "there_and_back_and_there_again: a minute or more, in ./dev test all"]
async fn there_and_back_and_there_again() {
    for (from, to) in pairs() {
        let mut corner = Corner::new("there", from, to).await;
        corner.fill();
        corner.plan().await;
        let refused: Vec<_> =
            corner.survey.iter().flat_map(|survey| &survey.checks).filter(|c| c.verdict == Verdict::Refused).collect();
        assert!(refused.is_empty(), "{refused:#?}");
        let writer = Writer::start(&corner.v1_name());
        corner.prepare().await;
        corner.create_v2().await;
        let (v1, v2) = (corner.server(Side::V1), corner.server(Side::V2));
        let seeded = v2.ensure_seeded().await.unwrap();
        assert_eq!(v2.ensure_seeded().await.unwrap().position, seeded.position, "a finished copy is not made again");
        for _ in 0..2 {
            v2.ensure_following().await.unwrap();
        }
        corner.caught_up(&*v1, &*v2).await;
        v2.polish().await.unwrap();
        assert!(corner.refused_by(Side::V2), "V2 is closed");

        // Turned back: promoted, thrown away, a follower again, without a new copy.
        v1.ensure_connected().await.unwrap();
        v2.ensure_connected().await.unwrap();
        for _ in 0..2 {
            v2.ensure_promoted().await.unwrap();
        }
        assert!(corner.refused_by(Side::V2), "V2 is writable and closed");
        for _ in 0..2 {
            v2.ensure_demoted().await.unwrap();
        }
        assert_eq!(corner.warnings(), Vec::<String>::new(), "rewound, not copied anew");
        corner.caught_up(&*v1, &*v2).await;

        // The window, as the story has it.
        assert!(v1.recheck().await.unwrap().iter().all(|check| check.verdict != Verdict::Refused));
        v1.ensure_connected().await.unwrap();
        v2.ensure_connected().await.unwrap();
        let mut probe = corner.probe(&*v2).await;
        let cut = corner.cut_over(&*v1, &*v2).await;
        let acknowledged = writer.stop();
        v2.ensure_open().await.unwrap();
        v2.ensure_open().await.unwrap();
        corner.move_clients().await;
        probe.write().await.unwrap();
        println!("{from}: {cut}");
        cut.window.end_switch().await.unwrap();
        drop(cut);
        probe.end().await.unwrap();
        assert_eq!(corner.lost(&acknowledged), Vec::<u64>::new());

        corner.compare(&*v1, &*v2).await;
        sql(&corner.v2_name(), "INSERT INTO numbered VALUES (1000000)");
        let way_back = v1.ensure_way_back().await.unwrap();
        assert!(way_back.is_ok(), "{from}: {way_back:?}");
        assert!(v1.ensure_way_back().await.unwrap().is_ok());
        v2.ensure_clean(true).await.unwrap();
        v2.ensure_clean(true).await.unwrap();
        assert_eq!(v1.state().await.following, Some(true));
        assert_eq!(v2.state().await.writable, Some(true));
        v2.ensure_clean(false).await.unwrap();
        corner.assert_nothing_left();
    }
}

#[tokio::test]
async fn bad_input_is_refused_by_name() {
    let mut corner = Corner::new("bad", "15", "17").await;
    let v1 = corner.v1_name();
    corner.fill();
    let refused = corner.refusals().await;
    assert_eq!(refused, ["wal-level"], "another major version is followed by logical replication");

    corner.set_v2_image("15-old");
    assert_eq!(corner.refusals().await, ["v2-not-older"]);

    corner.set_v2_image("15");
    sql(
        &v1,
        "SELECT pg_create_physical_replication_slot('theirs');; SELECT pg_create_physical_replication_slot('other')",
    );
    sql(&v1, "ALTER SYSTEM SET synchronous_standby_names = 'nobody';; SELECT pg_reload_conf()");
    corner.inside(&v1, "cp \"$PGDATA/pg_hba.conf\" /tmp/good; echo 'host nonsense' >> \"$PGDATA/pg_hba.conf\"");
    assert_eq!(corner.refusals().await, ["other-replicas", "synchronous-standbys", "files-in-order"]);

    corner.inside(&v1, "sed 's/trust/scram-sha-256/' /tmp/good > \"$PGDATA/pg_hba.conf\"");
    corner.inside(&v1, "kill -HUP 1; sleep 0.3");
    let trouble = corner.survey_fails().await;
    assert_eq!(trouble.kind, Kind::Refused);
    assert!(trouble.what.contains("asks for a password"), "{}", trouble.one_line());
    corner.access.password = Some("wrong".to_owned().into());
    assert!(corner.survey_fails().await.what.contains("refuses the user and password"));
    corner.access.password = Some("secret".to_owned().into());
    assert_eq!(corner.refusals().await, ["other-replicas", "synchronous-standbys"]);
}
