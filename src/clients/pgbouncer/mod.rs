//! Clients come through PgBouncer, which can let all of them wait between two transactions: nobody notices but by the time
//! it takes. It is told by its console; where a database is it knows from its file alone, so that is rewritten, once V2
//! serves, and read anew.
//!
//! PgBouncer keeps names for a while (`dns_max_ttl`), and would find V1 by them. So V2's address stands in the file until
//! it has forgotten them, and then what its owner wrote there: a name that V2 bears by now.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join;

use self::console::{Console, Row};
use super::{ClientsWay, Sides};
use crate::engine::{Address, Side};
use crate::plan::{self, BouncerDatabase, BouncerFile, Route};
use crate::runtime::{Container, File};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

mod console;
mod find;
mod ini;

pub(super) use find::find;

/// How long names may be kept that the run waits for; beyond it V2's address stays in the file.
const NAMES: Limit<'static> = Limit { name: "dns_max_ttl", value: Duration::from_secs(60) };

/// Looks in a row that find nobody logging in: clients have all the server connections that they need.
const CALM: u32 = 3;

/// A pause that is not waited for has been heard by then.
const HEARD: Limit<'static> = Limit { name: "20 ms", value: Duration::from_millis(20) };

pub(super) struct Pgbouncer {
    plan: plan::Pgbouncer,
    at: Sides,
    console: Console,
    /// A pause does not return before transactions have finished: it has a connection of its own.
    pausing: Console,
    /// Where V2 stands, looked up before clients wait.
    v2_at: RefCell<Option<String>>,
    /// The file, read before clients wait, for the first time that it is written.
    read: RefCell<Option<File>>,
}

impl Pgbouncer {
    pub(super) fn new(plan: plan::Pgbouncer, at: Sides) -> Pgbouncer {
        let console = || Console::new(plan.console.clone(), Rc::clone(&at.runtime));
        let (console, pausing) = (console(), console());
        Pgbouncer { plan, at, console, pausing, v2_at: RefCell::default(), read: RefCell::default() }
    }

    async fn found(&self, side: Side) -> Result<Option<Container>, Trouble> {
        self.at.runtime.container(self.at.container(side)).await
    }

    /// What PgBouncer reaches a side by. `None`: nowhere now.
    async fn stands(&self, side: Side) -> Result<Option<String>, Trouble> {
        let Some(found) = self.found(side).await? else { return Ok(None) };
        Ok(match &self.plan.route {
            Route::Port { host, port } => {
                found.ports.iter().any(|there| there.bound && there.host_port == *port).then(|| host.clone())
            }
            Route::Network(network) => {
                found.networks.into_iter().find(|on| on.network == *network).and_then(|on| on.address)
            }
        })
    }

    /// Our databases as PgBouncer has them now.
    async fn databases(&self) -> Result<Vec<(&BouncerDatabase, Row)>, Trouble> {
        let mut rows = self.console.ask("SHOW DATABASES").await?;
        let mut found = Vec::new();
        for database in &self.plan.databases {
            let at = rows.iter().position(|row| row.get("name") == Some(&database.name));
            let at =
                at.ok_or_else(|| Trouble::failed(format!("PgBouncer has no database {} any more", database.name)))?;
            found.push((database, rows.swap_remove(at)));
        }
        Ok(found)
    }

    /// Whether this host, as PgBouncer has it, is `side` by its address or by a name that is its own alone.
    fn is_at(&self, host: &str, side: &Container) -> bool {
        match &self.plan.route {
            Route::Port { port, .. } => side.ports.iter().any(|there| there.bound && there.host_port == *port),
            Route::Network(network) => side.networks.iter().filter(|on| on.network == *network).any(|on| {
                on.address.as_deref() == Some(host) || side.name == host || on.aliases.iter().any(|alias| alias == host)
            }),
        }
    }

