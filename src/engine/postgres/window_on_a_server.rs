//! The window against a real server: what the crash matrix assumes of it must be true of PostgreSQL.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};

use super::session::{Login, Session, Timeouts};
use super::window::PgWindow;
use super::{access, connect, door, give_back, hold, names, sessions, window};
use crate::engine::{Access, ClientSession, Place, Secrets, Side, Window};
use crate::plan::tests::any_plan;
use crate::runtime::docker::Docker;
use crate::runtime::{Attachment, Runtime};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

const IMAGES: [&str; 2] = ["switchover-test/postgres:15", "switchover-test/postgres:17"];

#[derive(Default)]
struct InMemory(RefCell<BTreeMap<String, SecretString>>);

impl Secrets for InMemory {
    fn secret(&self, name: &str) -> Result<SecretString, Trouble> {
        let mut all = self.0.borrow_mut();
        Ok(all.entry(name.into()).or_insert_with(|| uuid::Uuid::new_v4().to_string().into()).clone())
    }
    fn forget(&self, _: &str) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A server with a client's role, prepared as `prepare-v1` does; gone when dropped.
struct World {
    place: Place,
    network: String,
}

impl Drop for World {
    fn drop(&mut self) {
        for helper in
            docker(&["ps", "-aq", "--filter", &format!("label=switchover.run={}", self.place.plan.run)]).lines()
        {
            docker(&["rm", "-f", helper]);
        }
        docker(&["rm", "-fv", &self.place.plan.v1.id]);
        docker(&["network", "rm", &self.network]);
    }
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

async fn world(image: &str) -> World {
    let runtime = Docker::connect(None, None).await.unwrap();
    let mut plan = any_plan();
    plan.run = uuid::Uuid::now_v7().to_string();
    plan.private_network = format!("switchover-test-{}", plan.tag());
    let network = plan.private_network.clone();
    runtime.ensure_network(&network, true, &plan.labels("both")).await.unwrap();
    plan.v1.id = docker(&[
        "run",
        "-d",
        "--label",
        "switchover.test=1",
        "-e",
        "POSTGRES_PASSWORD=secret",
        image,
        "-c",
        "autovacuum_naptime=1d",
    ]);
    plan.v1.data = "/var/lib/postgresql/data".into();
    plan.before = super::before::tests::any();
    plan.v2.image_id = runtime.image(image).await.unwrap().expect("the image is there").id;
    let on = Attachment { network: network.clone(), ..Attachment::default() };
    runtime.ensure_joined(&plan.v1.id, &on).await.unwrap();
    let place = Place {
        side: Side::V1,
        plan: Rc::new(plan),
        runtime: Rc::new(runtime),
        secrets: Rc::new(InMemory::default()),
        access: Access::default(),
        tell: Teller::silent(),
    };
    let world = World { place, network };
    prepare(&world.place).await;
    world
}

async fn prepare(place: &Place) {
    let session = patiently("the server", async || {
        let stream = place.runtime.dial_inside(&place.plan.v1.id, 5432).await?;
        let login = Login { user: "postgres", password: None, database: "postgres", application: "test" };
        Session::open(stream, &login, Timeouts::short(Duration::from_secs(5))).await
    })
    .await;
    let password = place.secrets.secret(names::ADMIN_SECRET).unwrap();
    session
        .run(&format!(
            "CREATE ROLE {} SUPERUSER LOGIN PASSWORD '{}'; CREATE ROLE {} LOGIN PASSWORD 'x'; \
             CREATE ROLE client LOGIN PASSWORD 'client'; CREATE TABLE public.t (n int); GRANT ALL ON public.t TO client",
            names::ident(&names::admin(&place.plan)),
            password.expose_secret(),
            names::ident(&names::probe(&place.plan)),
        ))
        .await
        .unwrap();
    let rules: String = session.value("SELECT pg_read_file('pg_hba.conf')", &[]).await.unwrap();
    let lines = access::with_our_rules(&rules, &place.plan);
    window::copy_to(&session, "cat > pg_hba.conf", &lines).await.unwrap();
    session.run("SELECT pg_reload_conf()").await.unwrap();
    patiently("the rules", async || match door::knock(place).await? {
        door::Answer::Open => Ok(()),
        door::Answer::Refused => Err(Trouble::failed("refused")),
    })
    .await;
}

async fn patiently<T>(what: &str, mut act: impl AsyncFnMut() -> Result<T, Trouble>) -> T {
    let wait = Wait {
        what,
        limit: Limit { name: "test", value: Duration::from_secs(120) },
        every: Duration::from_millis(20),
        kind: Kind::Failed,
    };
    let look = async || Ok(act().await.map_or_else(|trouble| Look::NotYet(trouble.one_line()), Look::Done));
    wait::until(wait, &Teller::silent(), look).await.unwrap()
}

async fn client(place: &Place) -> Result<Session, Trouble> {
    let password: SecretString = "client".into();
    let login = Login { user: "client", password: Some(&password), database: "postgres", application: "client" };
    Session::open(connect::stream(place).await?, &login, Timeouts::short(Duration::from_millis(500))).await
}

async fn write(session: &Session) -> Result<(), Trouble> {
    session.run("INSERT INTO public.t VALUES (1)").await
}

async fn armed(place: &Place, attempt: u32, cap: Duration) -> PgWindow {
    let signaller = hold::signaller(place, &place.plan.v1.id).await.unwrap().map(Rc::new);
    let window = window::open(place, signaller, attempt).await.unwrap();
    window.arm(cap).await.unwrap();
    window
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is called")]
fn each_image(test: impl AsyncFn(&Place)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for image in IMAGES {
        runtime.block_on(async {
            let world = world(image).await;
            test(&world.place).await;
        });
    }
}

#[test]
fn the_window_shuts_v1_in_the_order_of_the_story() {
    each_image(async |place| {
        let running = client(place).await.unwrap();
        write(&running).await.unwrap();
        let before: String = running_file(place).await;
        let kept = connect::admin(place, "test", Timeouts::short(Duration::from_secs(5))).await.unwrap();
        let seen = sessions::clients(&kept).await.unwrap();
        let far = |address: &str| address.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback());
        let is_client = |one: &ClientSession| (one.user.as_str(), one.application.as_str()) == ("client", "client");
        assert!(seen.iter().any(|one| is_client(one) && far(&one.address)), "{seen:?}");
        drop(kept);
        let window = armed(place, 1, Duration::from_secs(20)).await;

        window.shut_door().await.unwrap();
        assert!(client(place).await.is_err(), "the door is shut");
        write(&running).await.expect("a running session goes on behind the shut door");
        assert_eq!(running_file(place).await, before, "the fence is in memory only");

        assert!(window.hold_listener().await.unwrap(), "PostgreSQL is process 1: it can be held");
        let began = Instant::now();
        let ended = window.end_sessions(Duration::from_millis(500)).await.unwrap();
        assert_eq!((ended.idle, ended.in_transaction), (1, 0));
        let position = window.written().await.unwrap();
        window.take_lock().await.unwrap();
        window.make_fence_durable().await.unwrap();
        window.fence_in_force().await.unwrap();
        window.look(&position).await.unwrap();
        println!("fence to last look: {:?}", began.elapsed());
        assert!(running_file(place).await.contains("durable fence, attempt 1"));
        window.let_listener_go().await.unwrap();
        assert!(write(&running).await.is_err());
        assert!(client(place).await.is_err(), "a freed listener refuses by the durable rules");

        let began = Instant::now();
        drop(window);
        give_back::ensure_given_back(place, None).await.unwrap();
        println!("given back in {:?}", began.elapsed());
        write(&client(place).await.unwrap()).await.unwrap();
        assert_eq!(running_file(place).await, before, "byte for byte");
        give_back::ensure_given_back(place, None).await.expect("again is no harm");
    });
}

async fn running_file(place: &Place) -> String {
    let file = place.runtime.read_file(&place.plan.v1.id, "/var/lib/postgresql/data/pg_hba.conf").await.unwrap();
    String::from_utf8(file.unwrap()).unwrap()
}

#[test]
fn the_switch_gives_v1_back_with_nobody_typing_anything() {
    each_image(async |place| {
        let cap = Duration::from_secs(2);
        let armed_at = Instant::now();
        let window = armed(place, 1, cap).await;
        window.shut_door().await.unwrap();
        assert!(window.hold_listener().await.unwrap());
        window.end_sessions(Duration::ZERO).await.unwrap();
        let position = window.written().await.unwrap();
        // The tool is frozen here, past the cap. V1 lets clients in by itself …
        write(&patiently("V1 to serve", async || client(place).await).await).await.unwrap();
        println!("writable {:?} after arming with a cap of {cap:?}", armed_at.elapsed());
        // … and a tool that wakes up can do nothing any more.
        assert!(window.take_lock().await.is_err(), "the switch has won");
        assert!(window.make_fence_durable().await.is_err());
        assert!(window.look(&position).await.is_err());
        write(&client(place).await.unwrap()).await.unwrap();

        // The next attempt ends what is left of the earlier one, and the window works again.
        drop(window);
        give_back::ensure_given_back(place, None).await.unwrap();
        let window = armed(place, 2, Duration::from_secs(20)).await;
        window.shut_door().await.unwrap();
        assert!(client(place).await.is_err());
        drop(window);
        give_back::ensure_given_back(place, None).await.unwrap();
    });
}

#[test]
fn a_transaction_begun_after_the_last_write_is_seen() {
    each_image(async |place| {
        let window = armed(place, 1, Duration::from_secs(20)).await;
        window.shut_door().await.unwrap();
        window.end_sessions(Duration::ZERO).await.unwrap();
        let position = window.written().await.unwrap();
        window.look(&position).await.expect("nothing has begun");
        let ours = connect::admin(place, "test", Timeouts::short(Duration::from_secs(5))).await.unwrap();
        ours.run("SELECT txid_current()").await.unwrap();
        let error = window.look(&position).await.unwrap_err();
        assert!(error.what.contains("begun a transaction"), "{error}");
        drop(window);
        give_back::ensure_given_back(place, None).await.unwrap();
    });
}

#[test]
fn a_session_in_a_transaction_is_ended_after_its_grace_only() {
    each_image(async |place| {
        let busy = client(place).await.unwrap();
        busy.run("BEGIN; INSERT INTO public.t VALUES (2)").await.unwrap();
        let window = armed(place, 1, Duration::from_secs(20)).await;
        window.shut_door().await.unwrap();
        let began = Instant::now();
        let ended = window.end_sessions(Duration::from_millis(300)).await.unwrap();
        assert_eq!((ended.idle, ended.in_transaction), (0, 1));
        assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
        drop(window);
        give_back::ensure_given_back(place, None).await.unwrap();
    });
}
