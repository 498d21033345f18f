//! A PgBouncer that the user named, as it stands before a run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::rc::Rc;

use super::console::{Console, Row};
use super::{ini, is_set};
use crate::clients::Around;
use crate::config;
use crate::config::secret::Password;
use crate::engine::{Check, Verdict};
use crate::plan::{BouncerConsole, BouncerDatabase, BouncerFile, ConsoleAt, Pgbouncer, Proxy, Route, WayPlan};
use crate::runtime::{Attachment, File};
use crate::trouble::Trouble;
use crate::wait;

const ID: &str = "pgbouncer";
const PORT: u16 = 6432;
const FILE: &str = "/etc/pgbouncer/pgbouncer.ini";

pub(in crate::clients) async fn find(said: &config::Pgbouncer, around: &Around<'_>) -> Proxy {
    match look(said, around).await {
        Ok((way, checks)) => {
            let addresses = around.addresses_of(said.container.as_deref()).await;
            Proxy { way: Some(WayPlan::Pgbouncer(way)), addresses, checks }
        }
        Err(trouble) => {
            let (found, hint) = (trouble.one_line(), trouble.hints.first().cloned());
            let checks = vec![Check { id: ID.into(), verdict: Verdict::Refused, found, hint }];
            Proxy { checks, ..Proxy::default() }
        }
    }
}

async fn look(said: &config::Pgbouncer, around: &Around<'_>) -> Result<(Pgbouncer, Vec<Check>), Trouble> {
    let place = place(said, around).await?;
    let console = Console::new(place.clone(), Rc::clone(around.runtime));
    let settings: BTreeMap<String, String> = console
        .ask("SHOW CONFIG")
        .await?
        .into_iter()
        .filter_map(|mut row| Some((row.remove("key")?, row.remove("value")?)))
        .collect();
    refuse_powerless(&settings, &place.user)?;
    refuse_impatient(&settings, around.limits)?;
    let rows = console.ask("SHOW DATABASES").await?;
    let (file, text) = file(said, around).await?;
    let (route, mut databases) = choose(said, &rows, &settings, around)?;
    for database in &mut databases {
        database.entry = entry(&text, &database.name)?;
        database.host = Some(settled(&text, &database.entry, &route, said, around)).flatten();
    }
    refuse_unfit_file(&text, &databases)?;
    let names: Vec<&str> = databases.iter().map(|database| database.name.as_str()).collect();
    let found =
        format!("PgBouncer at {} has V1 as {}; clients wait during the window", console.name(), names.join(", "));
    let mut checks = vec![Check { id: ID.into(), verdict: Verdict::Passed, found, hint: None }];
    checks.extend(sessions(&databases));
    checks.extend(addresses(&databases, &route));
    Ok((Pgbouncer { console: place, file, databases, route }, checks))
}

async fn place(said: &config::Pgbouncer, around: &Around<'_>) -> Result<BouncerConsole, Trouble> {
    let password = match (&said.password, &said.password_file) {
        (Some(_), Some(_)) => return Err(Trouble::refused("`password` and `password-file` say the same thing twice")),
        (Some(variable), None) => Some(Password::Variable(variable.clone())),
        (None, Some(path)) => Some(Password::File(path.clone())),
        (None, None) => None,
    };
    if let Some(url) = &said.admin {
        let (user, host, port) = parsed(url)?;
        return Ok(BouncerConsole { at: ConsoleAt::Tcp { host, port }, user, password });
    }
    let Some(name) = &said.container else {
        return Err(Trouble::refused("where is PgBouncer's console?")
            .hint("`container: NAME`, or `admin: postgres://USER@HOST:PORT/pgbouncer`"));
    };
    let found = around.runtime.container(name).await?;
    let found = found.ok_or_else(|| Trouble::refused(format!("there is no container {name}")))?;
    let shared = |network: &str| around.v1.networks.iter().any(|on| on.network == network);
    let network = found.networks.iter().find(|on| shared(&on.network)).or(found.networks.first());
    let network = network.map(|on| on.network.clone()).ok_or_else(|| {
        Trouble::refused(format!("container {name} stands on no network")).hint("name its console by `admin:`")
    })?;
    let at = ConsoleAt::Container { container: name.clone(), network, port: said.port.unwrap_or(PORT) };
    Ok(BouncerConsole { at, user: said.user.clone().unwrap_or_else(|| "pgbouncer".into()), password })
}