    async fn file(&self) -> Result<File, Trouble> {
        match &self.plan.file {
            BouncerFile::Here(path) => find::read_here(path),
            BouncerFile::Container { container, path } => {
                let file = self.at.runtime.file(container, path).await?;
                file.ok_or_else(|| Trouble::failed(format!("PgBouncer's file {path} is not in container {container}")))
            }
        }
    }

    /// In its place: whoever has it mounted sees it, and it stays whose it was.
    async fn write(&self, file: &File) -> Result<(), Trouble> {
        match &self.plan.file {
            BouncerFile::Here(path) => find::write_here(path, &file.content),
            BouncerFile::Container { container, .. } => self.at.runtime.put_file(container, file).await,
        }
    }

    /// PgBouncer has these hosts, one a database, in its file and in mind.
    async fn ensure_hosts(&self, host: impl Fn(&BouncerDatabase) -> String) -> Result<(), Trouble> {
        let read = self.read.take();
        let mut file = match read {
            Some(file) => file,
            None => self.file().await?,
        };
        let was = String::from_utf8(std::mem::take(&mut file.content))
            .map_err(|_| Trouble::failed(format!("PgBouncer's file {} is not text", file.path)))?;
        let mut text = was.clone();
        for database in &self.plan.databases {
            text = ini::with_host(&text, &database.entry, &host(database)).ok_or_else(|| {
                Trouble::failed(format!("PgBouncer's file {} has no host for {}", file.path, database.entry))
            })?;
        }
        if text != was {
            self.write(&File { content: text.into_bytes(), ..file }).await?;
        }
        self.console.ask("RELOAD").await.map(drop)
    }

    async fn point(&self, side: Side, at: &str) -> Result<Look<()>, Trouble> {
        let there = async || {
            Ok::<_, Trouble>(
                self.databases().await?.iter().all(|(_, row)| row.get("host").is_some_and(|host| host == at)),
            )
        };
        if matches!(self.plan.route, Route::Network(_)) && !there().await? {
            self.ensure_hosts(|_| at.to_owned()).await?;
            if !there().await? {
                return Ok(Look::NotYet("PgBouncer has not read its file yet".into()));
            }
        }
        let servers = self.console.ask("SHOW SERVERS").await?;
        let ours = |row: &&Row| self.plan.databases.iter().any(|database| row.get("database") == Some(&database.name));
        let by_address = matches!(self.plan.route, Route::Network(_));
        let elsewhere = |row: &&Row| by_address && row.get("addr").is_none_or(|addr| addr != at);
        Ok(match servers.iter().filter(ours).filter(elsewhere).count() {
            0 => Look::Done(()),
            n => Look::NotYet(format!("{n} of its server connections are not to {side} yet")),
        })
    }

    /// A pause is over when PgBouncer looks at it next, which an idle one does three times a second: it is spoken to meanwhile.
    async fn pause(&self) -> Result<(), Trouble> {
        let paused = Cell::new(false);
        let pausing = async {
            for database in self.plan.databases.iter().filter(|database| !database.by_session) {
                self.pausing.ask_patiently(&format!("PAUSE {}", database.name)).await?;
            }
            paused.set(true);
            Ok(())
        };
        let limit = Limit { name: "limits.transactions", value: self.at.plan.limits.transactions.0 };
        let wait = Wait { what: "transactions to end", limit, every: Duration::from_millis(1), kind: Kind::Failed };
        let waking = wait::until(wait, &self.at.tell, async || {
            if paused.get() {
                return Ok(Look::Done(()));
            }
            self.console.ask("SHOW VERSION").await?;
            Ok(Look::NotYet("PgBouncer still waits for some".into()))
        });
        try_join(pausing, waking).await.map(drop)
    }

    /// `None`: no PgBouncer answers.
    async fn resume(&self) -> Result<Option<()>, Trouble> {
        let Some(rows) = self.console.ask_if_it_runs("SHOW DATABASES").await? else { return Ok(None) };
        let paused = |name: &String| rows.iter().any(|row| row.get("name") == Some(name) && is_set(row, "paused"));
        for database in self.plan.databases.iter().filter(|database| paused(&database.name)) {
            self.console.ask(&format!("RESUME {}", database.name)).await?;
        }
        Ok(Some(()))
    }

