//! Unusual homes: data in several places, other users, servers that let nobody in, archives, and the way back taken.

use switchover::engine::{Access, Side, Verdict};

use super::{Corner, Writer, sql};

/// In no volume at all, the log elsewhere by a link, a tablespace at a third place, under a name of one's own.
#[tokio::test]
async fn every_place_of_data_is_carried() {
    let options = ["-e", "PGDATA=/srv/pg", "-e", "POSTGRES_INITDB_WALDIR=/srv/wal", "-e", "POSTGRES_USER=boss"];
    let mut corner = Corner::with("places", "17", "17", &options, &["-c", "port=5433"]).await;
    let v1 = corner.v1_name();
    corner.inside(&v1, "install -d -o postgres -g postgres /srv/space");
    let psql = |container: &str, statement: &str| {
        corner.inside(container, &format!("psql -p 5433 -U boss -d postgres -Atqc \"{statement}\""))
    };
    psql(&v1, "CREATE TABLESPACE space LOCATION '/srv/space'");
    psql(&v1, "CREATE TABLE there (n int PRIMARY KEY) TABLESPACE space");
    corner.plan().await;
    let survey = corner.survey.clone().unwrap();
    assert_eq!((survey.port, survey.v1_data.as_str()), (5433, "/srv/pg"));
    assert_eq!(survey.more_data, ["/srv/space", "/srv/wal"]);
    assert!(survey.checks.iter().all(|check| check.verdict != Verdict::Refused));
    corner.prepare().await;
    corner.create_v2().await;
    let (one, two) = (corner.server(Side::V1), corner.server(Side::V2));
    two.ensure_seeded().await.unwrap();
    two.ensure_following().await.unwrap();
    let v2 = corner.v2_name();
    assert_eq!(corner.inside(&v2, "readlink -f /srv/pg/pg_wal"), "/srv/wal");
    let psql = |container: &str, statement: &str| {
        corner.inside(container, &format!("psql -p 5433 -U boss -d postgres -Atqc \"{statement}\""))
    };
    psql(&v1, "INSERT INTO there VALUES (7)");
    corner.caught_up(&*one, &*two).await;
    one.ensure_connected().await.unwrap();
    two.ensure_connected().await.unwrap();
    two.ensure_promoted().await.unwrap();
    two.ensure_demoted().await.unwrap();
    assert_eq!(corner.warnings(), [""; 0], "rewound, tablespace and all");
    corner.caught_up(&*one, &*two).await;
    two.ensure_connected().await.unwrap();
    let cut = corner.cut_over(&*one, &*two).await;
    two.ensure_open().await.unwrap();
    drop(cut);
    assert_eq!(psql(&v2, "SELECT n FROM there"), "7");
    let way_back = one.ensure_way_back().await.unwrap();
    assert!(way_back.is_ok(), "{way_back:?}");
}

/// A server under any uid, in a volume that belongs to it.
#[tokio::test]
async fn another_user_owns_his_files() {
    let mut corner = Corner::with("user", "15", "15", &["--user", "1234:4321", "-e", "PGDATA=/tmp/pg"], &[]).await;
    let (v1, v2) = corner.followed().await;
    corner.caught_up(&*v1, &*v2).await;
    let owners =
        corner.inside(&corner.v2_name(), "stat -c '%u:%g %a' /tmp/pg /tmp/pg/pg_hba.conf /tmp/pg/switchover.pass");
    assert_eq!(owners, "1234:4321 700\n1234:4321 600\n1234:4321 600");
    v2.ensure_not_following().await.unwrap();
    v1.ensure_unfollowable().await.unwrap();
}

/// Local access needs a password, which is known at the beginning and lost in the middle.
#[tokio::test]
async fn our_own_role_is_enough_once_it_is_there() {
    let hardened = ["-e", "POSTGRES_INITDB_ARGS=--auth=scram-sha-256"];
    let mut corner = Corner::with("hard", "15", "15", &hardened, &[]).await;
    let v1 = corner.v1_name();
    let refused = corner.survey_fails().await;
    assert!(refused.hints.iter().any(|hint| hint.contains("PGPASSWORD")), "{refused:?}");
    corner.access.password = Some("secret".to_owned().into());
    let before = corner.inside(&v1, "cat $PGDATA/pg_hba.conf $PGDATA/postgresql.auto.conf");
    corner.plan().await;
    corner.prepare().await;
    corner.create_v2().await;
    corner.access = Access::default();
    let (one, two) = (corner.server(Side::V1), corner.server(Side::V2));
    two.ensure_seeded().await.unwrap();
    two.ensure_following().await.unwrap();
    assert!(one.recheck().await.unwrap().iter().all(|check| check.verdict != Verdict::Refused));
    two.ensure_not_following().await.unwrap();
    for _ in 0..2 {
        one.ensure_unfollowable().await.unwrap();
    }
    assert_eq!(corner.inside(&v1, "cat $PGDATA/pg_hba.conf $PGDATA/postgresql.auto.conf"), before);
    let roles =
        "PGPASSWORD=secret psql -U postgres -Atc \"SELECT count(*) FROM pg_roles WHERE rolname LIKE 'switch%'\"";
    assert_eq!(corner.inside(&v1, roles), "0", "a role of ours that dropped itself");
}

