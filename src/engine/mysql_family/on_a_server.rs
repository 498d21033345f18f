//! A real server of the family, for tests that need one: prepared as `prepare-v1` does, with a client's table.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use secrecy::SecretString;

use super::accounts;
use super::connect::{self, Login, Session, Timeouts};
use crate::engine::{Access, Place, Secrets, Side};
use crate::plan::Plan;
use crate::runtime::docker::Docker;
use crate::runtime::{Attachment, Runtime};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

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

/// Gone when dropped.
struct World {
    place: Place,
    network: String,
}

impl Drop for World {
    fn drop(&mut self) {
        let label = format!("label=switchover.run={}", self.place.plan.run);
        for helper in docker(&["ps", "-aq", "--filter", &label]).lines() {
            docker(&["rm", "-f", helper]);
        }
        docker(&["rm", "-fv", &self.place.plan.v1.id]);
        docker(&["network", "rm", &self.network]);
    }
}

pub(in crate::engine) fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().expect("docker runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `run`: what is said to the engine between the common words and the image; `options`: to the server.
async fn world(mut plan: Plan, image: &str, run: &[&str], options: &[&str]) -> World {
    let runtime = Docker::connect(None, None).await.unwrap();
    plan.run = uuid::Uuid::now_v7().to_string();
    plan.private_network = format!("switchover-test-{}", plan.tag());
    let network = plan.private_network.clone();
    runtime.ensure_network(&network, true, &plan.labels("both")).await.unwrap();
    let common = ["run", "-d", "--label", "switchover.test=1", "-e", "MYSQL_ROOT_PASSWORD=secret"];
    plan.v1.id = docker(&[&common[..], run, &[image], options].concat());
    plan.v1.port = 3306;
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
    let session =
        patiently("the server", async || connect::inside(&world.place, Timeouts::short(Duration::from_secs(5))).await)
            .await;
    accounts::ensure(&session, &world.place).await.unwrap();
    session.run("CREATE DATABASE shop").await.unwrap();
    session.run("CREATE TABLE shop.t (n int)").await.unwrap();
    world
}

pub(in crate::engine) async fn patiently<T>(what: &str, mut act: impl AsyncFnMut() -> Result<T, Trouble>) -> T {
    let wait = Wait {
        what,
        limit: Limit { name: "test", value: Duration::from_secs(180) },
        every: Duration::from_millis(50),
        kind: Kind::Failed,
    };
    let look = async || Ok(act().await.map_or_else(|trouble| Look::NotYet(trouble.one_line()), Look::Done));
    wait::until(wait, &Teller::silent(), look).await.unwrap()
}

/// As many applications come: with every right.
pub(in crate::engine) async fn root(place: &Place) -> Result<Session, Trouble> {
    let password: SecretString = "secret".into();
    let login = Login { user: "root", password: Some(&password) };
    Session::open(connect::stream(place).await?, &login, Timeouts::short(Duration::from_secs(30))).await
}

pub(in crate::engine) async fn write(session: &Session) -> Result<(), Trouble> {
    session.run("INSERT INTO shop.t VALUES (1)").await
}

pub(in crate::engine) async fn writable(place: &Place) {
    patiently("V1 to take writes", async || write(&root(place).await?).await).await;
}

#[expect(clippy::needless_pass_by_value, reason = "a closure is written where it is called")]
pub(in crate::engine) fn on_a_server(
    plan: Plan,
    image: &str,
    run: &[&str],
    options: &[&str],
    test: impl AsyncFn(&Place),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = world(plan, image, run, options).await;
        test(&world.place).await;
    });
}
