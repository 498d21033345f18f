//! The Docker layer against the real engine: every act twice, every fact looked up with the engine's own command line.
//!
//! Needs an engine and one of the images of `scenarios/images`. All it makes bears `switchover.test=1` and a name of
//! the test's own, and is removed also when the test fails.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use switchover::runtime::docker::Docker;
use switchover::runtime::{Attachment, Call, File, HelperSpec, LABEL_RUN, Labels, Recipe, Runtime, State};
use switchover::trouble::{Kind, Trouble};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const IMAGE: &str = "switchover-test/postgres:15";
const OTHER_IMAGE: &str = "switchover-test/postgres:17";

/// A corner of the engine that belongs to one test.
struct Corner {
    docker: Docker,
    run: String,
}

impl Corner {
    async fn new(name: &str) -> Corner {
        let docker = Docker::connect(None, None).await.unwrap();
        let corner = Corner { docker, run: format!("swt-{name}") };
        corner.clear();
        corner
    }

    fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.run)
    }

    fn labels(&self) -> Labels {
        BTreeMap::from([(LABEL_RUN.into(), self.run.clone()), ("switchover.test".into(), "1".into())])
    }

    /// A container that does nothing, made by hand.
    fn idle(&self, what: &str, options: &[&str]) -> String {
        let name = self.name(what);
        let mut argv = vec!["run", "-d", "--name", &name, "--label", "switchover.test=1"];
        let (before, after) = options.split_at(options.iter().position(|o| *o == "--").unwrap_or(options.len()));
        argv.extend(before);
        if !before.contains(&"--entrypoint") {
            argv.extend(["--entrypoint", "sleep"]);
        }
        argv.extend([IMAGE]);
        argv.extend(if after.is_empty() { &["3600"][..] } else { &after[1..] });
        docker(&argv)
    }

    fn network(&self, what: &str, options: &[&str]) -> String {
        let name = self.name(what);
        let mut argv = vec!["network", "create", "--label", "switchover.test=1"];
        argv.extend(options);
        argv.push(&name);
        docker(&argv);
        name
    }

    fn recipe(&self, like: &str, network: &str) -> Recipe {
        Recipe {
            name: self.name("v2"),
            like: like.into(),
            image: OTHER_IMAGE.into(),
            volumes: vec![],
            leave_out: vec![],
            network: network.into(),
            labels: self.labels(),
        }
    }

    fn clear(&self) {
        let of_us = |list: &str| -> Vec<String> {
            let text = quietly(&[&[list], &["ls", "--format", "{{.Name}}"][..]].concat());
            text.lines().filter(|line| line.starts_with(&self.run)).map(str::to_owned).collect()
        };
        let containers = quietly(&["ps", "-a", "--format", "{{.Names}}"]);
        for name in containers.lines().filter(|line| line.starts_with(&self.run)) {
            quietly(&["rm", "-f", "-v", name]);
        }
        of_us("network").iter().for_each(|name| drop(quietly(&["network", "rm", name])));
        of_us("volume").iter().for_each(|name| drop(quietly(&["volume", "rm", "-f", name])));
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        self.clear();
    }
}

fn quietly(argv: &[&str]) -> String {
    let output = Command::new("docker").args(argv).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn docker(argv: &[&str]) -> String {
    let output = Command::new("docker").args(argv).output().unwrap();
    assert!(output.status.success(), "docker {argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn inspect(name: &str, format: &str) -> String {
    docker(&["inspect", name, "-f", format])
}

/// Prints how long an act took, and hands on what it gave.
async fn timed<T>(what: &str, act: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = act.await;
    println!("{what}: {:.1} ms", began.elapsed().as_secs_f64() * 1000.0);
    result
}

fn at(network: &str, aliases: &[&str]) -> Attachment {
    Attachment {
        network: network.into(),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        ..Attachment::default()
    }
}

#[tokio::test]
async fn containers_start_stop_move_and_go_however_often_they_are_told() {
    let c = Corner::new("life").await;
    let clients = c.network("clients", &[]);
    let private = c.name("private");
    let v1 = c.idle("v1", &["--network", &clients, "--network-alias", "db", "--restart", "always"]);
    let d = &c.docker;
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
