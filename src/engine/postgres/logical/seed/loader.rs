//! The helper that V2's cluster is made and filled in: a server of V2's image on V2's volumes, and the client programs
//! beside it. It takes one order a line and answers each with `done`, or `failed` and why.

use std::time::Duration;

use super::cluster;
use crate::engine::Place;
use crate::engine::orders::Orders;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::connect;
use crate::engine::postgres::names;
use crate::engine::postgres::seed::copy::mounts;
use crate::engine::postgres::session::{Login, Session, Timeouts};
use crate::engine::postgres::wire::Wire;
use crate::runtime::{File, HelperSpec, Stream};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Its arguments: [`cluster::arguments`], then [`cluster::words`].
const LOADER: &str = concat!(
    "data=$1 owner=$2 log=$3 super=$4 host=$5 port=$6 role=$7 jobs=$8; shift 8\n",
    include_str!("../../seed/helper.sh"),
    include_str!("loader.sh")
);

pub(in super::super) struct Loader {
    place: Place,
    orders: Orders,
}

/// The helper's name.
fn name(place: &Place) -> String {
    format!("switchover-{}-seed", place.plan.tag())
}

/// One that an earlier process began goes, with all it was about to do.
pub(super) async fn ensure_none(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&name(place), &place.plan.run).await
}

impl Loader {
    /// A new and empty cluster, like the leader's, and its server.
    pub(super) async fn start(place: &Place) -> Result<Loader, Trouble> {
        let orders = Orders::start(place, &spec(place).await?, "V2's new cluster").await?;
        Loader::serving(place, orders).await
    }

    /// Of a helper whose server was told to start. It takes the order to stop.
    pub(super) async fn serving(place: &Place, orders: Orders) -> Result<Loader, Trouble> {
        let loader = Loader { place: place.clone(), orders };
        let wait = Wait {
            what: "the server that V2's data is made by",
            limit: Limit { name: "limits.statement", value: Duration::from_secs(60) },
            every: Duration::from_millis(50),
            kind: Kind::Failed,
        };
        wait::until(wait, &place.tell, async || match loader.session("template1").await {
            Ok(_) => Ok(Look::Done(())),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        })
        .await?;
        Ok(loader)
    }

    /// Roles with their passwords and memberships, and tablespaces.
    pub(super) async fn globals(&mut self) -> Result<(), Trouble> {
        const WHAT: &str = "V1's roles and tablespaces";
        self.orders.order("globals", WHAT).await?;
        loop {
            let line = self.orders.heard(WHAT).await?;
            match line.strip_prefix("note ") {
                Some(note) => self.place.tell.warning(format!("a role's setting is not known to V2: {note}")),
                None => return Ok(()),
            }
        }
    }

    /// A database that others are made from, with all that is in it.
    pub(super) async fn template(&mut self, number: usize) -> Result<(), Trouble> {
        self.orders.order(&format!("template {number}"), "V1's templates").await
    }

    /// The database, and everything in it that rows need.
    pub(super) async fn schema(&mut self, database: usize, snapshot: &str) -> Result<(), Trouble> {
        self.orders.order(&format!("schema {database} {snapshot}"), "V1's schema").await
    }

    pub(super) async fn large_objects(&mut self, database: usize, snapshot: &str) -> Result<(), Trouble> {
        self.orders.order(&format!("large {database} {snapshot}"), "V1's large objects").await
    }

    /// Indexes, constraints, triggers, materialised views.
    pub(super) async fn indexes(&mut self, database: usize) -> Result<(), Trouble> {
        self.orders.order(&format!("indexes {database}"), "indexes and constraints").await
    }

    /// What V1's planner knows of its tables, where V2's programs can carry that (from 18 on).
    pub(super) async fn statistics(&mut self, database: usize) -> Result<(), Trouble> {
        self.orders.order(&format!("statistics {database}"), "V1's statistics").await
    }

    /// The server has stopped and everything is on disk.
    pub(super) async fn stop(mut self) -> Result<(), Trouble> {
        self.orders.order("stop", "the end of the copy").await?;
        self.orders.end().await
    }

    pub(in super::super) async fn session(&self, database: &str) -> Result<Session, Trouble> {
        let password = self.place.secrets.secret(names::ADMIN_SECRET)?;
        let user = names::admin(&self.place.plan);
        let login = Login { user: &user, password: Some(&password), database, application: "switchover seed" };
        Session::open(self.stream().await?, &login, Timeouts::NONE).await
    }

    pub(super) async fn wire(&self, database: &str) -> Result<Wire, Trouble> {
        connect::wire(&self.place, self.stream().await?, database, "switchover seed", false).await
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, Trouble> {
        let port = connect::port(&self.place);
        self.place.runtime.dial(&name(&self.place), &self.place.plan.private_network, port).await
    }
}

async fn spec(place: &Place) -> Result<HelperSpec, Trouble> {
    let logical = Before::logical(&place.plan)?;
    let mut argv: Vec<String> = ["sh", "-c", LOADER, "sh"].map(str::to_owned).to_vec();
    argv.extend(cluster::arguments(place).await?);
    argv.extend(cluster::words(place, &cluster::initdb(&logical, None)).await?);
    let mut files = cluster::files(place)?;
    files.push(cluster::roles(place)?);
    Ok(helper(place, argv, files))
}

/// Of V2's image, on V2's volumes.
pub(super) fn helper(place: &Place, entrypoint: Vec<String>, files: Vec<File>) -> HelperSpec {
    HelperSpec {
        name: name(place),
        image: place.plan.v2.image_id.clone(),
        entrypoint,
        user: Some("0:0".into()),
        network: Some(place.plan.private_network.clone()),
        mounts: mounts(place),
        files,
        labels: place.plan.labels("V2"),
        ..HelperSpec::default()
    }
}
