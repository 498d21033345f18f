//! Pieces of the story by hand, and what is looked at afterwards.

use std::process::Command;
use std::time::{Duration, Instant};

use switchover::engine::{Address, Probe, Server, Side, Snapshot, Window};
use switchover::runtime::{Attachment, LABEL_RUN, Runtime};
use switchover::trouble::Kind;
use switchover::wait::{self, Limit, Look, Wait};

use super::{Corner, quietly, run, sql};

impl Corner {
    /// Planned, prepared, copied, and V2 follows.
    pub(crate) async fn followed(&mut self) -> (Box<dyn Server>, Box<dyn Server>) {
        self.plan().await;
        self.prepare().await;
        self.create_v2().await;
        let (v1, v2) = (self.server(Side::V1), self.server(Side::V2));
        v2.ensure_seeded().await.unwrap();
        v2.ensure_following().await.unwrap();
        (v1, v2)
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

    /// Statements, by psql's standard input.
    pub(crate) fn script(&self, container: &str, database: &str, statements: &str) {
        use std::io::Write;
        let argv =
            ["exec", "-i", container, "psql", "-X", "-q", "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1"];
        let mut child = Command::new("docker")
            .args(argv)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "a script for {database}");
    }

    /// Of V1, by what they call themselves; none is left.
    pub(crate) fn end_sessions(&self, application: &str) {
        let v1 = self.v1_name();
        let of = format!("FROM pg_stat_activity WHERE application_name = '{application}'");
        let end = Instant::now() + Duration::from_secs(30);
        while sql(&v1, &format!("SELECT count(pg_terminate_backend(pid)) {of}")) != "0" {
            assert!(Instant::now() < end, "sessions called {application} do not end");
            super::pause();
        }
    }

    /// A shell in a container that has the password of the tool's own role.
    pub(crate) fn inside_as_admin(&self, container: &str, script: &str) -> String {
        run(&["exec", "-e", &self.password(), container, "sh", "-c", script])
    }

    /// As the tool's own role, whatever is shut.
    pub(crate) fn as_admin(&self, container: &str, statement: &str) -> String {
        let user = format!("switchover_{}", self.plan.tag());
        let psql = ["psql", "-h", "127.0.0.1", "-U", &user, "-d", "postgres", "-Atqc", statement];
        run(&[&["exec", "-e", &self.password(), container], &psql[..]].concat())
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
