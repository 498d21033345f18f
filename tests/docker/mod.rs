//! A corner of the real engine that belongs to one test. All in it bears `switchover.test=1` and a name of the test's
//! own, and is removed also when the test fails.

#![allow(clippy::unwrap_used, clippy::print_stdout, dead_code, reason = "a part of tests, of which each uses its own")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use switchover::runtime::docker::Docker;
use switchover::runtime::{Attachment, LABEL_RUN, Labels, Recipe};

pub(crate) const IMAGE: &str = "switchover-test/postgres:15";
pub(crate) const OTHER_IMAGE: &str = "switchover-test/postgres:17";

/// A corner of the engine that belongs to one test.
pub(crate) struct Corner {
    pub(crate) docker: Docker,
    pub(crate) run: String,
}

impl Corner {
    pub(crate) async fn new(name: &str) -> Corner {
        let docker = Docker::connect(None, None).await.unwrap();
        let corner = Corner { docker, run: format!("swt-{name}") };
        corner.clear();
        corner
    }

    pub(crate) fn name(&self, what: &str) -> String {
        format!("{}-{what}", self.run)
    }

    pub(crate) fn labels(&self) -> Labels {
        BTreeMap::from([(LABEL_RUN.into(), self.run.clone()), ("switchover.test".into(), "1".into())])
    }

    /// A container that does nothing, made by hand.
    pub(crate) fn idle(&self, what: &str, options: &[&str]) -> String {
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

    pub(crate) fn network(&self, what: &str, options: &[&str]) -> String {
        let name = self.name(what);
        let mut argv = vec!["network", "create", "--label", "switchover.test=1"];
        argv.extend(options);
        argv.push(&name);
        docker(&argv);
        name
    }

    pub(crate) fn recipe(&self, like: &str, network: &str) -> Recipe {
        Recipe {
            in_place_of: None,
            name: self.name("v2"),
            like: like.into(),
            image: OTHER_IMAGE.into(),
            volumes: vec![],
            leave_out: vec![],
            network: network.into(),
            labels: self.labels(),
        }
    }

    pub(crate) fn clear(&self) {
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

pub(crate) fn quietly(argv: &[&str]) -> String {
    let output = Command::new("docker").args(argv).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn docker(argv: &[&str]) -> String {
    let output = Command::new("docker").args(argv).output().unwrap();
    assert!(output.status.success(), "docker {argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn inspect(name: &str, format: &str) -> String {
    docker(&["inspect", name, "-f", format])
}

/// Prints how long an act took, and hands on what it gave.
pub(crate) async fn timed<T>(what: &str, act: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = act.await;
    println!("{what}: {:.1} ms", began.elapsed().as_secs_f64() * 1000.0);
    result
}

pub(crate) fn at(network: &str, aliases: &[&str]) -> Attachment {
    Attachment {
        network: network.into(),
        aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
        ..Attachment::default()
    }
}