/// The text itself is not repeated: there may be a password in it.
fn parsed(url: &str) -> Result<(String, String, u16), Trouble> {
    let wrong = |why: &str| {
        Trouble::refused(format!("`admin` of PgBouncer: {why}"))
            .hint("as in postgres://pgbouncer@127.0.0.1:6432/pgbouncer")
    };
    let config: tokio_postgres::Config = url.parse().map_err(|_| wrong("it is no URL of a console"))?;
    if config.get_password().is_some() {
        return Err(wrong("a literal password is not accepted here: `password: ${NAME}` or `password-file:`"));
    }
    let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else { return Err(wrong("it needs one host")) };
    let port = config.get_ports().first().copied().unwrap_or(PORT);
    Ok((config.get_user().unwrap_or("pgbouncer").to_owned(), host.clone(), port))
}

fn refuse_powerless(settings: &BTreeMap<String, String>, user: &str) -> Result<(), Trouble> {
    let admins = settings.get("admin_users").map_or("", String::as_str);
    let any = settings.get("auth_type").is_some_and(|kind| kind == "any");
    if any || admins.split(',').any(|name| name.trim() == user) {
        return Ok(());
    }
    Err(Trouble::refused(format!("{user} may look at PgBouncer's console, and change nothing"))
        .hint("name it in `admin_users`"))
}

/// A client that waits longer is thrown out by PgBouncer.
fn refuse_impatient(settings: &BTreeMap<String, String>, limits: &config::Limits) -> Result<(), Trouble> {
    const NAME: &str = "query_wait_timeout";
    let Some(patience) = settings.get(NAME).and_then(|text| text.parse::<f64>().ok()) else {
        return Err(Trouble::refused(format!("PgBouncer does not say its {NAME}")));
    };
    let cap = limits.cutover.0;
    if patience == 0.0 || patience > cap.as_secs_f64() {
        return Ok(());
    }
    Err(Trouble::refused(format!(
        "PgBouncer throws clients out that wait for {patience} s ({NAME}), and the window may last {} (limits.cutover)",
        wait::human(cap)
    ))
    .hint(format!("a longer {NAME}, or a shorter window, as in --limit cutover=5s")))
}

async fn file(said: &config::Pgbouncer, around: &Around<'_>) -> Result<(BouncerFile, String), Trouble> {
    let path = said.file.clone().unwrap_or_else(|| FILE.into());
    let shown = path.display().to_string();
    let (place, content) = match &said.container {
        Some(container) => {
            let file = around.runtime.file(container, &shown).await?;
            let file = file.ok_or_else(|| {
                Trouble::refused(format!("container {container} has no file {shown}"))
                    .hint("name PgBouncer's by `file:`")
            })?;
            (BouncerFile::Container { container: container.clone(), path: shown.clone() }, file.content)
        }
        None => (BouncerFile::Here(path.clone()), read_here(&path)?.content),
    };
    let text =
        String::from_utf8(content).map_err(|_| Trouble::refused(format!("PgBouncer's file {shown} is not text")))?;
    Ok((place, text))
}

pub(super) fn read_here(path: &Path) -> Result<File, Trouble> {
    let content = std::fs::read(path)
        .map_err(|e| Trouble::failed(format!("cannot read PgBouncer's file {}", path.display())).because(e))?;
    Ok(File { path: path.display().to_string(), content, ..File::default() })
}

/// In place, so that its owner, its mode and whoever has it mounted stay.
pub(super) fn write_here(path: &Path, content: &[u8]) -> Result<(), Trouble> {
    let written = std::fs::OpenOptions::new().write(true).truncate(true).open(path).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.map_err(|e| Trouble::failed(format!("cannot write PgBouncer's file {}", path.display())).because(e))
}

fn route_to(row: &Row, around: &Around<'_>) -> Option<Route> {
    let (host, port) = (row.get("host")?, row.get("port")?.parse::<u16>().ok()?);
    let v1 = around.v1;
    let by_name = |on: &&Attachment| {
        on.address.as_ref() == Some(host) || (on.network != "bridge" && (on.aliases.contains(host) || v1.name == *host))
    };
    if port == around.port
        && let Some(on) = v1.networks.iter().find(by_name)
    {
        return Some(Route::Network(on.network.clone()));
    }
    let inside = format!("{}/tcp", around.port);
    let here = |host_ip: &str| host == "localhost" || host.starts_with("127.") || host == "::1" || host == host_ip;
    let published =
        v1.ports.iter().any(|p| p.bound && p.container == inside && p.host_port == port && here(&p.host_ip));
    published.then(|| Route::Port { host: host.clone(), port })
}

