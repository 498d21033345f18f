//! What goes wrong on the way, and what is said of it.

use switchover::config::quantity::{Bytes, Share};
use switchover::engine::{Server, Side};
use switchover::runtime::LABEL_RUN;
use switchover::trouble::Kind;
use switchover::wait::{self, Limit, Look, Wait};

use super::{Corner, quietly, run, sql};

impl Corner {
    /// Up to a finished copy.
    async fn seeded(&mut self) -> (Box<dyn Server>, Box<dyn Server>) {
        self.plan().await;
        self.prepare().await;
        self.create_v2().await;
        let (v1, v2) = (self.server(Side::V1), self.server(Side::V2));
        v2.ensure_seeded().await.unwrap();
        (v1, v2)
    }

    async fn until(&self, what: &str, look: impl Fn() -> bool) {
        let wait = Wait {
            what,
            limit: Limit { name: "60 s", value: std::time::Duration::from_secs(60) },
            every: std::time::Duration::from_millis(50),
            kind: Kind::Failed,
        };
        wait::until(wait, &self.tell, async || {
            Ok(if look() { Look::Done(()) } else { Look::NotYet("not yet".into()) })
        })
        .await
        .unwrap();
    }

    /// A line at the end of one of V2's files, while it does not run.
    fn append(&self, file: &str, line: &str) {
        let volume = self.plan.v2_volumes[0].0.clone();
        let script = format!("echo \"{line}\" >> /v/{file}");
        let mount = format!("{volume}:/v");
        run(&[
            "run",
            "--rm",
            "--label",
            "switchover.test=1",
            "-v",
            &mount,
            "--entrypoint",
            "sh",
            &self.v2_image,
            "-c",
            &script,
        ]);
    }
}

#[tokio::test]
async fn a_copy_that_is_interrupted_starts_over() {
    let mut corner = Corner::new("seed", "15", "15").await;
    corner.fill();
    corner.plan().await;
    corner.change_plan(|plan| plan.limits.seed_rate = Some(Bytes(8 << 20)));
    corner.prepare().await;
    corner.create_v2().await;
    let v2 = corner.server(Side::V2);
    let helper = format!("switchover-{}-seed", corner.plan.tag());
    let v1 = corner.v1_name();
    let interrupted = async {
        corner
            .until("the copy to run", || {
                sql(&v1, "SELECT count(*) FROM pg_stat_progress_basebackup WHERE backup_streamed > 5000000") == "1"
            })
            .await;
        run(&["kill", &helper]);
    };
    let (failed, ()) = tokio::join!(v2.ensure_seeded(), interrupted);
    let trouble = failed.unwrap_err();
    assert!(trouble.what.contains("copy of V1's data failed"), "{}", trouble.one_line());
    // V1 may go on sending to the dead: the next copy ends that.
    corner.change_plan(|plan| plan.limits.seed_rate = None);
    let v2 = corner.server(Side::V2);
    v2.ensure_seeded().await.unwrap();
    corner.until("all copies' sessions to end", || sql(&v1, "SELECT count(*) FROM pg_stat_replication") == "0").await;
    v2.ensure_following().await.unwrap();
    corner.caught_up(&*corner.server(Side::V1), &*v2).await;

    for _ in 0..2 {
        v2.ensure_not_following().await.unwrap();
        v2.ensure_unseeded().await.unwrap();
    }
    let trouble = v2.ensure_following().await.unwrap_err();
    assert!(trouble.what.contains("holds no copy"), "{}", trouble.one_line());
}

