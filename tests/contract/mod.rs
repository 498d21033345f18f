//! A corner of the engine that belongs to one test: V1, and what a run makes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use switchover::config::Limits;
use switchover::config::OnFailure;
use switchover::engine::postgres::Postgres;
use switchover::engine::{
    Access, Address, Engine, Place, Probe, Secrets, Server, Side, Snapshot, Survey, SurveyRequest, Verdict, Window,
};
use switchover::plan::{Plan, SidePlan};
use switchover::runtime::docker::Docker;
use switchover::runtime::{Attachment, Image, LABEL_RUN, Recipe, Runtime};
use switchover::storage;
use switchover::tell::{Event, Printer, Teller};
use switchover::trouble::{Kind, Trouble};
use switchover::wait::{self, Limit, Look, Wait};

pub(crate) struct Corner {
    name: String,
    docker: Rc<Docker>,
    v2_image: String,
    pub(crate) plan: Rc<Plan>,
    pub(crate) survey: Option<Survey>,
    pub(crate) access: Access,
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
    format!("switchover-test/postgres:{tag}")
}

impl Corner {
    pub(crate) async fn new(what: &str, from: &str, to: &str) -> Corner {
        let docker = Rc::new(Docker::connect(None, None).await.unwrap());
        let tag = format!("{:08x}", std::process::id() ^ what.bytes().fold(0, |hash, b| hash * 31 + u32::from(b)));
        let name = format!("swc-{what}-{from}");
        let corner = Corner {
            plan: Rc::new(empty_plan(&name, &tag)),
            name,
            docker,
            v2_image: image(to),
            survey: None,
            access: Access::default(),
            secrets: Rc::default(),
            tell: Teller::new(Box::new(Shown)),
        };
        corner.clear();
        run(&["network", "create", "--label", "switchover.test=1", &corner.clients()]);
        let v1 = corner.v1_name();
        run(&[
            "run",
            "-d",
            "--name",
            &v1,
            "--label",
            "switchover.test=1",
            "--network",
            &corner.clients(),
            "--network-alias",
            "db",
            "-e",
            "POSTGRES_PASSWORD=secret",
            &image(from),
        ]);
        corner.until_up(&v1);
        corner
    }

    pub(crate) fn v1_name(&self) -> String {
        format!("{}-v1", self.name)
    }
    pub(crate) fn v2_name(&self) -> String {
        format!("{}-v2", self.name)
    }
    fn clients(&self) -> String {
        format!("{}-clients", self.name)
    }
    pub(crate) fn set_v2_image(&mut self, tag: &str) {
        self.v2_image = image(tag);
    }