/// V2 archives nothing before it serves, and then as V1 did.
#[tokio::test]
async fn archiving_waits_until_v2_is_open() {
    let archive = ["-c", "archive_mode=on"];
    let mut corner = Corner::with("archive", "17", "17", &[], &archive).await;
    let v1 = corner.v1_name();
    sql(
        &v1,
        "ALTER SYSTEM SET archive_command = 'mkdir -p /tmp/archive && cp %p /tmp/archive/%f';; SELECT pg_reload_conf()",
    );
    sql(&v1, "ALTER SYSTEM SET restore_command = 'false';; ALTER SYSTEM SET recovery_target_time = '2001-01-01'");
    let (one, two) = corner.followed().await;
    two.polish().await.unwrap();
    assert_eq!(corner.warnings(), [""; 0], "settings are equal");
    corner.caught_up(&*one, &*two).await;
    one.ensure_connected().await.unwrap();
    two.ensure_connected().await.unwrap();
    let cut = corner.cut_over(&*one, &*two).await;
    let v2 = corner.v2_name();
    corner.as_admin(&v2, "SELECT pg_switch_wal()");
    corner.as_admin(&v2, "SELECT pg_sleep(1)");
    assert_eq!(corner.inside(&v2, "ls /tmp/archive 2>/dev/null | wc -l"), "0");
    two.ensure_open().await.unwrap();
    drop(cut);
    sql(&v2, "SELECT pg_switch_wal();; SELECT pg_sleep(2)");
    let archived = corner.inside(&v2, "ls /tmp/archive");
    assert!(archived.contains("00000002.history"), "{archived}");
}

/// There, and back by the way that was left open, and V1's former follower follows again.
#[tokio::test]
async fn the_way_back_is_taken() {
    let mut corner = Corner::new("wayback", "15-old", "15").await;
    corner.fill();
    let (v1, v2) = corner.followed().await;
    corner.caught_up(&*v1, &*v2).await;
    v1.ensure_connected().await.unwrap();
    v2.ensure_connected().await.unwrap();
    let cut = corner.cut_over(&*v1, &*v2).await;
    v2.ensure_open().await.unwrap();
    corner.move_clients().await;
    drop(cut);
    assert!(v1.ensure_way_back().await.unwrap().is_ok());
    v2.ensure_clean(true).await.unwrap();

    corner.exchange().await;
    let (v1, v2) = (corner.server(Side::V1), corner.server(Side::V2));
    v1.ensure_followable().await.unwrap();
    let writer = Writer::start(&corner.v1_name());
    v2.ensure_following().await.unwrap();
    corner.caught_up(&*v1, &*v2).await;
    v2.polish().await.unwrap();
    v1.ensure_connected().await.unwrap();
    v2.ensure_connected().await.unwrap();
    v2.ensure_promoted().await.unwrap();
    v2.ensure_demoted().await.unwrap();
    assert_eq!(corner.warnings(), [""; 0], "rewound, and not the side that serves");
    let wiped = v2.ensure_unseeded().await.unwrap_err();
    assert!(wiped.what.contains("left alone"), "{}", wiped.one_line());
    corner.caught_up(&*v1, &*v2).await;
    v2.ensure_connected().await.unwrap();
    let cut = corner.cut_over(&*v1, &*v2).await;
    let acknowledged = writer.stop();
    v2.ensure_open().await.unwrap();
    drop(cut);
    assert_eq!(corner.lost(&acknowledged), [0; 0]);
    corner.compare(&*v1, &*v2).await;
    assert!(v1.ensure_way_back().await.unwrap().is_ok());
    v2.ensure_clean(false).await.unwrap();
    corner.assert_nothing_left();
}
