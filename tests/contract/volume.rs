//! The seed `volume`: V1's files, copied while it serves.

use std::process::{Child, Command, Stdio};

use switchover::engine::{Server, Side, Verdict};

use super::{Corner, Writer, run, sql};

const LOGICAL: &[&str] = &["-c", "wal_level=logical", "-c", "max_prepared_transactions=5"];

/// (V1's image, V2's image)
fn upgrades() -> Vec<(&'static str, &'static str)> {
    match std::env::var_os("SWITCHOVER_TEST_ALL") {
        None => vec![("15", "17")],
        Some(_) => vec![("17", "18"), ("15", "17"), ("13", "15"), ("13", "18")],
    }
}

/// Sessions that commit without a pause, in every database: rows without a key come twice where the copy and a slot overlap,
/// and not at all where they leave a gap.
struct Load(Vec<Child>);

const LOADED: &str =
    "CREATE TABLE counted (n bigint, at timestamptz DEFAULT clock_timestamp()); CREATE SEQUENCE counter;";

impl Load {
    fn start(container: &str, databases: &[&str]) -> Load {
        let twice: Vec<&str> = databases.iter().flat_map(|database| [*database, *database]).collect();
        Load::of("inserting", container, &twice, "INSERT INTO counted SELECT nextval('counter');")
    }

    /// Recovery and upgrade meet prepared transactions.
    fn preparing(container: &str, database: &str) -> Load {
        let once = "BEGIN; INSERT INTO counted VALUES (-1); PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p';";
        Load::of("preparing", container, &[database], once)
    }

