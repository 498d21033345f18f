//! A corner of the engine that belongs to one test: V1, and what a run makes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use switchover::config::Limits;
use switchover::engine::postgres::Postgres;
use switchover::engine::{Access, Engine, Place, Secrets, Server, Serving, Side, Survey, SurveyRequest, Verdict};
use switchover::plan::{Plan, SidePlan};
use switchover::runtime::docker::Docker;
use switchover::runtime::{Attachment, Image, LABEL_NAME, Recipe, Runtime};
use switchover::storage;
use switchover::tell::{Event, Printer, Teller};
use switchover::trouble::Trouble;

mod acts;
mod faults;
mod large;
mod logical;
mod places;
mod plan;
mod verify;
mod views;
mod volume;
mod writer;

use plan::empty_plan;

pub(crate) use writer::Writer;

pub(crate) struct Corner {
    name: String,
    /// Names of the containers of both sides.
    v1: String,
    v2: String,
    docker: Rc<Docker>,
    v2_image: String,
    pub(crate) plan: Rc<Plan>,
    pub(crate) survey: Option<Survey>,
    pub(crate) access: Access,
    /// As a user asks for it.
    pub(crate) seed: Option<&'static str>,
    secrets: Rc<Passwords>,
    tell: Teller,
}

/// Passwords of a run, in memory.
#[derive(Default)]
struct Passwords(RefCell<BTreeMap<String, String>>);

impl Secrets for Passwords {
    fn secret(&self, name: &str) -> Result<SecretString, Trouble> {
        let mut known = self.0.borrow_mut();
        Ok(known.entry(name.to_owned()).or_insert_with(|| uuid::Uuid::new_v4().simple().to_string()).clone().into())
    }
    fn forget(&self, name: &str) -> Result<(), Trouble> {
        self.0.borrow_mut().remove(name);
        Ok(())
    }
}

struct Shown;
impl Printer for Shown {
    fn print(&mut self, event: &Event) {
        println!("    {event:?}");
    }
}

