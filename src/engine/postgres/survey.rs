//! The survey: V1 and V2's image, looked at without touching anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::auto_conf;
use super::before::{Before, Carried, Logical, Restart};
use super::checks::{self, Found};
use super::connect::{DATABASE, Inside};
use super::logical::{self, InDatabase};
use super::machine::{self, Machine};
use super::names::literal;
use super::said::{self, Fixed, Moving};
use super::session::{Session, Timeouts, Turned, turned};
use super::sessions;
use crate::config::quantity::Bytes;
use crate::engine::{Access, Serving, Side, Survey, SurveyRequest};
use crate::runtime::{Call, Container, Runtime};
use crate::trouble::Trouble;

/// Sizes of large databases take a while to add up.
const PATIENCE: Timeouts = Timeouts { statement: Duration::from_secs(60), lock: Duration::from_secs(2) };

pub(super) async fn survey(ask: &SurveyRequest<'_>) -> Result<Survey, Trouble> {
    let v1 = Server::connect(ask).await?;
    let (began, first) = (Instant::now(), written(&v1.session).await?);
    let sessions = sessions::clients(&v1.session).await?;
    let moving = said::moving(&v1.session).await?;
    if !moving.superuser {
        return Err(Trouble::refused("the user we get into V1 with is not a superuser").hint(
            "give a superuser's name and password: PGUSER and PGPASSWORD, --password-file, or the configuration",
        ));
    }
    let fixed = said::fixed(&v1.session).await?;
    let inside = v1.inside(&fixed).await?;
    let data = moving.setting("data_directory").to_owned();
    let mut needs: Vec<String> = checks::libraries_of(&moving, &inside).into_iter().collect();
    needs.extend(checks::outside_files(&moving, &data).into_iter().map(str::to_owned));
    let cluster = logical::cluster(&v1.session).await?;
    let in_databases = in_databases(&v1, &fixed).await?;
    needs.extend(checks::for_another_version(&in_databases, &fixed, &cluster));
    let here = machine::of_container(ask.runtime, ask.v1).await?;
    let there = machine::of_image(ask.runtime, ask.v2, &ask.v1.user, &needs).await?;
    let wal_directory = wal_directory(ask.runtime, ask.v1, &data).await?;
    let v1_image = ask.runtime.image(&ask.v1.image_id).await?;
    let v1_free = ask.runtime.free_bytes(&ask.v1.id, wal_directory.as_deref().unwrap_or(&data)).await?;
    let write_rate = rate(first, written(&v1.session).await?, began.elapsed());
    let found = Found {
        container: ask.v1,
        v1_image: v1_image.as_ref(),
        v2_image: ask.v2,
        moving: &moving,
        fixed: &fixed,
        inside: &inside,
        in_databases: &in_databases,
        cluster: &cluster,
        v1: &here,
        v2: &there,
        v1_free,
        write_rate,
        wal_directory: wal_directory.as_deref(),
        text: is_text(ask, &data, "pg_hba.conf").await? && is_text(ask, &data, "postgresql.auto.conf").await?,
        allow: ask.allow,
        limits: ask.limits,
        seed: ask.seed,
    };
    let before = before(ask, &found).await?;
    Ok(Survey { sessions, ..written_down(&found, &before)? })
}

fn written_down(found: &Found<'_>, before: &Before) -> Result<Survey, Trouble> {
    let data = found.moving.setting("data_directory").to_owned();
    let v2_data = v2_data(found, &data);
    Ok(Survey {
        engine: "postgresql".into(),
        v1_version: found.fixed.version.clone(),
        v2_version: found.v2.version.clone(),
        method: checks::method(found).name().into(),
        seed: checks::seed(found).name().into(),
        seed_ms: u64::try_from(checks::seed_time(found).as_millis()).unwrap_or(u64::MAX),
        more_data: before.tablespaces.iter().chain(&before.wal_directory).cloned().collect(),
        v1_data: data,
        v2_data,
        bytes: found.bytes(),
        write_rate: found.write_rate,
        port: found.moving.setting("port").parse().map_err(|_| Trouble::bug("V1's port is no number"))?,
        sessions: Vec::new(),
        checks: checks::all(found),
        before: serde_json::to_value(before)
            .map_err(|error| Trouble::bug("the survey cannot be written").because(error))?,
        facts: facts(found),
    })
}