    fn of(name: &str, container: &str, databases: &[&str], statements: &str) -> Load {
        let sessions = databases.iter().map(|database| {
            let script = format!(
                "while :; do echo \"{statements}\"; done | PGAPPNAME='{name}' \
                 psql -X -q -U postgres -d {database} -v ON_ERROR_STOP=1 >/tmp/load 2>&1"
            );
            let mut command = Command::new("docker");
            command.args(["exec", container, "sh", "-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
            command.spawn().unwrap()
        });
        Load(sessions.collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// A volume of the test's own; it goes with the container.
fn mount(at: &str) -> [String; 2] {
    ["--mount".into(), format!("type=volume,target={at}")]
}

async fn cut_and_compare(corner: &mut Corner, v1: &dyn Server, v2: &dyn Server) {
    v2.polish().await.unwrap();
    v1.ensure_connected().await.unwrap();
    v2.ensure_connected().await.unwrap();
    let mut probe = corner.probe(v2).await;
    let cut = corner.cut_over(v1, v2).await;
    v2.ensure_open().await.unwrap();
    corner.move_clients().await;
    probe.write().await.unwrap();
    println!("{cut}");
    cut.window.end_switch().await.unwrap();
    drop(cut);
    probe.end().await.unwrap();
    corner.compare(v1, v2).await;
}

#[tokio::test]
async fn by_volume_across_versions() {
    for (from, to) in upgrades() {
        across_versions(from, to).await;
    }
}

/// With everything that makes files hard to move: a log and a tablespace in volumes of their own, checksums, a first superuser
/// of another name, several databases with a slot each.
async fn across_versions(from: &str, to: &str) {
    println!("─── {from} → {to}");
    let mounts = [mount("/wal"), mount("/spaces")].concat();
    let mut options: Vec<&str> = mounts.iter().map(String::as_str).collect();
    options.extend([
        "-e",
        "POSTGRES_USER=boss",
        "-e",
        "POSTGRES_INITDB_WALDIR=/wal/log",
        "-e",
        "POSTGRES_INITDB_ARGS=--data-checksums",
    ]);
    let mut corner = Corner::with(&format!("volume{to}"), from, to, &options, LOGICAL).await;
    corner.seed = Some("volume");
    let v1 = corner.v1_name();
    corner.inside(&v1, "psql -U boss -d postgres -qc 'CREATE ROLE postgres SUPERUSER LOGIN'; install -d -o postgres -g postgres /spaces/one");
    corner.fill();
    corner.script(&v1, "postgres", &format!("{LOADED} CREATE DATABASE two;"));
    corner.script(&v1, "two", LOADED);
    corner.script(
        &v1,
        "postgres",
        "CREATE TABLESPACE one LOCATION '/spaces/one'; \
         CREATE TABLE there (t text PRIMARY KEY) TABLESPACE one; INSERT INTO there VALUES ('Ä'), ('a-b'), ('ab'); \
         CREATE EXTENSION pg_trgm;",
    );
    corner.plan().await;
    assert_eq!((corner.plan.method.as_str(), corner.plan.seed.as_str()), ("logical", "volume"));
    let writer = Writer::start(&v1);
    let load = Load::start(&v1, &["postgres", "two"]);
    let preparing = Load::preparing(&v1, "two");
    corner.prepare().await;
    corner.create_v2().await;
    let (one, two) = (corner.server(Side::V1), corner.server(Side::V2));
    let began = std::time::Instant::now();
    let seeded = two.ensure_seeded().await.unwrap();
    println!("{from} → {to}: seeded in {:.1} s", began.elapsed().as_secs_f64());
    drop(preparing);
    corner.end_sessions("preparing");
    corner.script(&v1, "two", "SELECT format('COMMIT PREPARED %L', gid) FROM pg_prepared_xacts \\gexec\n");
    assert_eq!(two.ensure_seeded().await.unwrap().position, seeded.position, "a finished copy is not made again");
    let physical = "SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical'";
    assert_eq!(sql(&v1, physical), "0", "V1 keeps nothing for the copy any more");
    for _ in 0..2 {
        two.ensure_following().await.unwrap();
    }
    corner.caught_up(&*one, &*two).await;
    assert!(corner.refused_by(Side::V2), "V2 is closed");
    cut_and_compare(&mut corner, &*one, &*two).await;
    drop(load);
    assert_eq!(corner.lost(&writer.stop()), Vec::<u64>::new());

    let v2 = corner.v2_name();
    assert_eq!(sql(&v2, "SHOW data_checksums;; SELECT rolname FROM pg_roles WHERE oid = 10"), "on\nboss");
    assert_eq!(corner.inside(&v2, "readlink -f $PGDATA/pg_wal; ls /spaces/one | wc -l"), "/wal/log\n1");
    let warned = run(&[
        "exec",
        &v2,
        "sh",
        "-c",
        "psql -U postgres -c 'SELECT 1' 2>&1 >/dev/null; psql -U postgres -d two -c 'SELECT 1' 2>&1 >/dev/null",
    ]);
    assert_eq!(warned, "", "no client is warned of a collation");
    sql(&v2, "CREATE EXTENSION amcheck;; SELECT bt_index_check('there_pkey', true);; DROP EXTENSION amcheck");
    assert!(one.ensure_way_back().await.unwrap().is_ok());
    two.ensure_clean(false).await.unwrap();
    corner.assert_nothing_left();
}

/// V1 does nothing at all, its data is in the container itself, and it is told to start over in the middle.
#[tokio::test]
#[ignore = "by_volume_from_an_idle_v1_without_one: a minute or more, in ./dev test all"]
async fn by_volume_from_an_idle_v1_without_one() {
    let mut corner = Corner::with("idle", "15", "17", &["-e", "PGDATA=/srv/pg"], LOGICAL).await;
    corner.seed = Some("volume");
    let v1 = corner.v1_name();
    corner.fill();
    corner.plan().await;
    assert_eq!(corner.plan.seed, "volume");
    let before = sql(&v1, "SELECT slot_name FROM pg_replication_slots;; SELECT pubname FROM pg_publication");
    corner.prepare().await;
    corner.create_v2().await;
    let (one, two) = (corner.server(Side::V1), corner.server(Side::V2));
    two.ensure_seeded().await.unwrap();
    two.ensure_unseeded().await.unwrap();
    assert_eq!(sql(&v1, "SELECT count(*) FROM pg_replication_slots"), "0");
    two.ensure_seeded().await.unwrap();
    two.ensure_following().await.unwrap();
    corner.caught_up(&*one, &*two).await;
    cut_and_compare(&mut corner, &*one, &*two).await;
    assert_eq!(sql(&corner.v2_name(), "SHOW data_checksums"), sql(&corner.v2_name(), "SELECT 'off'"));
    let rows = sql(&corner.v2_name(), "SELECT count(*) FROM \"we\"\"ird; --\"");
    assert_eq!((rows.as_str(), before.as_str()), ("1000", ""));
}

/// What pg_upgrade refuses shows before a byte is copied.
#[tokio::test]
async fn an_upgrade_that_cannot_be_is_told_by_the_rehearsal() {
    let mut corner = Corner::with("rehearsal", "15", "17", &[], LOGICAL).await;
    corner.seed = Some("volume");
    let v1 = corner.v1_name();
    corner.script(&v1, "postgres", "CREATE TABLE refused (n int PRIMARY KEY, which regcollation);");
    corner.plan().await;
    corner.prepare().await;
    corner.create_v2().await;
    let two = corner.server(Side::V2);
    let trouble = two.ensure_seeded().await.unwrap_err();
    let said = format!("{trouble:?}");
    assert!(trouble.what.contains("rehearsal of the upgrade") && said.contains("public.refused.which"), "{said}");
    assert_eq!(sql(&v1, "SELECT count(*) FROM pg_replication_slots"), "0", "nothing was begun on V1");
}

/// Within one version: the copy is all that V2 needs, its log and tablespace with it.
#[tokio::test]
#[ignore = "by_volume_within_a_version: a minute or more, in ./dev test all"]
async fn by_volume_within_a_version() {
    let mounts = [mount("/wal"), mount("/spaces")].concat();
    let mut options: Vec<&str> = mounts.iter().map(String::as_str).collect();
    options.extend(["-e", "POSTGRES_INITDB_WALDIR=/wal/log"]);
    let mut corner = Corner::with("files", "15-old", "15", &options, &[]).await;
    corner.seed = Some("volume");
    let v1 = corner.v1_name();
    corner.inside(&v1, "install -d -o postgres -g postgres /spaces/one");
    corner.fill();
    corner.script(&v1, "postgres", LOADED);
    corner.script(&v1, "postgres", "CREATE TABLESPACE one LOCATION '/spaces/one'; CREATE TABLE there (t int PRIMARY KEY) TABLESPACE one; INSERT INTO there VALUES (1);");
    corner.plan().await;
    assert_eq!((corner.plan.method.as_str(), corner.plan.seed.as_str()), ("physical", "volume"));
    let checks = &corner.survey.as_ref().unwrap().checks;
    assert!(checks.iter().all(|check| check.verdict != Verdict::Refused), "{checks:#?}");
    let writer = Writer::start(&v1);
    let load = Load::start(&v1, &["postgres"]);
    corner.prepare().await;
    corner.create_v2().await;
    let (one, two) = (corner.server(Side::V1), corner.server(Side::V2));
    let seeded = two.ensure_seeded().await.unwrap();
    assert_eq!(two.ensure_seeded().await.unwrap().position, seeded.position, "a finished copy is not made again");
    two.ensure_following().await.unwrap();
    corner.caught_up(&*one, &*two).await;
    cut_and_compare(&mut corner, &*one, &*two).await;
    drop(load);
    assert_eq!(corner.lost(&writer.stop()), Vec::<u64>::new());
    assert_eq!(corner.inside(&corner.v2_name(), "readlink -f $PGDATA/pg_wal; ls /spaces/one | wc -l"), "/wal/log\n1");
    assert!(one.ensure_way_back().await.unwrap().is_ok());
    two.ensure_clean(true).await.unwrap();
}