pub(crate) fn run(argv: &[&str]) -> String {
    let output = Command::new("docker").args(argv).output().unwrap();
    assert!(output.status.success(), "docker {argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn quietly(argv: &[&str]) -> String {
    let output = Command::new("docker").args(argv).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// By psql over the local socket.
pub(crate) fn sql(container: &str, statement: &str) -> String {
    let argv = ["exec", container, "psql", "-X", "-A", "-t", "-q", "-U", "postgres", "-v", "ON_ERROR_STOP=1"];
    let mut argv = argv.to_vec();
    let statements: Vec<&str> = statement.split(";; ").collect();
    for one in &statements {
        argv.extend(["-c", one]);
    }
    run(&argv)
}

fn image(tag: &str) -> String {
    if tag.contains('/') { tag.into() } else { format!("switchover-test/postgres:{tag}") }
}

/// Of a run: hexadecimal, and another one for every test and process.
fn tag(of: &str) -> String {
    format!("{:08x}", std::process::id() ^ of.bytes().fold(0_u32, |hash, b| hash.wrapping_mul(31) + u32::from(b)))
}

impl Corner {
    pub(crate) async fn new(what: &str, from: &str, to: &str) -> Corner {
        Corner::with(what, from, to, &[], &[]).await
    }

    /// `options`: of `docker run`; `arguments`: the server's.
    pub(crate) async fn with(what: &str, from: &str, to: &str, options: &[&str], arguments: &[&str]) -> Corner {
        let docker = Rc::new(Docker::connect(None, None).await.unwrap());
        let name = format!("swc-{what}-{from}");
        let corner = Corner {
            plan: Rc::new(empty_plan(&name, &tag(&name))),
            v1: format!("{name}-v1"),
            v2: format!("{name}-v2"),
            name,
            docker,
            v2_image: image(to),
            survey: None,
            access: Access::default(),
            seed: None,
            secrets: Rc::default(),
            tell: Teller::new(Box::new(Shown)),
        };
        corner.clear();
        run(&["network", "create", "--label", "switchover.test=1", &corner.clients()]);
        let v1 = corner.v1_name();
        let (clients, image) = (corner.clients(), image(from));
        let label = "switchover.test=1";
        let usual = ["run", "-d", "--name", &v1, "--label", label, "--network", &clients, "--network-alias", "db"];
        let of_image = ["-e", "POSTGRES_PASSWORD=secret", &image];
        run(&[&usual[..], options, &of_image, arguments].concat());
        corner.until_up(&v1);
        corner
    }

    pub(crate) fn v1_name(&self) -> String {
        self.v1.clone()
    }
    pub(crate) fn v2_name(&self) -> String {
        self.v2.clone()
    }
    fn clients(&self) -> String {
        format!("{}-clients", self.name)
    }
    pub(crate) fn set_v2_image(&mut self, tag: &str) {
        self.v2_image = image(tag);
    }

    /// The server that stays, not the temporary one of the initialisation.
    pub(crate) fn until_up(&self, container: &str) {
        let end = Instant::now() + Duration::from_secs(240);
        let ready = "pg_isready -q -U x -h 127.0.0.1 || pg_isready -q -U x -h 127.0.0.1 -p 5433";
        while !Command::new("docker").args(["exec", container, "sh", "-c", ready]).output().unwrap().status.success() {
            assert!(Instant::now() < end, "{container} does not start: {}", quietly(&["logs", container]));
            pause();
        }
    }

    pub(crate) fn inside(&self, container: &str, script: &str) -> String {
        run(&["exec", container, "sh", "-c", script])
    }

    /// Hostile names, every kind of table, a text index.
    pub(crate) fn fill(&self) {
        let v1 = self.v1_name();
        for statement in [
            r#"CREATE DATABASE "it's ""a"" $(data) base ü""#,
            r#"CREATE ROLE "O'Neill ""x""" LOGIN"#,
            "CREATE TABLE numbered (n bigint PRIMARY KEY, t text DEFAULT repeat('x', 200))",
            "CREATE UNLOGGED TABLE gone (n int)",
            "INSERT INTO gone VALUES (1)",
            r#"CREATE TABLE "we""ird; --" (t text PRIMARY KEY, "we""ird; --" int)"#,
            r#"INSERT INTO "we""ird; --" SELECT 'é' || g, g FROM generate_series(1, 1000) g"#,
            "CREATE TABLE big AS SELECT g, repeat(md5(g::text), 20) AS filler FROM generate_series(1, 20000) g",
            "SELECT lo_from_bytea(0, 'large')",
        ] {
            sql(&v1, statement);
        }
    }

    async fn asked(&self) -> Result<Survey, Trouble> {
        let v1 = self.docker.container(&self.v1_name()).await.unwrap().unwrap();
        let v2: Image = self.docker.image(&self.v2_image).await.unwrap().unwrap();
        assert!(Postgres.recognises(&v2));
        let limits = Limits::default();
        let ask = SurveyRequest {
            v1: &v1,
            v2: &v2,
            access: &self.access,
            runtime: &*self.docker,
            tell: &self.tell,
            allow: &["data-loss-unlogged", "no-primary-key", "large-objects"].map(str::to_owned),
            limits: &limits,
            seed: self.seed,
        };
        Postgres.survey(&ask).await
    }

    pub(crate) async fn refusals(&self) -> Vec<String> {
        let survey = self.asked().await.unwrap();
        let refused = survey.checks.into_iter().filter(|check| check.verdict == Verdict::Refused);
        refused
            .inspect(|check| println!("    {}: {} ({:?})", check.id, check.found, check.hint))
            .map(|c| c.id)
            .collect()
    }

    pub(crate) async fn survey_fails(&self) -> Trouble {
        self.asked().await.err().unwrap()
    }

    /// The way back is taken, by the plan that a switchback would have.
    pub(crate) async fn exchange(&mut self) {
        let there = &self.plan;
        let serving = self.docker.container(&self.v2).await.unwrap().unwrap();
        let following = self.docker.container(&there.v1.id).await.unwrap().unwrap();
        let ask = Serving { container: &serving, access: &self.access, runtime: &*self.docker };
        let before = Postgres.exchanged(&there.before, &ask).await.unwrap();
        let back = switchover::switchback::plan(there, &serving, &following, before);
        assert!(!back.made_v2());
        std::mem::swap(&mut self.v1, &mut self.v2);
        self.plan = Rc::new(back);
    }

    pub(crate) fn change_plan(&mut self, change: impl FnOnce(&mut Plan)) {
        let mut plan = (*self.plan).clone();
        change(&mut plan);
        self.plan = Rc::new(plan);
    }

    /// Of the tool's own role, as `docker exec` takes it.
    fn password(&self) -> String {
        use secrecy::ExposeSecret;
        format!("PGPASSWORD={}", self.secrets.secret("postgres-admin").unwrap().expose_secret())
    }

    pub(crate) async fn plan(&mut self) {
        let survey = self.asked().await.unwrap();
        for check in &survey.checks {
            println!("    {:?} {}: {}", check.verdict, check.id, check.found);
        }
        let v1 = self.docker.container(&self.v1_name()).await.unwrap().unwrap();
        let v2 = self.docker.image(&self.v2_image).await.unwrap().unwrap();
        let mut plan = (*self.plan).clone();
        plan.v1 = SidePlan {
            container: v1.name.clone(),
            id: v1.id.clone(),
            final_name: format!("{}-old", self.name),
            image: v1.image.clone(),
            image_id: v1.image_id.clone(),
            digest: None,
            version: survey.v1_version.clone(),
            data: survey.v1_data.clone(),
            port: survey.port,
        };
        plan.v2 = SidePlan {
            container: self.v2.clone(),
            id: String::new(),
            final_name: v1.name.clone(),
            image: self.v2_image.clone(),
            image_id: v2.id,
            digest: None,
            version: survey.v2_version.clone(),
            data: survey.v2_data.clone(),
            port: survey.port,
        };
        let volume = format!("{}-data", self.name);
        let v2 = self.docker.image(&self.v2_image).await.unwrap().unwrap();
        let storage = storage::for_v2(&v1, &survey.v1_data, &v2, &survey.v2_data, &survey.more_data, &volume).unwrap();
        plan.v2_volumes = storage.v2_volumes;
        plan.v1_data_mounts = storage.v1_data_mounts;
        plan.v1_networks = v1.networks.clone();
        plan.method = survey.method.clone();
        plan.seed = survey.seed.clone();
        plan.before = survey.before.clone();
        plan.bytes = survey.bytes;
        self.plan = Rc::new(plan);
        self.survey = Some(survey);
    }

    fn place(&self, side: Side) -> Place {
        Place {
            side,
            plan: Rc::clone(&self.plan),
            runtime: Rc::clone(&self.docker) as Rc<dyn Runtime>,
            secrets: Rc::clone(&self.secrets) as Rc<dyn Secrets>,
            access: self.access.clone(),
            tell: self.tell.clone(),
        }
    }

    pub(crate) fn server(&self, side: Side) -> Box<dyn Server> {
        Postgres.server(self.place(side))
    }

    pub(crate) async fn prepare(&self) {
        let plan = &self.plan;
        self.docker.ensure_network(&plan.private_network, true, &plan.labels("both")).await.unwrap();
        self.docker.ensure_joined(&plan.v1.id, &self.private()).await.unwrap();
        self.server(Side::V1).ensure_followable().await.unwrap();
    }

    fn private(&self) -> Attachment {
        Attachment { network: self.plan.private_network.clone(), ..Attachment::default() }
    }

    pub(crate) async fn create_v2(&self) {
        let plan = &self.plan;
        for (volume, _) in &plan.v2_volumes {
            self.docker.ensure_volume(volume, &plan.labels("V2")).await.unwrap();
        }
        let recipe = Recipe {
            in_place_of: None,
            name: plan.v2.container.clone(),
            like: plan.v1.id.clone(),
            image: plan.v2.image_id.clone(),
            volumes: plan.v2_volumes.clone(),
            leave_out: plan.v1_data_mounts.clone(),
            network: plan.private_network.clone(),
            labels: plan.labels("V2"),
        };
        self.docker.ensure_created(&recipe).await.unwrap();
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.tell.warnings()
    }

    fn clear(&self) {
        let containers = quietly(&["ps", "-a", "--format", "{{.Names}}"]);
        let ours = format!("label={LABEL_NAME}={}", self.plan.name);
        let of_run = quietly(&["ps", "-aq", "--filter", &ours]);
        for name in containers.lines().filter(|name| name.starts_with(&format!("{}-", self.name))).chain(of_run.lines())
        {
            quietly(&["rm", "-f", "-v", name]);
        }
        for kind in ["network", "volume"] {
            let all = quietly(&[kind, "ls", "--format", "{{.Name}}"]);
            for name in all.lines().filter(|name| name.starts_with(&format!("{}-", self.name))) {
                quietly(&[kind, "rm", name]);
            }
        }
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in [self.v1_name(), self.v2_name()] {
                println!("─── {name}\n{}", quietly(&["logs", "--tail", "30", &name]));
                let output = Command::new("docker").args(["logs", "--tail", "30", &name]).output().unwrap();
                println!("{}", String::from_utf8_lossy(&output.stderr));
            }
        }
        self.clear();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits for a server that is not ours")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
