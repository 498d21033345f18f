//! Bad input gets a clear message with a hint and the right exit code, and V1 is exactly what it was: settings, roles,
//! access rules byte for byte, slots, networks and aliases, restart policy, names; and nothing of ours is left.

#![expect(clippy::unwrap_used, reason = "a test may end here")]

#[path = "bad_input/world.rs"]
mod world;

use world::{Case, World};

const V2_IMAGE: &str = "switchover-test/postgres:15";
const V1_IMAGE: &str = "switchover-test/postgres:15-old";

#[test]
fn a_target_that_cannot_be_moved() {
    let world = World::new("target");
    let case = |name, container: &str| Case::run(name, container, V2_IMAGE);
    let stopped = world.server("stopped", V1_IMAGE, &[]);
    world.docker(&["stop", &stopped]);
    let paused = world.server("paused", V1_IMAGE, &[]);
    world.docker(&["pause", &paused]);
    let restarting = world.container("restarting", V1_IMAGE, &["--restart=always", "--entrypoint=false"], &[]);
    let no_database = world.container("sleeper", V1_IMAGE, &["--entrypoint=sleep"], &["600"]);
    let replica = world.server("replica", V1_IMAGE, &[]);
    world.docker(&["exec", &replica, "sh", "-c", "touch $PGDATA/standby.signal"]);
    world.docker(&["restart", &replica]);
    world.until_served(&replica);
    world.judge(&[
        case("no such container", "swtest-nobody").exits(&[2, 3]).says(&["swtest-nobody"]),
        case("a name that no container can have", "a b\"'$(id)\nü").exits(&[2, 3]).says(&["a b"]),
        case("a stopped container", &stopped).watches(&stopped).says(&["does not run", "docker start"]),
        case("a paused container", &paused).watches(&paused).says(&["is paused", "docker unpause"]),
        case("a restarting container", &restarting).says(&["restarting", "docker logs"]),
        case("not a database", &no_database).watches(&no_database).says(&["PostgreSQL"]),
        case("a replica", &replica).watches(&replica).says(&["replica"]),
    ]);
}

#[test]
fn an_image_that_cannot_take_over() {
    let world = World::new("image");
    let v1 = world.server("v1", V2_IMAGE, &[]);
    let crashing = world.image("crashing", V2_IMAGE, &["ENTRYPOINT [\"/bin/false\"]"]);
    let stranger = world.image_without_a_database();
    let foreign = world.image_of_another_architecture(V2_IMAGE);
    let case = |name, image: &str| Case::run(name, &v1, image).watches(&v1);
    world.judge(&[
        case("no such image", "switchover-test/postgres:nothing").says(&["switchover-test/postgres:nothing"]),
        case("not an image's name", "Not An Image").exits(&[2, 3]).says(&["Not An Image"]),
        case("an image without a database", &stranger).says(&["no image of postgresql"]),
        case("an older minor", V1_IMAGE).says(&["older"]),
        case("an older major", "switchover-test/postgres:13").says(&["13"]),
        case("a newer major", "switchover-test/postgres:17").says(&["wal_level"]),
        case("another architecture", &foreign).says(&["arm64"]),
        case("an image that crashes at start", &crashing).exits(&[1, 3]).says(&["instead of following"]),
    ]);
}

#[test]
fn an_image_that_never_gets_healthy() {
    let world = World::new("unhealthy");
    let v1 = world.server("v1", V2_IMAGE, &[]);
    let unhealthy = world.image("unhealthy", V2_IMAGE, &["HEALTHCHECK --interval=1s --retries=1 CMD false"]);
    world.judge(&[Case::run("never healthy", &v1, &unhealthy).watches(&v1).exits(&[1]).says(&[
        "health check",
        "exit code 1",
        "unhealthy-v2",
    ])]);
}

#[test]
fn no_way_in() {
    let world = World::new("access");
    let v1 = world.server("v1", V1_IMAGE, &[]);
    let closed = world.server("closed", V1_IMAGE, &[]);
    let case = |name, container: &str| Case::run(name, container, V2_IMAGE).watches(container);
    // The rules are closed after the look at V1, and opened for the look after: we need a way in, the tool has none.
    let close = "cp $PGDATA/pg_hba.conf /tmp/open; echo 'local all all scram-sha-256' >$PGDATA/pg_hba.conf";
    let open = "cp /tmp/open $PGDATA/pg_hba.conf";
    let reload = "kill -HUP 1; sleep 0.5";
    let shut = |case: Case| case.around(&closed, &format!("{close}; {reload}"), &format!("{open}; {reload}"));
    world.judge(&[
        shut(case("no password", &closed)).exits(&[2, 3]).says(&["password"]),
        shut(case("a wrong password", &closed)).env("PGPASSWORD", "wrong").exits(&[2, 3]).says(&["password"]),
        case("no engine there", &v1)
            .args(&["--docker", "unix:///nowhere/docker.sock"])
            .exits(&[2])
            .says(&["/nowhere/docker.sock"]),
        case("an engine that hangs up", &v1)
            .args(&["--docker", "tcp://127.0.0.1:1"])
            .exits(&[2])
            .says(&["127.0.0.1:1"]),
        case("an engine's address that is none", &v1)
            .args(&["--docker", "carrier-pigeon"])
            .exits(&[2])
            .says(&["carrier-pigeon"]),
        case("no permission on the socket", &v1).by_nobody().exits(&[2]).says(&["permission"]),
    ]);
}