fn choose(
    said: &config::Pgbouncer,
    rows: &[Row],
    settings: &BTreeMap<String, String>,
    around: &Around<'_>,
) -> Result<(Route, Vec<BouncerDatabase>), Trouble> {
    let named = |name: &String| said.databases.is_empty() || said.databases.contains(name);
    let mut route = None;
    let mut databases = Vec::new();
    for row in rows {
        let Some(name) = row.get("name").filter(|name| named(name)) else { continue };
        let Some(found) = route_to(row, around) else { continue };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Trouble::refused(format!(
                "PgBouncer's console cannot be told of a database called {}",
                name.escape_debug()
            )));
        }
        if route.get_or_insert_with(|| found.clone()) != &found {
            return Err(Trouble::refused("PgBouncer reaches V1 by several ways at once")
                .hint("a way of its own for each, with `databases:`"));
        }
        let mode = row.get("pool_mode").filter(|mode| !mode.is_empty()).or_else(|| settings.get("pool_mode"));
        let by_session = mode.is_none_or(|mode| mode == "session");
        databases.push(BouncerDatabase { name: name.clone(), entry: String::new(), by_session, host: None });
        if is_set(row, "paused") {
            return Err(Trouble::refused(format!("PgBouncer's database {name} is paused"))
                .hint(format!("`RESUME {name}` in its console")));
        }
    }
    if let Some(missing) = said.databases.iter().find(|name| !databases.iter().any(|there| there.name == **name)) {
        return Err(Trouble::refused(format!("PgBouncer has no database {missing} that is V1's")));
    }
    let route = route.ok_or_else(|| {
        let hosts: Vec<String> = rows
            .iter()
            .filter_map(|row| Some(format!("{} at {}:{}", row.get("name")?, row.get("host")?, row.get("port")?)))
            .collect();
        Trouble::refused(format!("no database of PgBouncer is at V1: {}", hosts.join(", ")))
    })?;
    Ok((route, databases))
}

/// By its name, or by the entry for all that have none.
fn entry(text: &str, name: &str) -> Result<String, Trouble> {
    let found = [name, "*"].into_iter().find(|entry| ini::host(text, entry).is_some());
    found.map(str::to_owned).ok_or_else(|| {
        Trouble::refused(format!("PgBouncer's file has no `{name} = host=…` under [databases]"))
            .hint("name the file that has it by `file:` (one that is included is not looked for)")
    })
}

/// What stands in the file in the end: what its owner wrote, where that is a name that moves; else a name that does, for
/// a PgBouncer that can know it.
fn settled(text: &str, entry: &str, route: &Route, said: &config::Pgbouncer, around: &Around<'_>) -> Option<String> {
    let written = ini::host(text, entry)?.to_owned();
    let Route::Network(network) = route else { return Some(written) };
    let on = around.v1.networks.iter().find(|on| on.network == *network)?;
    let bare = ini::bare(&written);
    if bare == around.v1.name || on.aliases.iter().any(|alias| alias == bare) {
        return Some(written);
    }
    let name = on.aliases.first().unwrap_or(&around.v1.name);
    (said.container.is_some() && network != "bridge").then(|| name.clone())
}

pub(super) fn refuse_unfit_file(text: &str, databases: &[BouncerDatabase]) -> Result<(), Trouble> {
    match databases.iter().find(|database| ini::host(text, &database.entry).is_none()) {
        None => Ok(()),
        Some(database) => {
            Err(Trouble::refused(format!("PgBouncer's file has no host for {} any more", database.entry)))
        }
    }
}

fn sessions(databases: &[BouncerDatabase]) -> Option<Check> {
    let names: Vec<&str> =
        databases.iter().filter(|database| database.by_session).map(|database| database.name.as_str()).collect();
    (!names.is_empty()).then(|| Check {
        id: "pgbouncer-sessions".into(),
        verdict: Verdict::Noted,
        found: format!(
            "{} pooled by session: sessions that are open then end, each fails once, and comes to V2",
            names.join(", ")
        ),
        hint: Some("with `pool_mode = transaction` nobody fails".into()),
    })
}

fn addresses(databases: &[BouncerDatabase], route: &Route) -> Option<Check> {
    let by_address = matches!(route, Route::Network(_)) && databases.iter().any(|database| database.host.is_none());
    by_address.then(|| Check {
        id: "pgbouncer-file".into(),
        verdict: Verdict::Noted,
        found: "PgBouncer's file has V1's address, and gets V2's".into(),
        hint: Some("an address may change when a container is started anew; a name does not".into()),
    })
}