#[tokio::test]
async fn a_full_disk_is_named() {
    let mut corner = Corner::new("full", "15", "15").await;
    corner.fill();
    corner.plan().await;
    let (volume, label) = (corner.plan.v2_volumes[0].0.clone(), format!("{LABEL_RUN}={}", corner.plan.run));
    let small = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=20m"];
    run(&[&["volume", "create", "--label", &label, "--label", "switchover.test=1"], &small[..], &[&volume]].concat());
    corner.prepare().await;
    corner.create_v2().await;
    let trouble = corner.server(Side::V2).ensure_seeded().await.unwrap_err();
    assert!(trouble.one_line().contains("No space left on device"), "{}", trouble.one_line());
    assert!(trouble.hints.iter().any(|hint| hint.contains("disk is full")), "{:?}", trouble.hints);
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why() {
    let mut corner = Corner::new("start", "15", "15").await;
    let (v1, v2) = corner.seeded().await;
    corner.append("postgresql.conf", "no_such_setting = on");
    let trouble = v2.ensure_following().await.unwrap_err();
    assert!(trouble.one_line().contains("no_such_setting"), "{}", trouble.one_line());
    assert!(trouble.hints.iter().any(|hint| hint.contains("docker logs")));

    corner.append("postgresql.conf", "no_such_setting = on' #");
    v2.ensure_not_following().await.unwrap();
    v2.ensure_unseeded().await.unwrap();
    v2.ensure_seeded().await.unwrap();
    v2.ensure_following().await.unwrap();
    corner.caught_up(&*v1, &*v2).await;

    // Killed while it follows: no lag is known, and then it is said that it is down.
    run(&["kill", &corner.v2_name()]);
    let trouble = v2.behind(&v1.position().await.unwrap()).await.unwrap_err();
    assert!(trouble.what.contains("no longer runs"), "{}", trouble.one_line());
    v2.ensure_following().await.unwrap();

    // V1 is restarted, and may have another address then.
    run(&["restart", "-t", "60", &corner.v1_name()]);
    corner.until_up(&corner.v1_name());
    v2.ensure_following().await.unwrap();
    corner.caught_up(&*corner.server(Side::V1), &*v2).await;
}

#[tokio::test]
async fn a_log_that_is_no_longer_kept_is_named() {
    let mut corner = Corner::new("lost", "15", "15").await;
    corner.plan().await;
    corner.change_plan(|plan| {
        plan.limits.v1_wal = Share(1);
        plan.before["slot_limit_ours"] = 32.into();
    });
    corner.prepare().await;
    corner.create_v2().await;
    let v2 = corner.server(Side::V2);
    v2.ensure_seeded().await.unwrap();
    let v1 = corner.v1_name();
    for _ in 0..6 {
        sql(
            &v1,
            "CREATE TABLE much AS SELECT repeat('x', 1000) FROM generate_series(1, 10000);; DROP TABLE much;; SELECT pg_switch_wal();; CHECKPOINT",
        );
    }
    corner.until("the slot to be lost", || sql(&v1, "SELECT wal_status FROM pg_replication_slots") == "lost").await;
    let trouble = v2.ensure_following().await.unwrap_err();
    assert!(trouble.one_line().contains("limits.v1-wal"), "{}", trouble.one_line());
}

#[tokio::test]
async fn a_promotion_that_cannot_be_rewound_is_copied_anew() {
    let mut corner = Corner::new("anew", "15", "15").await;
    let (v1, v2) = corner.seeded().await;
    v2.ensure_following().await.unwrap();
    v2.ensure_not_following().await.unwrap();
    corner.append("postgresql.auto.conf", "wal_log_hints = off");
    run(&["start", &corner.v2_name()]);
    v2.ensure_following().await.unwrap();
    corner.caught_up(&*v1, &*v2).await;
    v2.ensure_connected().await.unwrap();
    v2.ensure_promoted().await.unwrap();
    // As after a crash of V2 in between, and by a process that knows nothing of the promotion.
    run(&["kill", &corner.v2_name()]);
    let v2 = corner.server(Side::V2);
    v2.ensure_following().await.unwrap();
    let warnings = corner.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("copied anew")), "{warnings:?}");
    corner.caught_up(&*v1, &*v2).await;
}

/// V1 has gone past the switch: with checksums it is rewound, without it is stopped, and the reason told.
#[tokio::test]
async fn a_way_back_past_the_switch_needs_checksums() {
    for (checksums, from) in [(true, "15"), (false, "17")] {
        let options = ["-e", "POSTGRES_INITDB_ARGS=--data-checksums"];
        let mut corner = Corner::with("past", from, from, if checksums { &options } else { &[] }, &[]).await;
        let (v1, v2) = corner.seeded().await;
        v2.ensure_following().await.unwrap();
        corner.caught_up(&*v1, &*v2).await;
        v1.ensure_connected().await.unwrap();
        v2.ensure_connected().await.unwrap();
        let cut = corner.cut_over(&*v1, &*v2).await;
        v2.ensure_open().await.unwrap();
        // Beyond the switch, whatever it is: the server's own writers stand still.
        corner.as_admin(&corner.v1_name(), "SELECT pg_create_restore_point('later')");
        drop(cut);
        // By another process, as after a crash.
        let (v1, v2) = (corner.server(Side::V1), corner.server(Side::V2));
        v2.ensure_promoted().await.unwrap();
        v2.ensure_open().await.unwrap();
        sql(&corner.v2_name(), "CREATE TABLE later (n int)");
        let way_back = v1.ensure_way_back().await.unwrap();
        println!("{way_back:?}");
        let running = quietly(&["inspect", "-f", "{{.State.Running}}", &corner.v1_name()]);
        if checksums {
            assert!(way_back.unwrap().contains("rewound"));
            assert!(corner.refused_by(Side::V1), "V1's fence stands after the rewind too");
        } else {
            let why = way_back.unwrap_err();
            assert!(why.contains("without checksums"), "{why}");
            assert_eq!(running, "false");
            v2.ensure_clean(false).await.unwrap();
            corner.assert_nothing_left();
        }
    }
}

/// Whatever host or state directory they are run from.
#[tokio::test]
async fn two_runs_at_once_meet_on_v1_itself() {
    let mut corner = Corner::new("two", "15", "15").await;
    corner.plan().await;
    corner.prepare().await;
    let first = corner.server(Side::V1);
    first.ensure_followable().await.unwrap();

    let ours = corner.plan.run.clone();
    corner.change_plan(|plan| plan.run = "01930b2e-7a51-7cc0-9f00-00000badcafe".into());
    let before = corner.picture();
    let trouble = corner.server(Side::V1).ensure_followable().await.unwrap_err();
    assert_eq!(trouble.kind, Kind::Busy, "{}", trouble.one_line());
    assert_eq!(corner.picture(), before);

    // Whoever only looks disturbs nobody.
    corner.change_plan(|plan| plan.run.clone_from(&ours));
    let holder = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted";
    let tool = sql(&corner.v1_name(), holder);
    let beside = corner.server(Side::V1);
    beside.position().await.unwrap();
    beside.state().await;
    assert_eq!(sql(&corner.v1_name(), holder), tool);

    // A later process of the same run that acts: the earlier one is dead, as the journal's lock is free.
    let later = corner.server(Side::V1);
    later.ensure_followable().await.unwrap();
    let now = sql(&corner.v1_name(), holder);
    assert!(now != tool && now.lines().count() == 1, "{tool} then {now}");
}
