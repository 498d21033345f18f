//! The ways of clients on the real engine, with small servers that say their names instead of databases: who is
//! reached, what is left, and that everything may be asked twice.

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod docker;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use docker::{Corner, IMAGE, docker, inspect, timed};
use switchover::clients::{self, ClientsWay};
use switchover::config::{Limits, OnFailure};
use switchover::engine::Side;
use switchover::plan::{Plan, SidePlan, WayPlan};
use switchover::runtime::docker::Docker;
use switchover::runtime::{Attachment, Container, Runtime};
use switchover::tell::Teller;
use switchover::trouble::Kind;

/// Says its host name, which is the beginning of its id, to whoever connects, and hangs up.
const SAY: &str = "use IO::Socket::INET; chomp(my $me = `hostname`); my $s = IO::Socket::INET->new(LocalPort => 5432, Listen => 99, ReuseAddr => 1) \
                   or die; while (1) { my $c = $s->accept or next; print $c \"$me\\n\"; close $c }";

/// Asks `$1`:5432 every 2 ms for `$2` seconds; prints each answer with its time, and how long the longest took.
const ASK: &str = "use IO::Socket::INET; use Time::HiRes qw(time sleep); my ($h, $s) = @ARGV; my $end = time + $s; my %n; \
                   my $long = 0; while (time < $end) { my $t = time; my $c = IO::Socket::INET->new(PeerAddr => $h, \
                   PeerPort => 5432, Timeout => 5); my $l = $c ? <$c> : 'none'; chomp $l; $n{$l}++; \
                   my $d = time - $t; $long = $d if $d > $long; sleep 0.002 } \
                   print join(' ', map { \"$_=$n{$_}\" } sort keys %n), sprintf(' longest=%.3f', $long), \"\\n\";";

struct Scene {
    c: Corner,
    plan: Rc<Plan>,
    way: Box<dyn ClientsWay>,
    v1: Container,
    v2: Container,
}

/// V1 as given, V2 like it on a private network that V1 joined, both running, and the one way that was found.
async fn scene(name: &str, v1_options: &[&str]) -> Scene {
    let c = Corner::new(name).await;
    let d = Docker::connect(None, None).await.unwrap();
    if v1_options.contains(&c.name("clients").as_str()) {
        // An address can be fixed only where the subnet was given.
        let subnet: &[&str] = if v1_options.contains(&"--ip") { &["--subnet", "10.231.7.0/24"] } else { &[] };
        c.network("clients", subnet);
    }
    let id = c.idle("v1", &[v1_options, &["--entrypoint", "perl", "--", "-e", SAY]].concat());
    let private = c.name("private");
    d.ensure_network(&private, true, &c.labels()).await.unwrap();
    let before = d.container(&id).await.unwrap().unwrap();
    let mut networks = Vec::new();
    for at in &before.networks {
        networks.push(d.network(&at.network).await.unwrap().unwrap());
    }
    let ways = clients::find(&before, &networks);
    assert_eq!(ways.len(), 1);
    d.ensure_joined(&id, &Attachment { network: private.clone(), ..Attachment::default() }).await.unwrap();
    let mut recipe = c.recipe(&id, &private);
    recipe.image = IMAGE.into();
    let v2 = d.ensure_created(&recipe).await.unwrap();
    let plan = Rc::new(plan(&c, &before, &private, ways.clone()));
    d.adopt(&c.run);
    d.ensure_started(&v2.id).await.unwrap();
    docker(&[
        "exec",
        &v2.id,
        "sh",
        "-c",
        "until perl -MIO::Socket::INET -e 'IO::Socket::INET->new(\"127.0.0.1:5432\") or die' 2>/dev/null; do :; done",
    ]);
    let way = clients::from_plan(&ways[0], Rc::clone(&plan), Rc::new(d), Teller::silent());
    Scene { v1: before, v2, c, plan, way }
}

fn plan(c: &Corner, v1: &Container, private: &str, ways: Vec<WayPlan>) -> Plan {
    let side = |container: String, id: String, final_name: String| SidePlan {
        container,
        id,
        final_name,
        image: IMAGE.into(),
        image_id: String::new(),
        digest: None,
        version: "1".into(),
        data: "/data".into(),
        port: 5432,
    };
    Plan {
        run: c.run.clone(),
        name: "test".into(),
        engine: "any".into(),
        method: "any".into(),
        seed: "copy".into(),
        seed_ms: None,
        v1: side(v1.name.clone(), v1.id.clone(), c.name("old")),
        v2: side(c.name("v2"), String::new(), v1.name.clone()),
        v1_data_mounts: vec![],
        v2_volumes: vec![],
        private_network: private.into(),
        ways,
        compose: None,
        limits: Limits::default(),
        allow: vec![],
        hold: None,
        window: None,
        on_failure: OnFailure::Keep,
        verify: false,
        verify_whole: false,
        v1_networks: v1.networks.clone(),
        v1_restart_policy: "no".into(),
        before: serde_json::Value::Null,
        bytes: 0,
    }
}