#[test]
fn what_mysql_and_mariadb_cannot_do() {
    const MYSQL: &str = "switchover-test/mysql:9.7";
    const OLD: &str = "switchover-test/mariadb:10.11";
    const NEW: &str = "switchover-test/mariadb:11.8";
    let world = World::new("binlog");
    let mysql = world.server_with_root("mysql", MYSQL, &[]);
    let old = world.server_with_root("old", OLD, &["--log-bin=binlog"]);
    let new = world.server_with_root("new", NEW, &["--log-bin=binlog"]);
    let crowded = world.server_with_root("crowded", OLD, &["--log-bin=binlog", "--max-connections=15"]);
    let case = |name, container: &str, image: &str| Case::run(name, container, image).watches(container);
    world.judge(&[
        case("a MariaDB for a MySQL", &mysql, NEW).says(&["V1 is mysql", "of V1's engine"]),
        case("a MySQL for a MariaDB", &old, MYSQL).says(&["V1 is mariadb", "of V1's engine"]),
        case("an older MariaDB", &new, OLD).says(&["older"]),
        case("no room for the run's sessions", &crowded, NEW).says(&["free-connections"]),
        case("a seed of another engine", &old, NEW).args(&["--seed", "copy"]).says(&["seed"]),
    ]);
    world.sql(&mysql, "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'elsewhere'");
    world.sql(&old, "CHANGE MASTER TO MASTER_HOST = 'elsewhere'");
    let odd = "SET GLOBAL max_connections = 151; CREATE DATABASE shop; CREATE TABLE shop.a (n int) ENGINE = MyISAM; \
               CREATE TABLE shop.x (n int PRIMARY KEY); \
               XA START 'x'; INSERT INTO shop.x VALUES (1); XA END 'x'; XA PREPARE 'x'";
    world.sql(&crowded, odd);
    world.judge(&[
        case("a MySQL that follows another one", &mysql, "switchover-test/mysql:9.7-again").says(&["is-no-replica"]),
        case("a MariaDB that follows another one", &old, NEW).says(&["is-no-replica"]),
        case("tables without transactions, and one prepared", &crowded, NEW)
            .says(&["not-transactional", "prepared-transactions"]),
    ]);
}

#[test]
fn names_and_space() {
    let world = World::new("names");
    let v1 = world.server("v1", V1_IMAGE, &[]);
    let case = |name| Case::run(name, &v1, V2_IMAGE).watches(&v1);
    let v2_name = format!("{v1}-v2");
    world.docker(&["create", "--name", &v2_name, "--label=switchover.test=1", V2_IMAGE]);
    world.judge(&[case("V2's name is taken").says(&[&v2_name])]);
    world.docker(&["rm", "-v", &v2_name]);

    let final_name = format!("{v1}-v1");
    world.docker(&["create", "--name", &final_name, "--label=switchover.test=1", V2_IMAGE]);
    world.judge(&[case("the name V1 would get is taken").says(&[&final_name])]);
    world.docker(&["rm", "-v", &final_name]);

    let small = world.small_volume(&v1, "20m");
    let config = world
        .file("small.yml", &format!("v1: {{ container: {v1} }}\nv2: {{ image: \"{V2_IMAGE}\", volume: {small} }}\n"));
    let full = Case::new("V2's disk is too small", &["run", "-f", &config, "--yes"]).watches(&v1);
    world.judge(&[full.exits(&[1, 3]).says(&[])]);
}

#[test]
fn a_configuration_that_is_wrong() {
    let world = World::new("configuration");
    let v1 = world.server("v1", V1_IMAGE, &[]);
    let head = format!("v1: {{ container: {v1} }}\n");
    let file = |name: &'static str, text: &str, says: &'static [&'static str]| {
        let path = world.file(&format!("{}.yml", name.replace(' ', "-")), &format!("{head}{text}"));
        Case::new(name, &["run", "-f", &path, "--yes"]).watches(&v1).exits(&[2]).says(says)
    };
    let run = |name: &'static str, args: &[&str]| Case::run(name, &v1, V2_IMAGE).args(args).watches(&v1).exits(&[2]);
    world.judge(&[
        file("an unknown key", "v2:\n  imag: x\n", &["imag", "line 3"]),
        file("an unknown limit", "v2: { image: x }\nlimits: { cutofer: 3s }\n", &["cutofer", "line 3"]),
        file("a value that is none", "v2: { image: x }\nlimits: { cutover: soon }\n", &["soon", "line 3"]),
        file("a password in the file", "v2: { image: x }\naccess: { password: hunter2 }\n", &["password"]),
        file("a key twice", "v2: { image: x }\nv2: { image: y }\n", &["v2"]),
        file("not YAML", "v2: { image: x\n", &["line"]),
        file("no image", "", &["image"]),
        Case::new("no such file", &["run", "-f", "/nowhere/switchover.yml", "--yes"])
            .exits(&[2])
            .says(&["/nowhere/switchover.yml"]),
        Case::new("no target", &["run", "--yes"]).exits(&[2]).says(&["--container"]),
        run("an unknown flag", &["--imag", "x"]).says(&["--imag"]),
        run("an unknown limit as a flag", &["--limit", "cutofer=3s"]).says(&["cutofer"]),
        run("a limit below its least", &["--limit", "cutover=1ms"]).says(&["cutover"]),
        Case::new("an unknown verb", &["swichover"]).exits(&[2]).says(&["swichover"]),
    ]);
}
