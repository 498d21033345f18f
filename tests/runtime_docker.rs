//! The Docker layer against the real engine: every act twice, every fact looked up with the engine's own command line.
//!
//! Needs an engine and the images of `scenarios/images`.

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod docker;

use std::time::Duration;

use docker::{Corner, IMAGE, OTHER_IMAGE, at, docker, inspect, quietly, timed};
use switchover::runtime::docker::Docker;
use switchover::runtime::{Call, File, HelperSpec, MountKind, Recipe, Runtime, State};
use switchover::trouble::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn containers_start_stop_move_and_go_however_often_they_are_told() {
    let c = Corner::new("life").await;
    let clients = c.network("clients", &[]);
    let private = c.name("private");
    let v1 = c.idle("v1", &["--network", &clients, "--network-alias", "db", "--restart", "always"]);
    let d = &c.docker;
    d.adopt(&c.run);
    for _ in 0..2 {
        d.ensure_network(&private, true, &c.labels()).await.unwrap();
        timed("join", d.ensure_joined(&v1, &at(&private, &[]))).await.unwrap();
        timed("create", d.ensure_created(&c.recipe(&v1, &private))).await.unwrap();
    }
    let v2 = d.container(&c.name("v2")).await.unwrap().unwrap();
    assert_eq!((v2.state.clone(), v2.networks.len()), (State::Created, 1));
    assert_eq!((v2.networks[0].network.clone(), v2.restart_policy.as_str()), (private.clone(), "always"));
    for _ in 0..2 {
        timed("start", d.ensure_started(&c.name("v2"))).await.unwrap();
        timed("join with alias", d.ensure_joined(&v2.id, &at(&clients, &["db"]))).await.unwrap();
        timed("leave", d.ensure_left(&v1, &clients)).await.unwrap();
        timed("rename", d.ensure_named(&v1, &c.name("old"))).await.unwrap();
        // By the name it was made under, which it does not bear the second time.
        timed("rename", d.ensure_named(&c.name("v2"), &c.name("v1"))).await.unwrap();
        timed("policy", d.ensure_restart_policy(&v1, "no")).await.unwrap();
        timed("leave private", d.ensure_left(&c.name("v2"), &private)).await.unwrap();
        d.ensure_left(&v1, &private).await.unwrap();
        timed("remove network", d.ensure_no_network(&private, &c.run)).await.unwrap();
    }
    // Another run knows nothing of the name.
    let other = Docker::connect(None, None).await.unwrap();
    assert_eq!(other.container(&c.name("v2")).await.unwrap(), None);
    other.adopt("another");
    assert_eq!(other.container(&c.name("v2")).await.unwrap(), None);
    // The private network is gone, and V2 lives without it.
    docker(&["restart", "-t", "0", &v2.id]);
    let v2 = d.container(&c.name("v2")).await.unwrap().unwrap();
    assert_eq!((v2.name.clone(), v2.networks.len()), (c.name("v1"), 1));
    assert_eq!((v2.networks[0].network.clone(), v2.networks[0].aliases.clone()), (clients, vec!["db".to_owned()]));
    for _ in 0..2 {
        let code = timed("stop", d.ensure_stopped(&v1, "SIGKILL", Duration::from_secs(5))).await.unwrap();
        assert_eq!(code, 137);
    }
    let refused = d.ensure_no_container(&v1, &c.run).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Refused);
    assert_eq!(d.ensure_retired(&v2.id).await.unwrap_err().kind, Kind::Refused);
    for _ in 0..2 {
        d.ensure_retired(&v1).await.unwrap();
        d.ensure_no_container(&c.name("v2"), &c.run).await.unwrap();
    }
}

/// Answers each line with itself in capitals.
const ECHO: &str = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1) \
                    or die; while (my $c = $s->accept) { if (!fork) { print $c uc while <$c>; exit } }";