fn facts(found: &Found<'_>) -> BTreeMap<String, String> {
    let unknown = || "unknown".to_owned();
    [
        ("size", Bytes(found.bytes()).to_string()),
        ("databases", found.fixed.databases.len().to_string()),
        ("writes", found.write_rate.map_or_else(unknown, |rate| format!("{}/s", Bytes(rate)))),
        ("C library", found.v1.libc.clone()),
        ("free on V1's disk", found.v1_free.map_or_else(unknown, |free| Bytes(free).to_string())),
        ("free on V2's disk", found.v2.free.map_or_else(unknown, |free| Bytes(free).to_string())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A directory the old image chose by itself is not V2's: its own image chooses. One the user chose stays.
fn v2_data(found: &Found<'_>, data: &str) -> String {
    let chosen_by =
        |image: Option<&crate::runtime::Image>| image.and_then(|image| image.environment.get("PGDATA").cloned());
    match (chosen_by(found.v1_image), chosen_by(Some(found.v2_image))) {
        (Some(v1), Some(v2)) if v1.trim_end_matches('/') == data.trim_end_matches('/') => v2,
        _ => data.to_owned(),
    }
}

/// Local access to V1.
struct Server<'a> {
    inside: Inside<'a>,
    session: Session,
}

impl Server<'_> {
    async fn connect<'a>(ask: &SurveyRequest<'a>) -> Result<Server<'a>, Trouble> {
        let port = port(ask.v1);
        let access: &Access = ask.access;
        let inside = Inside { runtime: ask.runtime, container: ask.v1, port, access, side: Side::V1 };
        let session = match inside.session(DATABASE, PATIENCE).await {
            Ok(session) => session,
            // Told by a precheck; template1 is there in any case.
            Err(trouble) if turned(&trouble) == Some(Turned::NoSuchDatabase) => {
                inside.session("template1", PATIENCE).await?
            }
            Err(trouble) => return Err(trouble),
        };
        Ok(Server { inside, session })
    }

    async fn inside(&self, fixed: &Fixed) -> Result<Vec<(String, said::Inside)>, Trouble> {
        let mut all = Vec::new();
        for database in fixed.databases.iter().filter(|database| database.connectable) {
            let session = self.inside.session(&database.name, PATIENCE).await?;
            all.push((database.name.clone(), said::inside(&session).await?));
        }
        Ok(all)
    }
}

/// What only the method `logical` asks each database.
async fn in_databases(v1: &Server<'_>, fixed: &Fixed) -> Result<Vec<(String, InDatabase)>, Trouble> {
    let mut all = Vec::new();
    for database in fixed.databases.iter().filter(|database| database.connectable) {
        let session = v1.inside.session(&database.name, PATIENCE).await?;
        all.push((database.name.clone(), logical::in_database(&session).await?));
    }
    Ok(all)
}

/// As the command line or the environment says; else the usual one.
fn port(container: &Container) -> u16 {
    let words = &container.command;
    let pairs = words.iter().zip(words.iter().skip(1));
    let separate = pairs.filter_map(|(flag, value)| match flag.as_str() {
        "-p" => Some(value.as_str()),
        "-c" => value.strip_prefix("port="),
        _ => None,
    });
    let joined = words.iter().filter_map(|word| {
        word.strip_prefix("--port=").or_else(|| word.strip_prefix("-p")).or_else(|| word.strip_prefix("-cport="))
    });
    let set = container.settings.get("PGPORT").map(String::as_str);
    separate.chain(joined).chain(set).find_map(|port| port.parse().ok()).unwrap_or(5432)
}

/// Those that are enabled now.
pub(super) async fn subscriptions(ask: &Serving<'_>) -> Result<Vec<u32>, Trouble> {
    let Serving { container, access, runtime } = *ask;
    let inside = Inside { runtime, container, port: port(container), access, side: Side::V1 };
    let session = inside.session(DATABASE, PATIENCE).await?;
    Ok(said::moving(&session).await?.enabled_subscriptions())
}

async fn written(session: &Session) -> Result<Option<u64>, Trouble> {
    let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() - '0/0'::pg_lsn END";
    Ok(session.text(sql).await?.and_then(|bytes| bytes.parse().ok()))
}

/// Measured over the survey itself, which takes long enough for it.
fn rate(first: Option<u64>, last: Option<u64>, took: Duration) -> Option<u64> {
    let ms = u64::try_from(took.as_millis()).ok().filter(|ms| *ms >= 100)?;
    Some(last?.checked_sub(first?)?.saturating_mul(1000) / ms)
}

/// Where `pg_wal` points, if it is a link.
async fn wal_directory(runtime: &dyn Runtime, v1: &Container, data: &str) -> Result<Option<String>, Trouble> {
    const LOOK: &str = r#"if [ -L "$1/pg_wal" ]; then readlink -f "$1/pg_wal"; fi"#;
    let argv = ["sh", "-c", LOOK, "sh", data];
    let output = runtime.exec(&v1.id, &Call { argv: &argv, user: None, stdin: b"" }).await?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(Some(path).filter(|path| !path.is_empty()))
}