    /// The names that will stand in the file, if PgBouncer still knows them as something else than `at`.
    async fn stale_names(&self, at: &str) -> Result<Vec<String>, Trouble> {
        let known = self.console.ask("SHOW DNS_HOSTS").await?;
        let names = self.plan.databases.iter().filter_map(|database| database.host.as_deref()).map(ini::bare);
        let stale = |name: &&str| {
            known.iter().filter(|row| row.get("hostname").is_some_and(|there| there == name)).any(|row| {
                let fresh = row
                    .get("addrs")
                    .is_some_and(|addrs| addrs.split(',').all(|addr| addr.split(':').next() == Some(at)));
                !fresh && row.get("ttl").is_none_or(|ttl| ttl != "0")
            })
        };
        Ok(names.filter(stale).map(str::to_owned).collect())
    }

    /// A server connection that a new address closes while it logs in counts as one that failed, and then clients are refused for
    /// `server_login_retry` (1.18, seen).
    async fn is_logging_in(&self) -> Result<bool, Trouble> {
        let pools = self.console.ask("SHOW POOLS").await?;
        let ours = |row: &&Row| self.plan.databases.iter().any(|database| row.get("database") == Some(&database.name));
        let busy = |row: &Row| is_set(row, "sv_login") || is_set(row, "cl_waiting");
        Ok(pools.iter().filter(ours).any(busy))
    }

    /// What its owner wrote stands in the file again, where that leads to the side that serves.
    async fn ensure_settled(&self, serving: Side) -> Result<(), Trouble> {
        let wait = Wait {
            what: "PgBouncer to forget where V1 was",
            limit: NAMES,
            every: Duration::from_millis(200),
            kind: Kind::NotReady,
        };
        let mut calm = 0;
        let at = wait::until(wait, &self.at.tell, async || {
            let Some(at) = self.stands(serving).await? else {
                return Ok(Look::NotYet(format!("{serving} is not there")));
            };
            if self.stands(serving.other()).await?.is_some() {
                return Ok(Look::NotYet(format!("{} still bears the names", serving.other())));
            }
            if let names @ [_, ..] = &self.stale_names(&at).await?[..] {
                return Ok(Look::NotYet(format!("it still knows {} from before", names.join(", "))));
            }
            calm = if self.is_logging_in().await? { 0 } else { calm + 1 };
            Ok(if calm < CALM { Look::NotYet("it is logging in to the server".into()) } else { Look::Done(at) })
        })
        .await?;
        self.ensure_hosts(|database| database.host.clone().unwrap_or_else(|| at.clone())).await
    }
}

fn is_set(row: &Row, column: &str) -> bool {
    row.get(column).is_some_and(|value| value != "0")
}

#[async_trait(?Send)]
impl ClientsWay for Pgbouncer {
    fn describe(&self) -> String {
        let names: Vec<&str> = self.plan.databases.iter().map(|database| database.name.as_str()).collect();
        format!("PgBouncer at {}, database {}", self.console.name(), names.join(", "))
    }

    async fn check(&self) -> Result<(), Trouble> {
        let refused = |trouble: Trouble| Trouble { kind: Kind::Refused, ..trouble };
        let v1 = self.found(Side::V1).await?.ok_or_else(|| Trouble::refused("V1's container is gone"))?;
        for (database, row) in self.databases().await.map_err(refused)? {
            let host = row.get("host").cloned().unwrap_or_default();
            let name = &database.name;
            if !self.is_at(&host, &v1) {
                return Err(Trouble::refused(format!("PgBouncer's database {name} is at {host}, which is not V1")));
            }
            if is_set(&row, "paused") || is_set(&row, "disabled") {
                return Err(Trouble::refused(format!("PgBouncer's database {name} is paused or disabled"))
                    .hint(format!("`RESUME {name}` or `ENABLE {name}` in its console")));
            }
        }
        let file = self.file().await.map_err(refused)?;
        find::refuse_unfit_file(&String::from_utf8_lossy(&file.content), &self.plan.databases)
    }