async fn echo(stream: &mut Box<dyn switchover::runtime::Stream>, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_server_is_reached_over_its_network_and_through_a_tunnel() {
    let c = Corner::new("dial").await;
    let private = c.network("private", &["--internal"]);
    let id = c.idle("v1", &["--network", &private, "--entrypoint", "perl", "--", "-e", ECHO]);
    let tunnelled = Docker::connect(None, None).await.unwrap().always_tunnel();
    let big = "x".repeat(300_000) + "\n";
    while c.docker.dial(&id, &private, 7000).await.is_err() {
        assert!(docker(&["inspect", &id, "-f", "{{.State.Running}}"]) == "true");
    }
    for (how, d) in [("direct", &c.docker), ("tunnel", &tunnelled)] {
        let mut stream = timed(how, d.dial(&id, &private, 7000)).await.unwrap();
        assert_eq!(echo(&mut stream, "first\n").await, "FIRST\n");
        let began = std::time::Instant::now();
        for _ in 0..100 {
            assert_eq!(echo(&mut stream, "again\n").await, "AGAIN\n");
        }
        println!("{how}: a round trip {:.2} ms", began.elapsed().as_secs_f64() * 10.0);
        let (mut reading, mut writing) = tokio::io::split(stream);
        let mut answer = vec![0; big.len()];
        let (written, read) = tokio::join!(writing.write_all(big.as_bytes()), reading.read_exact(&mut answer));
        written.and(read.map(|_| ())).unwrap();
        assert!(answer.starts_with(b"XXX"));
    }
    // What was dropped leaves no program behind in the container (the echo's own children end with their streams).
    for _ in 0..100 {
        let programs = docker(&["top", &id, "-o", "pid,comm"]);
        if programs.lines().count() == 2 {
            return refused_ports(&c, &tunnelled, &id, &private).await;
        }
        std::thread::yield_now();
    }
    panic!("left behind: {}", docker(&["top", &id, "-o", "pid,args"]));
}

async fn refused_ports(c: &Corner, tunnelled: &Docker, id: &str, private: &str) {
    let direct = c.docker.dial(id, private, 7001).await.err().unwrap();
    assert!(direct.what.starts_with("nothing listens on port 7001"), "{}", direct.one_line());
    let inside = tunnelled.dial_inside(id, 7001).await.err().unwrap();
    assert!(inside.one_line().contains("Connection refused"), "{}", inside.one_line());
    docker(&["stop", "-t", "0", id]);
    assert!(c.docker.dial(id, private, 7000).await.err().unwrap().what.ends_with("does not run"));
    let stopped = tunnelled.dial_inside(id, 7000).await.err().unwrap();
    assert!(stopped.one_line().contains("is not running"), "{}", stopped.one_line());
}

#[tokio::test]
async fn a_program_inside_gets_its_input_and_says_its_output_and_code() {
    let c = Corner::new("exec").await;
    let id = c.idle("v1", &["--network", "none"]);
    let d = &c.docker;
    let script = "cat; echo err >&2; printf '%s|' \"$@\"; exit 3";
    let hostile = ["sh", "-c", script, "sh", "two words", "'q\"", "$HOME", "ü\n"];
    let call = Call { argv: &hostile, stdin: b"in\n", ..Call::default() };
    let output = timed("exec", d.exec(&id, &call)).await.unwrap();
    assert_eq!(output.code, 3);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\ntwo words|'q\"|$HOME|ü\n|");
    assert_eq!(output.stderr, b"err\n");
    let much = vec![b'y'; 1 << 20];
    let call = Call { argv: &["cat"], stdin: &much, user: Some("postgres") };
    assert_eq!(d.exec(&id, &call).await.unwrap().stdout.len(), much.len());
    let absent = d.exec(&id, &Call { argv: &["no-such-program"], ..Call::default() }).await.unwrap();
    assert!(matches!(absent.code, 126 | 127), "{absent:?}");
    assert!(d.free_bytes(&id, "/").await.unwrap().unwrap() > 1 << 20);
    assert_eq!(d.free_bytes(&id, "/nowhere").await.unwrap(), None);
    docker(&["pause", &id]);
    let paused = d.exec(&id, &call).await.unwrap_err();
    assert!(paused.one_line().contains("is paused"), "{}", paused.one_line());
    docker(&["unpause", &id]);
    let gone = d.exec("no-such-container", &call).await.unwrap_err();
    assert!(gone.one_line().contains("No such container"), "{}", gone.one_line());
}

#[tokio::test]
async fn files_go_into_stopped_containers_and_their_volumes() {
    let c = Corner::new("files").await;
    let d = &c.docker;
    let volume = c.name("volume");
    let mount = format!("{volume}:/data");
    let id = c.idle("v1", &["-v", &mount]);
    docker(&["exec", &id, "sh", "-c", "ln -s /data/secret /tmp/link; mkdir /data/dir"]);
    let file = |path: &str| File { path: path.into(), content: b"hush\n".to_vec(), mode: 0o600, uid: 70, gid: 71 };
    assert_eq!(format!("{:?}", file("/data/secret")), "File(/data/secret, 5 bytes)");
    for state in ["running", "stopped"] {
        for path in ["/data/secret", "/data/with space and 'quotes'", "/root-file"] {
            d.put_file(&id, &file(path)).await.unwrap();
            d.put_file(&id, &file(path)).await.unwrap();
            assert_eq!(d.read_file(&id, path).await.unwrap().unwrap(), b"hush\n", "{state}");
        }
        assert_eq!(d.read_file(&id, "/tmp/link").await.unwrap().unwrap(), b"hush\n", "{state}");
        assert_eq!(d.read_file(&id, "/data/none").await.unwrap(), None);
        assert!(d.read_file(&id, "/data/dir").await.is_err());
        assert!(d.put_file(&id, &file("/no/such/directory/file")).await.is_err());
        docker(&["stop", "-t", "0", &id]);
    }
    assert!(d.read_file("no-such-container", "/x").await.is_err());
    docker(&["start", &id]);
    assert_eq!(docker(&["exec", &id, "stat", "-c", "%a %u %g", "/data/secret"]), "600 70 71");
}

#[tokio::test]
async fn helpers_talk_line_by_line_and_leave_nothing() {
    let c = Corner::new("helper").await;
    let d = &c.docker;
    let volume = c.name("volume");
    d.ensure_volume(&volume, &c.labels()).await.unwrap();
    let script = "cat /secret; echo to-err >&2; while read -r line; do echo \"<$line>\"; done; ls /mnt; exit 4";
    let spec = HelperSpec {
        name: c.name("h"),
        image: IMAGE.into(),
        entrypoint: ["sh", "-c", script].map(str::to_owned).to_vec(),
        user: Some("0:0".into()),
        mounts: vec![(volume.clone(), "/mnt".into(), false)],
        files: vec![
            File { path: "/secret".into(), content: b"s\n".to_vec(), mode: 0o400, ..File::default() },
            File { path: "/mnt/in volume".into(), mode: 0o600, ..File::default() },
        ],
        labels: c.labels(),
        ..HelperSpec::default()
    };
    // One that a crash left behind.
    drop(d.helper(&spec).await.unwrap());
    let mut helper = timed("helper", d.helper(&spec)).await.unwrap();
    assert_eq!(helper.line().await.unwrap().unwrap(), "s");
    for line in ["one", "two words $HOME"] {
        helper.send(line).await.unwrap();
        assert_eq!(helper.line().await.unwrap().unwrap(), format!("<{line}>"));
    }
    let output = timed("end", helper.end()).await.unwrap();
    assert_eq!((output.code, output.stdout.as_slice()), (4, b"in volume\n".as_slice()));
    assert_eq!(output.stderr, b"to-err\n");
    drop(d.helper(&spec).await.unwrap());
    for _ in 0..2 {
        d.ensure_no_helpers(&c.run).await.unwrap();
        assert_eq!(d.container(&spec.name).await.unwrap(), None);
    }
    c.idle("h", &[]);
    assert_eq!(d.helper(&spec).await.err().unwrap().kind, Kind::Refused);
    let absent = HelperSpec { image: "switchover-test/none".into(), name: c.name("h2"), ..spec };
    assert!(d.helper(&absent).await.is_err());
}

#[tokio::test]
async fn a_helper_sees_the_hosts_processes_where_asked() {
    let c = Corner::new("hostpid").await;
    let id = c.idle("v1", &[]);
    let pid = c.docker.container(&id).await.unwrap().unwrap().host_pid.unwrap();
    let script = "while read -r pid; do kill -0 \"$pid\" && echo yes || echo no; done";
    let spec = HelperSpec {
        name: c.name("h"),
        image: IMAGE.into(),
        entrypoint: ["sh", "-c", script].map(str::to_owned).to_vec(),
        user: Some("0".into()),
        host_pids: true,
        labels: c.labels(),
        ..HelperSpec::default()
    };
    let mut helper = c.docker.helper(&spec).await.unwrap();
    helper.send(&pid.to_string()).await.unwrap();
    assert_eq!(helper.line().await.unwrap().unwrap(), "yes");
    helper.end().await.unwrap();
}

#[tokio::test]
async fn only_what_the_run_made_is_removed() {
    let c = Corner::new("others").await;
    let d = &c.docker;
    let network = c.network("net", &[]);
    let volume = c.name("vol");
    docker(&["volume", "create", "--label", "switchover.test=1", &volume]);
    c.idle("v2", &[]);
    let kinds = [
        d.ensure_no_network(&network, &c.run).await.unwrap_err().kind,
        d.ensure_no_volume(&volume, &c.run).await.unwrap_err().kind,
        d.ensure_no_container(&c.name("v2"), &c.run).await.unwrap_err().kind,
        d.ensure_network(&network, true, &c.labels()).await.unwrap_err().kind,
        d.ensure_volume(&volume, &c.labels()).await.unwrap_err().kind,
        d.ensure_created(&c.recipe(&c.name("v2"), &network)).await.unwrap_err().kind,
    ];
    assert!(kinds.iter().all(|kind| *kind == Kind::Refused), "{kinds:?}");
    let mine = c.name("mine");
    for _ in 0..2 {
        d.ensure_volume(&mine, &c.labels()).await.unwrap();
    }
    for _ in 0..2 {
        d.ensure_no_volume(&mine, &c.run).await.unwrap();
    }
    assert!(!d.volume_exists(&mine).await.unwrap());
}

#[tokio::test]
async fn names_that_cannot_be_are_no_danger() {
    let c = Corner::new("names").await;
    let d = &c.docker;
    for name in ["", "../../info", "A:1", "a b", "a/json?x=1#", "ü", "a\n", "%2e%2e", &"x".repeat(300)] {
        assert_eq!(d.container(name).await.unwrap(), None, "{name}");
        assert_eq!(d.image(name).await.unwrap(), None, "{name}");
        assert_eq!(d.network(name).await.unwrap(), None, "{name}");
        assert!(!d.volume_exists(name).await.unwrap(), "{name}");
    }
    let taken = c.idle("one", &[]);
    c.idle("two", &[]);
    let trouble = d.ensure_named(&taken, &c.name("two")).await.unwrap_err();
    assert!(trouble.hints[0].contains("docker rename"), "{trouble:?}");
    assert_eq!(d.ensure_named(&taken, "a b").await.unwrap_err().kind, Kind::Usage);
    for image in ["UPPER:1", "switchover-test/none:1", "sha256:0000", "a b"] {
        assert_eq!(d.ensure_image(image).await.unwrap_err().kind, Kind::Refused, "{image}");
    }
    assert_eq!(d.ensure_image(IMAGE).await.unwrap().architecture, docker(&["version", "-f", "{{.Server.Arch}}"]));
}

#[tokio::test]
async fn a_stop_with_another_signal_than_the_containers_own_ends_it_for_good() {
    let c = Corner::new("stop").await;
    let trap = "trap 'exit 7' USR1; trap 'exit 8' TERM; while :; do sleep 0.05; done";
    let id = c.idle("v1", &["--restart", "always", "--stop-signal", "TERM", "--entrypoint", "sh", "--", "-c", trap]);
    for signal in ["SIGUSR1", "SIGTERM"] {
        c.docker.ensure_started(&id).await.unwrap();
        timed(signal, c.docker.ensure_stopped(&id, signal, Duration::from_secs(2))).await.unwrap();
        assert_eq!(inspect(&id, "{{.State.Status}}"), "exited");
        assert_eq!(quietly(&["inspect", &id, "-f", "{{.HostConfig.RestartPolicy.Name}}"]), "always");
    }
}

/// What a container was asked to be, as the engine tells it: everything that V2 must have like V1.
fn asked(id: &str) -> serde_json::Value {
    let mut all: serde_json::Value = serde_json::from_str(&docker(&["inspect", id, "-f", "{{json .}}"])).unwrap();
    let config = all["Config"].take();
    let host = all["HostConfig"].take();
    serde_json::json!({ "config": config, "host": host })
}

#[tokio::test]
async fn v2_is_made_like_v1_but_for_image_data_and_network() {
    let c = Corner::new("like").await;
    let (clients, private) = (c.network("clients", &[]), c.network("private", &["--internal"]));
    let (data, shared) = (format!("{}:/var/lib/postgresql/data", c.name("d1")), format!("{}:/backup:ro", c.name("b")));
    let id = c.idle(
        "v1",
        &[
            "--network",
            &clients,
            "--network-alias",
            "db",
            "--restart",
            "on-failure:3",
            "--hostname",
            "host ü",
            "-e",
            "SPACE=a b",
            "-e",
            "QUOTES='\"`",
            "-e",
            "DOLLAR=$HOME $(id) ${X}",
            "-e",
            "ÜNI=ünï\n2nd",
            "-e",
            "EMPTY=",
            "-e",
            "POSTGRES_PASSWORD=hush",
            "-e",
            "PGDATA=/var/lib/postgresql/data/x",
            "--label",
            "plain=a \"b\" $c ü",
            "--label",
            "com.docker.compose.service=db",
            "-v",
            &data,
            "-v",
            &shared,
            "-v",
            "/anonymous",
            "--tmpfs",
            "/scratch:size=1m",
            "-v",
            "/etc/hostname:/h:ro",
            "-p",
            "127.0.0.1:25431:5432",
            "-p",
            "127.0.0.1::9187",
            "--expose",
            "1234",
            "--memory",
            "256m",
            "--cpus",
            "0.5",
            "--pids-limit",
            "99",
            "--ulimit",
            "nofile=1000:2000",
            "--shm-size",
            "128m",
            "--sysctl",
            "net.core.somaxconn=511",
            "--cap-add",
            "SYS_NICE",
            "--cap-drop",
            "MKNOD",
            "--security-opt",
            "no-new-privileges",
            "--device",
            "/dev/null:/dev/mine",
            "--group-add",
            "77",
            "--init",
            "--health-cmd",
            "true && echo \"x\"",
            "--health-interval",
            "7s",
            "--health-start-period",
            "3s",
            "--log-opt",
            "max-size=1m",
            "--add-host",
            "other:10.0.0.9",
            "--dns",
            "10.0.0.10",
            "--dns-search",
            "example.org",
            "--stop-signal",
            "SIGQUIT",
            "--stop-timeout",
            "77",
            "--user",
            "postgres",
            "--workdir",
            "/tmp",
            "--oom-score-adj",
            "100",
            "--entrypoint",
            "sleep",
            "--",
            "3600",
        ],
    );
    let recipe = Recipe {
        volumes: vec![(c.name("d2"), "/var/lib/postgresql/data".into())],
        leave_out: vec!["/var/lib/postgresql/data".into()],
        ..c.recipe(&id, &private)
    };
    c.docker.ensure_created(&recipe).await.unwrap();
    let v2 = c.docker.ensure_created(&recipe).await.unwrap();
    let (mut one, mut two) = (asked(&id), asked(&v2.id));
    let v1_port = inspect(&id, "{{(index (index .NetworkSettings.Ports \"9187/tcp\") 0).HostPort}}");
    assert_eq!(two["host"]["PortBindings"]["9187/tcp"][0]["HostPort"], v1_port.as_str());
    let environment = |of: &serde_json::Value| -> Vec<String> {
        let all = of["config"]["Env"].as_array().unwrap();
        let mut all: Vec<String> = all.iter().map(|entry| entry.as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    let major = |text: &String| ["PG_MAJOR=", "PG_VERSION=", "PATH="].iter().any(|of_image| text.starts_with(of_image));
    let (e1, e2) = (environment(&one), environment(&two));
    let without = |all: &[String]| all.iter().filter(|entry| !major(entry)).cloned().collect::<Vec<_>>();
    assert_eq!(without(&e1), without(&e2));
    assert!(e2.contains(&"PG_MAJOR=17".to_owned()) && !e2.contains(&"PG_MAJOR=15".to_owned()), "{e2:?}");
    assert_eq!(two["config"]["Labels"]["plain"], "a \"b\" $c ü");
    assert!(two["config"]["Labels"]["com.docker.compose.service"].is_null());
    assert_eq!(two["config"]["Labels"]["switchover.run"], c.run.as_str());
    for (part, fields) in [
        ("config", &["Env", "Labels", "Image", "AttachStdout", "AttachStderr"][..]),
        ("host", &["PortBindings", "Binds", "Mounts", "ContainerIDFile", "AutoRemove", "VolumesFrom", "Links"]),
    ] {
        for field in fields {
            one[part][field].take();
            two[part][field].take();
        }
    }
    assert_eq!(one, two);
    let mounts: Vec<_> = v2.mounts.iter().map(|m| (m.destination.as_str(), m.kind, m.source.len())).collect();
    let d2 = c.name("d2").len();
    assert_eq!(mounts[4], ("/var/lib/postgresql/data", MountKind::Volume, d2), "{mounts:?}");
    assert_eq!(
        mounts.iter().map(|m| m.0).collect::<Vec<_>>(),
        ["/anonymous", "/backup", "/h", "/scratch", "/var/lib/postgresql/data"]
    );
    let v1 = c.docker.container(&id).await.unwrap().unwrap();
    assert_ne!(v1.mounts[0].source, v2.mounts[0].source, "a nameless volume is shared");
    assert!(!format!("{v1:?}").contains("hush"), "{v1:?}");
    assert!(OTHER_IMAGE.contains("17") && v2.networks.len() == 1);
}

/// An engine elsewhere, as far as the tool can tell: its socket behind a TCP port.
async fn elsewhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
                let _ended = tokio::io::copy_bidirectional(&mut tcp, &mut socket).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_remote_engine_is_used_through_tunnels_only() {
    let c = Corner::new("remote").await;
    let address = elsewhere().await;
    let d = Docker::connect(Some(&address), Some("unix:///nowhere")).await.unwrap();
    assert_eq!(d.describe(), address);
    works_from_afar(&c, &d).await;
}

async fn works_from_afar(c: &Corner, d: &Docker) {
    let private = c.network("private", &["--internal"]);
    let id = c.idle("v1", &["--network", &private, "--entrypoint", "perl", "--", "-e", ECHO]);
    let call = Call { argv: &["cat"], stdin: b"over there", ..Call::default() };
    assert_eq!(timed("exec", d.exec(&id, &call)).await.unwrap().stdout, b"over there");
    let file = File { path: "/x".into(), content: b"f".to_vec(), mode: 0o600, ..File::default() };
    d.put_file(&id, &file).await.unwrap();
    assert_eq!(d.read_file(&id, "/x").await.unwrap().unwrap(), b"f");
    // A network that does not exist shows that it is not asked for.
    let mut stream = timed("dial", d.dial(&id, "no-such-network", 7000)).await.unwrap();
    assert_eq!(echo(&mut stream, "far\n").await, "FAR\n");
    timed("look", d.container(&id)).await.unwrap();
}

#[tokio::test]
#[ignore = "as_nobody by itself: the next test runs it, as another user"]
async fn as_nobody() {
    let trouble = Docker::connect(None, None).await.err().unwrap();
    assert_eq!(trouble.what, "no permission to use the container engine's socket /var/run/docker.sock");
    assert!(trouble.hints[0].contains("group"), "{trouble:?}");
}

#[test]
fn without_permission_on_the_socket_the_user_is_told_so() {
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let copy = directory.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut nobody = std::process::Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy);
    assert!(nobody.args(["--exact", "as_nobody", "--ignored"]).status().unwrap().success());
}

#[tokio::test]
async fn a_stopped_container_leaves_a_network_that_is_gone() {
    let c = Corner::new("gone").await;
    let (first, second) = (c.network("first", &[]), c.network("second", &[]));
    let id = c.idle("v1", &["--network", &first]);
    docker(&["network", "connect", &second, &id]);
    docker(&["stop", "-t", "0", &id]);
    docker(&["network", "rm", &second]);
    let start = c.docker.ensure_started(&id).await.unwrap_err();
    assert!(start.one_line().contains("not found"), "{}", start.one_line());
    for _ in 0..2 {
        c.docker.ensure_left(&id, &second).await.unwrap();
    }
    c.docker.ensure_started(&id).await.unwrap();
    c.docker.ensure_left("no-such-container", &first).await.unwrap();
    let gone = c.docker.ensure_joined("no-such-container", &at(&first, &[])).await.unwrap_err();
    assert_eq!(gone.what, "there is no container no-such-container");
    assert!(c.docker.ensure_joined(&id, &at("no-such-network", &[])).await.is_err());
}
