//! V1's files, taken by a helper of V1's own image: it sees V1's data where V1 has it, without being able to write to it, and
//! V2's volumes beside it.

use std::time::{Duration, Instant};

use secrecy::ExposeSecret;

use super::{accounts, connect, container, names};
use crate::engine::orders::Orders;
use crate::engine::{Place, Side};
use crate::runtime::{File, HelperSpec};
use crate::tell::{Teller, Unit};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Where V2's volumes are in the helper.
const FOLLOWER: &str = "/follower";

/// `$1` V1's data directory, `$2` where the copy goes, `$3` its owner, `$4` the name of V1's binary log; the rest is what a server
/// is started with.
const COPIER: &str = concat!("data=$1 copy=$2 owner=$3 log=$4; shift 4\n", include_str!("copier.sh"));

/// What is asked of one.
pub(in crate::engine) struct Ask {
    pub(in crate::engine) owner: (u64, u64),
    /// The engine's own options for V1's server on the copy.
    pub(in crate::engine) options: Vec<String>,
    /// V1's binary log, by the name of its files.
    pub(in crate::engine) log: String,
    pub(in crate::engine) files: Vec<File>,
}

/// One order that takes its time.
pub(in crate::engine) struct Act<'a> {
    pub(in crate::engine) order: &'a str,
    /// For people.
    pub(in crate::engine) what: &'a str,
    pub(in crate::engine) limit: Limit<'a>,
    /// Between two looks at it.
    pub(in crate::engine) every: Duration,
    /// Bytes that will have been copied; `None`: nothing is copied.
    pub(in crate::engine) total: Option<u64>,
}

pub(in crate::engine) struct Copier {
    place: Place,
    orders: Orders,
}

/// How long a step of the copy may take.
pub(in crate::engine) fn patience(place: &Place) -> Limit<'static> {
    Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 }
}

impl Copier {
    pub(in crate::engine) async fn start(place: &Place, ask: Ask) -> Result<Copier, Trouble> {
        let plan = &place.plan;
        if place.side != Side::V2 || !plan.made_v2() {
            return Err(Trouble::bug("only the volumes that this run made are filled"));
        }
        let leader = Place { side: place.side.other(), ..place.clone() };
        let v1 = connect::found(&leader).await?;
        let mut mounts: Vec<(String, String, bool)> =
            plan.v2_volumes.iter().map(|(volume, at)| (volume.clone(), format!("{FOLLOWER}{at}"), false)).collect();
        connect::refuse_shared(&v1, &mounts)?;
        let data = connect::data(&leader);
        let theirs = v1.mount_of(data).ok_or_else(|| Trouble::refused("V1's data is in no volume any more"))?;
        mounts.push((theirs.source.clone(), theirs.destination.clone(), true));
        mounts.extend(container::configuration(&v1));
        let copy = format!("{FOLLOWER}{}", plan.v2.data);
        let owner = format!("{}:{}", ask.owner.0, ask.owner.1);
        let mut argv = ["sh", "-c", COPIER, "sh", data, &copy, &owner, &ask.log].map(str::to_owned).to_vec();
        argv.extend(container::arguments(&v1));
        argv.extend(ask.options);
        argv.extend(at_rest(&copy, ask.owner));
        let spec = HelperSpec {
            name: format!("switchover-{}-seed-v1", plan.tag()),
            image: plan.v1.image_id.clone(),
            entrypoint: argv,
            user: Some("0:0".into()),
            network: Some(plan.private_network.clone()),
            mounts,
            files: ask.files,
            labels: plan.labels("V2"),
            ..HelperSpec::default()
        };
        let orders = Orders::start(place, &spec, "a helper of V1's image").await?;
        Ok(Copier { place: place.clone(), orders })
    }