    /// The server that stays, not the temporary one of the initialisation.
    fn until_up(&self, container: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while quietly(&["exec", container, "psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", "SELECT 1"]) != "1" {
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
            allow: &[],
            limits: &limits,
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
            version: survey.v1_version.clone(),
            data: survey.v1_data.clone(),
            port: survey.port,
        };
        plan.v2 = SidePlan {
            container: self.v2_name(),
            id: String::new(),
            final_name: v1.name.clone(),
            image: self.v2_image.clone(),
            image_id: v2.id,
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

    pub(crate) async fn caught_up(&self, v1: &dyn Server, v2: &dyn Server) {
        let at = v1.position().await.unwrap();
        let wait = Wait {
            what: "V2 to catch up",
            limit: Limit { name: "30 s", value: Duration::from_secs(30) },
            every: Duration::from_millis(50),
            kind: Kind::Failed,
        };
        wait::until(wait, &self.tell, async || {
            Ok(match v2.behind(&at).await? {
                Some(lag) if lag.bytes == 0 => Look::Done(()),
                lag => Look::NotYet(format!("{lag:?}")),
            })
        })
        .await
        .unwrap();
        assert!(v2.has_applied(&at).await.unwrap());
    }

    pub(crate) async fn probe(&self, v2: &dyn Server) -> Box<dyn Probe> {
        let at = Address { network: Some(self.clients()), host: "db".into(), port: 5432 };
        v2.probe(&at).await.unwrap()
    }

    /// `hold` to `disarm`, as the story has them.
    pub(crate) async fn cut_over(&self, v1: &dyn Server, v2: &dyn Server) -> Cut {
        let cap = Duration::from_secs(10);
        let window = v1.open_window(1).await.unwrap();
        window.arm(cap).await.unwrap();
        window.shut_door().await.unwrap();
        let held = window.hold_listener().await.unwrap();
        let mut steps = vec![format!("held {held}")];
        let began = Instant::now();
        let mut last = began;
        let mut step = |what: &str| {
            steps.push(format!("{what} {:.1} ms", last.elapsed().as_secs_f64() * 1000.0));
            last = Instant::now();
        };
        window.end_sessions(Duration::from_millis(500)).await.unwrap();
        step("fence");
        let at = window.written().await.unwrap();
        step("written");
        let wait = Wait {
            what: "the drain",
            limit: Limit { name: "5 s", value: Duration::from_secs(5) },
            every: Duration::from_millis(1),
            kind: Kind::Failed,
        };
        wait::until(wait, &self.tell, async || {
            Ok(if v2.has_applied(&at).await? { Look::Done(()) } else { Look::NotYet("not yet".into()) })
        })
        .await
        .unwrap();
        step("drain");
        v2.ensure_promoted().await.unwrap();
        step("promote");
        v2.ensure_snapshot_kept().await.unwrap();
        step("snapshot");
        window.take_lock().await.unwrap();
        window.make_fence_durable().await.unwrap();
        window.fence_in_force().await.unwrap();
        window.look(&at).await.unwrap();
        step("disarm");
        window.let_listener_go().await.unwrap();
        Cut { steps, window }
    }

    pub(crate) async fn move_clients(&self) {
        let plan = &self.plan;
        self.docker.ensure_left(&plan.v1.id, &self.clients()).await.unwrap();
        let at = Attachment { network: self.clients(), aliases: vec!["db".into()], ..Attachment::default() };
        self.docker.ensure_joined(&plan.v2.container, &at).await.unwrap();
    }

    pub(crate) async fn compare(&self, v1: &dyn Server, v2: &dyn Server) {
        let (one, two) = (v1.snapshot().await.unwrap().unwrap(), v2.snapshot().await.unwrap().unwrap());
        let names = async |view: &dyn Snapshot| -> Vec<String> {
            view.tables().await.unwrap().into_iter().map(|table| table.name).collect()
        };
        let tables = names(&*one).await;
        assert_eq!(tables, names(&*two).await);
        assert!(tables.len() >= 4, "{tables:?}");
        for (table, percent) in tables.iter().flat_map(|table| [(table, 100.0), (table, 30.0)]) {
            let (a, b) =
                (one.fingerprint(table, percent).await.unwrap(), two.fingerprint(table, percent).await.unwrap());
            println!("    {table} {percent}%: {a:?}");
            assert_eq!(a, b, "{table}");
        }
        one.end().await.unwrap();
        two.end().await.unwrap();
    }

    /// An ordinary client of this side is refused.
    pub(crate) fn refused_by(&self, side: Side) -> bool {
        let container = if side == Side::V1 { self.v1_name() } else { self.v2_name() };
        let script =
            "PGPASSWORD=secret psql -h 127.0.0.1 -U postgres -c 'SELECT 1' 2>&1 || psql -U postgres -c 'SELECT 1' 2>&1";
        let output = Command::new("docker").args(["exec", &container, "sh", "-c", script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        !output.status.success() && said.matches("rejects connection").count() == 2
    }

    /// What was acknowledged by V1 and is not on V2.
    pub(crate) fn lost(&self, acknowledged: &[u64]) -> Vec<u64> {
        let there = sql(&self.v2_name(), "SELECT n FROM numbered");
        let there: std::collections::BTreeSet<u64> = there.lines().map(|n| n.parse().unwrap()).collect();
        println!("    {} rows acknowledged, {} there", acknowledged.len(), there.len());
        assert!(!acknowledged.is_empty());
        acknowledged.iter().filter(|n| !there.contains(n)).copied().collect()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.tell.warnings()
    }

    /// Everything of V1 that a run may touch.
    pub(crate) fn picture(&self) -> String {
        let v1 = self.v1_name();
        let files =
            "cd $PGDATA; for f in pg_hba.conf postgresql.auto.conf; do stat -c '%n %a %u:%g %s' $f; cat $f; done; ls";
        [
            self.inside(&v1, files),
            sql(&v1, "SELECT rolname, rolsuper, rolpassword FROM pg_authid ORDER BY 1;; SELECT slot_name FROM pg_replication_slots;; SELECT datname, datacl FROM pg_database ORDER BY 1;; SELECT name, setting FROM pg_settings ORDER BY 1;; SELECT count(*) FROM pg_shdescription"),
        ]
        .join("\n")
    }

    /// On V2, when all is over.
    pub(crate) fn assert_nothing_left(&self) {
        let v2 = self.v2_name();
        assert_eq!(sql(&v2, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'switchover%'"), "0");
        assert_eq!(sql(&v2, "SELECT count(*) FROM pg_replication_slots"), "0");
        assert_eq!(
            self.inside(
                &v2,
                "cd $PGDATA; grep -l switchover pg_hba.conf postgresql.auto.conf; ls | grep -i switchover; true"
            ),
            ""
        );
        let helpers = quietly(&[
            "ps",
            "-aq",
            "--filter",
            &format!("label={LABEL_RUN}={}", self.plan.run),
            "--filter",
            "label=switchover.helper",
        ]);
        for left in helpers.lines() {
            let name = run(&["inspect", left, "-f", "{{.Name}}"]);
            assert!(name.ends_with("signaller"), "{name} is left");
        }
    }

    fn clear(&self) {
        let containers = quietly(&["ps", "-a", "--format", "{{.Names}}"]);
        let ours = format!("label={LABEL_RUN}={}", self.plan.run);
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

pub(crate) struct Cut {
    steps: Vec<String>,
    pub(crate) window: Box<dyn Window>,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.steps.join(", "))
    }
}

/// Inserts numbered rows, one a transaction, over V1's local socket, until V1 says no.
pub(crate) struct Writer {
    child: Child,
    acknowledged: Arc<Mutex<Vec<u64>>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(container: &str) -> Writer {
        let script = "i=0; while :; do i=$((i+1)); echo \"INSERT INTO numbered VALUES ($i) RETURNING n;\"; done | \
                      psql -X -A -t -q -U postgres -v ON_ERROR_STOP=1";
        let mut child = Command::new("docker")
            .args(["exec", container, "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (out, list) = (child.stdout.take().unwrap(), Arc::clone(&acknowledged));
        let reader = std::thread::spawn(move || {
            use std::io::BufRead;
            for line in std::io::BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(n) = line.parse() {
                    list.lock().unwrap().push(n);
                }
            }
        });
        Writer { child, acknowledged, reader: Some(reader) }
    }

    pub(crate) fn stop(mut self) -> Vec<u64> {
        self.end();
        std::mem::take(&mut self.acknowledged.lock().unwrap())
    }

    fn end(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test waits for a server that is not ours")]
fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}

fn empty_plan(name: &str, tag: &str) -> Plan {
    let side = |container: &str| SidePlan {
        container: container.into(),
        id: String::new(),
        final_name: String::new(),
        image: String::new(),
        image_id: String::new(),
        version: String::new(),
        data: String::new(),
        port: 5432,
    };
    Plan {
        run: format!("01930b2e-7a51-7cc0-9f00-0000{tag}"),
        name: name.into(),
        engine: "postgresql".into(),
        method: "physical".into(),
        seed: "copy".into(),
        v1: side("v1"),
        v2: side("v2"),
        v2_volumes: Vec::new(),
        v1_data_mounts: Vec::new(),
        private_network: format!("{name}-private"),
        ways: Vec::new(),
        limits: Limits::default(),
        allow: Vec::new(),
        hold: None,
        window: None,
        on_failure: OnFailure::Keep,
        verify: true,
        v1_networks: Vec::new(),
        v1_restart_policy: "no".into(),
        before: serde_json::Value::Null,
        bytes: 0,
    }
}