async fn is_text(ask: &SurveyRequest<'_>, data: &str, name: &str) -> Result<bool, Trouble> {
    let path = format!("{}/{name}", data.trim_end_matches('/'));
    let content = ask.runtime.read_file(&ask.v1.id, &path).await?.unwrap_or_default();
    Ok(String::from_utf8(content).is_ok())
}

/// ALTER SYSTEM's own value of a setting. A file that is not text is told by a precheck.
async fn altered(ask: &SurveyRequest<'_>, data: &str, name: &str) -> Result<Option<String>, Trouble> {
    let path = format!("{}/postgresql.auto.conf", data.trim_end_matches('/'));
    let content = ask.runtime.read_file(&ask.v1.id, &path).await?.unwrap_or_default();
    Ok(auto_conf::value(&String::from_utf8_lossy(&content), name))
}

async fn before(ask: &SurveyRequest<'_>, found: &Found<'_>) -> Result<Before, Trouble> {
    let data = found.moving.setting("data_directory");
    let v1_owner = owner(ask.runtime, ask.v1, data).await?;
    Ok(Before {
        slot_limit: found.moving.setting("max_slot_wal_keep_size").to_owned(),
        slot_limit_altered: altered(ask, data, "max_slot_wal_keep_size").await?,
        slot_limit_ours: slot_limit(found.moving, found.v1_free, found.limits.v1_wal.0),
        archives: found.moving.archives(),
        wal_directory: found.wal_directory.map(str::to_owned),
        tablespaces: found.fixed.tablespaces.iter().map(|space| space.path.clone()).collect(),
        owners: [v1_owner, v2_owner(found.v2, v1_owner)],
        can_rewind: found.moving.setting("data_checksums") == "on" || found.moving.setting("wal_log_hints") == "on",
        roles: found.fixed.roles.clone(),
        slots: found.moving.slots.iter().map(|slot| slot.name.clone()).collect(),
        subscriptions: found.moving.enabled_subscriptions(),
        logical: match checks::method(found) {
            checks::Method::Logical => Some(carried(found, altered(ask, data, "wal_level").await?)),
            checks::Method::Physical => None,
        },
    })
}

fn carried(found: &Found<'_>, altered: Option<String>) -> Logical {
    let database =
        |(name, database): &(String, InDatabase)| Carried { name: name.clone(), identities: database.keyless.clone() };
    let template = |name: &str| found.fixed.databases.iter().any(|it| it.template && it.name == name);
    let (templates, databases): (Vec<_>, Vec<_>) = found.in_databases.iter().partition(|(name, _)| template(name));
    Logical {
        cluster: found.cluster.clone(),
        databases: databases.into_iter().map(database).collect(),
        templates: templates.into_iter().map(|(name, _)| name.clone()).collect(),
        other_order: !checks::is_same_order(found),
        restart: (found.moving.setting("wal_level") != "logical").then_some(Restart { altered }),
    }
}

/// V1's own limit, where it has one, is stricter knowledge than ours.
fn slot_limit(moving: &Moving, free: Option<u64>, share: u8) -> Option<u64> {
    let name = "max_slot_wal_keep_size";
    if moving.setting(name) != "-1" || moving.on_command_line(name) {
        return None;
    }
    // At least a few segments; at most what the setting takes (an `int` of MiB).
    free.map(|free| ((free / 100 * u64::from(share)) >> 20).clamp(256, 2_000_000_000))
}

fn v2_owner(v2: &Machine, v1: (u64, u64)) -> (u64, u64) {
    v2.owner.unwrap_or(v1)
}

async fn owner(runtime: &dyn Runtime, container: &Container, data: &str) -> Result<(u64, u64), Trouble> {
    let argv = ["stat", "-c", "%u %g", data];
    let output = runtime.exec(&container.id, &Call { argv: &argv, user: None, stdin: b"" }).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers[..] {
        [user, group] => Ok((user, group)),
        _ => Err(Trouble::failed(format!("cannot see who owns {} in V1", literal(data)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_looks_and_some_time() {
        assert_eq!(rate(Some(1000), Some(3000), Duration::from_millis(500)), Some(4000));
        assert_eq!(rate(None, Some(3000), Duration::from_millis(500)), None);
        assert_eq!(rate(Some(1000), Some(3000), Duration::from_millis(5)), None);
    }
}