    /// `meanwhile` is done between two looks at it; its trouble ends the wait, not the act. A missed limit is `NotReady`.
    pub(in crate::engine) async fn act(
        &mut self,
        act: Act<'_>,
        meanwhile: impl AsyncFn() -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.orders.order(act.order, act.what).await?;
        let (began, place, orders) = (Instant::now(), self.place.clone(), &mut self.orders);
        let wait = Wait { what: act.what, limit: act.limit, every: act.every, kind: Kind::NotReady };
        let asked = if act.total.is_some() { "copied" } else { "ended" };
        wait::until(wait, &Teller::silent(), async || {
            let answer = orders.answer(asked, act.what).await?;
            let Some(kib) = answer.strip_prefix("at ") else { return Ok(Look::Done(())) };
            meanwhile().await?;
            if let (Some(total), Ok(kib)) = (act.total, kib.trim().parse::<u64>()) {
                let (bytes, ms) = (kib << 10, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1));
                let rate = bytes.saturating_mul(1000) / ms;
                place.tell.progress("copied", bytes, Some(total.max(bytes)), Some(rate), Unit::Bytes);
            }
            Ok(Look::NotYet("it is not complete".to_owned()))
        })
        .await
    }

    /// One that takes its time while nothing else is to be done.
    pub(in crate::engine) async fn alone(
        &mut self,
        order: &str,
        what: &str,
        total: Option<u64>,
    ) -> Result<(), Trouble> {
        let limit = patience(&self.place);
        let act = Act { order, what, limit, every: Duration::from_millis(250), total };
        self.act(act, async || Ok(())).await
    }

    /// V1's server has mended the copy, and has ended.
    pub(in crate::engine) async fn recover(&mut self) -> Result<(), Trouble> {
        const WHAT: &str = "V1's server to recover the copy";
        self.orders.order("serve", WHAT).await?;
        let orders = &mut self.orders;
        let wait =
            Wait { what: WHAT, limit: patience(&self.place), every: Duration::from_millis(100), kind: Kind::Failed };
        wait::until(wait, &self.place.tell, async || {
            Ok(match orders.answer("serves", WHAT).await?.as_str() {
                "done" => Look::Done(()),
                other => Look::NotYet(other.to_owned()),
            })
        })
        .await?;
        self.orders.order("stop", "V1's server to end on the copy").await
    }

    /// What it says where one answer is a text.
    pub(in crate::engine) async fn asked(&mut self, order: &str, what: &str) -> Result<String, Trouble> {
        let answer = self.orders.answer(order, what).await?;
        let said = answer.strip_prefix("at ").map(|said| said.trim().to_owned());
        said.ok_or_else(|| Trouble::failed(format!("{what}: it is not said")))
    }

    pub(in crate::engine) async fn end(self) -> Result<(), Trouble> {
        self.orders.end().await
    }
}

/// The copy's server: nobody reaches it, nothing of it runs by itself, and it leaves the list of pages to be warmed alone.
fn at_rest(copy: &str, (uid, _): (u64, u64)) -> Vec<String> {
    let mut options = vec![format!("--datadir={copy}"), format!("--user={uid}")];
    options.extend(
        [
            "--skip-networking",
            "--socket=/tmp/server/sock",
            "--pid-file=/tmp/server/pid",
            "--log-error=/tmp/server/log.err",
            "--lc-messages=en_US",
            "--skip-log-bin",
            "--event-scheduler=OFF",
            "--innodb-fast-shutdown=1",
            "--innodb-buffer-pool-load-at-startup=OFF",
            "--innodb-buffer-pool-dump-at-shutdown=OFF",
        ]
        .map(str::to_owned),
    );
    options
}

/// How a program of V1's, in the helper, gets into V1's server.
pub(in crate::engine) async fn login(place: &Place, groups: &[&str]) -> Result<File, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let host: String = connect::found(&leader).await?.id.chars().take(12).collect();
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let (user, port) = (names::admin(&place.plan), connect::port(&leader));
    // From 11.4 on it verifies certificates, of which a server in a container has made up its own, or none.
    let one = |group: &&str| {
        let password = password.expose_secret();
        format!(
            "[{group}]\nuser={user}\npassword={password}\nhost={host}\nport={port}\nloose-ssl-verify-server-cert=0\n"
        )
    };
    let content = groups.iter().map(one).collect::<String>().into_bytes();
    Ok(File { path: super::client_file::PATH.into(), content, mode: 0o600, uid: 0, gid: 0 })
}