impl Scene {
    async fn look(&self, side: Side) -> Container {
        let id = if side == Side::V1 { &self.v1.id } else { &self.v2.id };
        self.c.docker.container(id).await.unwrap().unwrap()
    }

    async fn networks(&self, side: Side) -> Vec<String> {
        let mut names: Vec<String> = self.look(side).await.networks.into_iter().map(|at| at.network).collect();
        names.sort();
        names.into_iter().map(|name| name.replace(&format!("{}-", self.c.run), "")).collect()
    }

    /// Clients on the clients' network that ask `host` all the time.
    fn ask(&self, host: &str, seconds: u32) -> std::process::Child {
        let (network, seconds) = (self.c.name("clients"), seconds.to_string());
        let name = self.c.name("asker");
        let argv = ["run", "--rm", "--name", &name, "--network", &network, "--entrypoint", "perl", IMAGE, "-e", ASK];
        Command::new("docker").args(argv).args([host, &seconds]).stdout(Stdio::piped()).spawn().unwrap()
    }
}

fn said(child: std::process::Child) -> String {
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn at_port(port: u16) -> Option<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[tokio::test]
async fn clients_by_alias_go_to_v2_and_come_back() {
    let run = "swt-alias";
    let network = format!("{run}-clients");
    let s = scene("alias", &["--network", &network, "--network-alias", "db", "--network-alias", "shop-db"]).await;
    assert_eq!(s.way.describe(), format!("network alias db, shop-db on {network}"));
    assert_eq!(s.way.pointing_at().await.unwrap(), Some(Side::V1));
    for _ in 0..2 {
        s.way.check().await.unwrap();
        assert!(timed("stand by", s.way.ensure_stand_by()).await.unwrap());
        assert_eq!(s.way.pointing_at().await.unwrap(), None);
        assert_eq!(s.way.check().await.unwrap_err().kind, Kind::Refused);
        for _ in 0..2 {
            timed("stand down", s.way.ensure_stood_down()).await.unwrap();
        }
    }
    assert_eq!(s.look(Side::V1).await.networks[0], s.v1.networks[0]);
    s.way.ensure_stand_by().await.unwrap();
    for _ in 0..2 {
        timed("point at V2", s.way.ensure_pointing_at(Side::V2)).await.unwrap();
        timed("withdraw V1", s.way.ensure_withdrawn(Side::V1)).await.unwrap();
        assert_eq!(s.way.pointing_at().await.unwrap(), Some(Side::V2));
    }
    assert_eq!(s.networks(Side::V1).await, ["private"]);
    assert_eq!(s.networks(Side::V2).await, ["clients", "private"]);
    // V2 answers to V1's name too, before it is called so.
    for host in ["db", "shop-db", &s.plan.v1.container] {
        let answers = said(s.ask(host, 1));
        assert!(answers.starts_with(&s.v2.id[..12]) && !answers.contains(&s.v1.id[..12]), "{host}: {answers}");
        assert!(!answers.contains("none"), "{host}: {answers}");
    }
    for _ in 0..2 {
        s.way.ensure_pointing_at(Side::V1).await.unwrap();
        s.way.ensure_withdrawn(Side::V2).await.unwrap();
    }
    assert_eq!(
        s.look(Side::V1).await.networks.iter().find(|at| at.network == network).unwrap().aliases,
        ["db", "shop-db"]
    );
    assert_eq!(
        (s.networks(Side::V1).await, s.networks(Side::V2).await),
        (vec!["clients".into(), "private".into()], vec!["private".into()])
    );
}

#[tokio::test]
async fn v1_withdraws_when_its_clients_have_gone_and_within_its_limit() {
    let network = "swt-quiet-clients";
    let s = scene("quiet", &["--network", network, "--network-alias", "db"]).await;
    s.way.ensure_stand_by().await.unwrap();
    let asker = s.ask(&s.v1.networks[0].address.clone().unwrap(), 15);
    let received = async || s.c.docker.packets_received(&s.v1.id, network).await.unwrap().unwrap();
    let before = received().await;
    let patience = Instant::now();
    // Its container runs long before it asks.
    while received().await < before + 200 {
        assert!(patience.elapsed() < Duration::from_secs(60), "nobody asks V1");
    }
    let began = Instant::now();
    timed("withdraw from busy clients", s.way.ensure_withdrawn(Side::V1)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    docker::quietly(&["kill", &s.c.name("asker")]);
    println!("{}", said(asker));
    assert_eq!(s.networks(Side::V1).await, ["private"]);
}

#[tokio::test]
async fn a_fixed_address_moves_too() {
    let network = "swt-fixed-clients";
    let s = scene("fixed", &["--network", network, "--ip", "10.231.7.77", "--network-alias", "db"]).await;
    assert!(!s.way.ensure_stand_by().await.unwrap());
    for side in [Side::V2, Side::V2, Side::V1, Side::V1] {
        timed("point", s.way.ensure_pointing_at(side)).await.unwrap();
        s.way.ensure_withdrawn(side.other()).await.unwrap();
        assert_eq!(s.way.pointing_at().await.unwrap(), Some(side));
        let at = s.look(side).await.networks.into_iter().find(|at| at.network == network).unwrap();
        assert_eq!((at.address.as_deref(), at.aliases.contains(&"db".to_owned())), (Some("10.231.7.77"), true));
    }
}

async fn a_port_moves_and_comes_back(s: &Scene, port: u16, clients: &[&str]) {
    assert_eq!(s.way.pointing_at().await.unwrap(), Some(Side::V1));
    s.way.check().await.unwrap();
    assert!(!s.way.ensure_stand_by().await.unwrap());
    for side in [Side::V2, Side::V2, Side::V1, Side::V2] {
        timed("point", s.way.ensure_pointing_at(side)).await.unwrap();
        s.way.ensure_withdrawn(side.other()).await.unwrap();
        assert_eq!(s.way.pointing_at().await.unwrap(), Some(side));
        let serving = if side == Side::V1 { &s.v1.id } else { &s.v2.id };
        assert_eq!(at_port(port).as_deref(), Some(&serving[..12]));
        assert_eq!(s.networks(side.other()).await, ["private"]);
        assert_eq!(s.networks(side).await.iter().filter(|name| *name != "private").collect::<Vec<_>>(), clients);
        // The other one is stopped and started without taking the port.
        let other = if side == Side::V1 { &s.v2.id } else { &s.v1.id };
        docker(&["restart", "-t", "0", other]);
        assert_eq!(s.way.pointing_at().await.unwrap(), Some(side));
    }
    // And it lasts.
    docker(&["restart", "-t", "0", &s.v2.id]);
    assert_eq!(s.way.pointing_at().await.unwrap(), Some(Side::V2));
}

#[tokio::test]
async fn a_published_port_moves_with_all_networks_and_comes_back() {
    let network = "swt-port-clients";
    let s = scene("port", &["--network", network, "--network-alias", "db", "-p", "127.0.0.1:25432:5432"]).await;
    assert_eq!(s.way.describe(), "published port 127.0.0.1:25432 → 5432/tcp");
    let address = s.way.address().unwrap();
    assert_eq!((address.network, address.host.as_str(), address.port), (None, "127.0.0.1", 25432));
    a_port_moves_and_comes_back(&s, 25432, &["clients"]).await;
    let at = s.look(Side::V2).await.networks.into_iter().find(|at| at.network == network).unwrap();
    assert_eq!(at.aliases, ["db", s.plan.v1.container.as_str()]);
}

#[tokio::test]
async fn a_port_on_the_default_bridge_moves_too() {
    let s = scene("bridge", &["-p", "127.0.0.1:25433:5432"]).await;
    a_port_moves_and_comes_back(&s, 25433, &["bridge"]).await;
}

#[tokio::test]
async fn an_ephemeral_port_keeps_its_number() {
    let s = scene("ephemeral", &["-p", "127.0.0.1::5432"]).await;
    let port = s.v1.ports[0].host_port;
    assert!(s.v1.ports[0].ephemeral && port > 0);
    s.way.ensure_pointing_at(Side::V2).await.unwrap();
    assert_eq!(at_port(port).as_deref(), Some(&s.v2.id[..12]));
}

#[tokio::test]
async fn a_join_that_failed_half_way_is_mended_by_a_restart() {
    let network = "swt-mend-clients";
    let s = scene("mend", &["--network", network, "-p", "127.0.0.1:25434:5432", "--stop-signal", "KILL"]).await;
    // As nobody must do it: V2 joins while V1 has the port.
    let at = Attachment { network: network.into(), ..Attachment::default() };
    let failed = s.c.docker.ensure_joined(&s.v2.id, &at).await.unwrap_err();
    assert!(failed.hints[0].contains("holds that port"), "{failed:?}");
    let started = inspect(&s.v2.id, "{{.State.StartedAt}}");
    timed("point, mending", s.way.ensure_pointing_at(Side::V2)).await.unwrap();
    assert_ne!(started, inspect(&s.v2.id, "{{.State.StartedAt}}"));
    assert_eq!(s.way.pointing_at().await.unwrap(), Some(Side::V2));
    assert_eq!(s.networks(Side::V1).await, ["private"]);
}