    async fn pointing_at(&self) -> Result<Option<Side>, Trouble> {
        let databases = self.databases().await?;
        let mut sides = Vec::new();
        for side in [Side::V1, Side::V2] {
            let Some(found) = self.found(side).await? else { continue };
            let all = databases.iter().all(|(_, row)| row.get("host").is_some_and(|host| self.is_at(host, &found)));
            sides.extend(all.then_some(side));
        }
        Ok(if let [side] = sides[..] { Some(side) } else { None })
    }

    fn pauses(&self) -> bool {
        true
    }

    async fn ensure_connected(&self) -> Result<(), Trouble> {
        self.console.ensure_open().await?;
        self.pausing.ensure_open().await
    }

    async fn ensure_held(&self) -> Result<bool, Trouble> {
        self.v2_at.replace(self.stands(Side::V2).await?);
        self.read.replace(Some(self.file().await?));
        // Whoever waits by then is let go by the way back: V2 must not be found by V1's name when he runs again.
        self.pause().await.map_err(|trouble| {
            self.pausing.forget();
            let what = format!("PgBouncer at {} cannot be paused", self.console.name());
            Trouble::failed(what)
                .because(trouble)
                .hint("a longer `limits.transactions` waits longer for transactions; clients wait as well meanwhile")
        })?;
        let mut all = true;
        for database in self.plan.databases.iter().filter(|database| database.by_session) {
            // It returns when the last session has gone, which the fence sees to.
            let pause = format!("PAUSE {}", database.name);
            all &= wait::within(HEARD, "a pause", self.pausing.ask_patiently(&pause)).await.is_ok();
        }
        Ok(all)
    }

    async fn ensure_stood_down(&self) -> Result<(), Trouble> {
        self.v2_at.take();
        self.read.take();
        Ok(())
    }

    async fn ensure_pointing_at(&self, side: Side) -> Result<(), Trouble> {
        let known = self.v2_at.borrow().clone().filter(|_| side == Side::V2);
        let what = format!("PgBouncer at {} to point at {side}", self.console.name());
        let limit = Limit { name: "limits.cutover", value: self.at.plan.limits.cutover.0 };
        let wait = Wait { what: &what, limit, every: Duration::from_millis(1), kind: Kind::Failed };
        wait::until(wait, &self.at.tell, async || {
            let at = match &known {
                Some(at) => Some(at.clone()),
                None => self.stands(side).await?,
            };
            let Some(at) = at else { return Ok(Look::NotYet(format!("{side} has no address that PgBouncer reaches"))) };
            // Beyond the line it is only gone forward: whatever fails is tried again.
            Ok(self.point(side, &at).await.unwrap_or_else(|trouble| Look::NotYet(trouble.one_line())))
        })
        .await
    }

    async fn ensure_withdrawn(&self, side: Side) -> Result<(), Trouble> {
        self.v2_at.take();
        self.read.take();
        if matches!(self.plan.route, Route::Port { .. })
            || self.plan.databases.iter().all(|database| database.host.is_none())
        {
            return Ok(());
        }
        match self.ensure_settled(side.other()).await {
            Err(trouble) if trouble.kind == Kind::NotReady => {
                let said = trouble.one_line();
                self.at.tell.warning(format!("{}: its file keeps {}'s address: {said}", self.describe(), side.other()));
                Ok(())
            }
            settled => settled,
        }
    }

    async fn ensure_released(&self) -> Result<(), Trouble> {
        if self.resume().await?.is_none() {
            self.at
                .tell
                .warning(format!("{} does not run: it holds nobody, and begins with its file", self.describe()));
        }
        Ok(())
    }

    /// PgBouncer knows the users of its own list only, and none of ours: the way by which it finds V2 is tried instead.
    fn address(&self) -> Option<Address> {
        None
    }
}
