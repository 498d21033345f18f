//! The survey: V1 and V2's image, looked at without touching anything.

use std::time::{Duration, Instant};

use super::before::{self, Before};
use super::checks::{self, Found};
use super::{dialect, machine, position, said};
use crate::engine::mysql_family::connect::Timeouts;
use crate::engine::mysql_family::made::Made;
use crate::engine::mysql_family::said::{self as alike, Said};
use crate::engine::mysql_family::{container, seed, sessions, settings, upgrade};
use crate::engine::mysql_wire::copy;
use crate::engine::{Serving, Survey, SurveyRequest};
use crate::trouble::Trouble;

/// Sizes of many tables take a while to add up.
const PATIENCE: Timeouts = Timeouts { statement: Duration::from_secs(60), lock: Duration::from_secs(2) };

pub(super) async fn survey(ask: &SurveyRequest<'_>) -> Result<Survey, Trouble> {
    let session = container::inside(ask.runtime, ask.v1, ask.access).session(PATIENCE).await?;
    if session.is_mariadb() {
        return Err(Trouble::refused("V1 is a MariaDB, not a MySQL").hint("name an image of MariaDB for V2"));
    }
    let (began, first) = (Instant::now(), position::now(&session).await.ok());
    let sessions = sessions::clients(&session).await?;
    let (mut v1, own) = said::said(&session).await?;
    v1.not_carried = copy::inventory(&session, &[]).await?.not_carried;
    v1.doubtful = upgrade::doubtful(&session).await?;
    v1.files_bytes = container::files_bytes(ask.runtime, ask.v1, v1.variable("datadir")).await?;
    let v2 = machine::of_image(ask.runtime, ask.v1, ask.v2).await?;
    let data = v1.variable("datadir").trim_end_matches('/').to_owned();
    let v1_free = ask.runtime.free_bytes(&ask.v1.id, &data).await?;
    let (second, between) = (position::now(&session).await.ok(), began.elapsed());
    let at = |at: &Option<position::At>| at.as_ref().map(|at| (at.file.clone(), at.offset));
    let rate = alike::rate(at(&first), at(&second), between);
    let found = Found {
        v1: &v1,
        own: &own,
        v2: &v2,
        v1_free,
        shares: ask.v1.can_share_whole(&data),
        write_rate: rate,
        allow: ask.allow,
        limits: ask.limits,
        seed: ask.seed,
    };
    let owner = container::owner(ask.runtime, ask.v1, &data).await?;
    Ok(Survey { sessions, ..written_down(&found, &before(&found, owner)?, data)? })
}

fn written_down(found: &Found<'_>, before: &Before, data: String) -> Result<Survey, Trouble> {
    let version = |text: &str| {
        dialect::Version::read(text).map_or_else(|| text.to_owned(), |v| format!("{}.{}.{}", v.0, v.1, v.2))
    };
    let seed = checks::seed(found);
    let port = found.v1.variable("port").parse().map_err(|_| Trouble::bug("V1's port is no number"))?;
    Ok(Survey {
        engine: "mysql".into(),
        v1_version: version(&found.v1.version),
        v2_version: version(&found.v2.version),
        method: "binlog".into(),
        seed: seed.name().into(),
        seed_ms: 1000 * seed::seconds(seed, found.v1.bytes),
        v2_data: data.clone(),
        v1_data: data,
        more_data: Vec::new(),
        bytes: found.v1.bytes,
        write_rate: found.write_rate,
        port,
        sessions: Vec::new(),
        checks: checks::all(found),
        before: serde_json::to_value(before)
            .map_err(|error| Trouble::bug("the survey cannot be written").because(error))?,
        facts: alike::facts(found.v1, found.v2, found.v1_free, found.write_rate),
    })
}

fn before(found: &Found<'_>, owner: (u64, u64)) -> Result<Before, Trouble> {
    let (v1, own) = (found.v1, found.own);
    let made = Made::of(v1);
    let mut before = Before {
        serving: checks::serving(v1)?,
        gtid: checks::gtid_to_change(v1),
        auto_purge: v1.variables.get("binlog_expire_logs_auto_purge").cloned(),
        made,
        owners: [owner, found.v2.owner.unwrap_or(owner)],
        has_clone: own.has_clone,
        persisted: Vec::new(),
    };
    before.persisted = own.persisted.iter().filter(|(name, _)| !checks::is_ours(name, &before)).cloned().collect();
    Ok(before)
}

/// Of the side that serves, for the run that undoes another one.
pub(super) async fn serving(ask: &Serving<'_>) -> Result<before::Serving, Trouble> {
    let session = container::inside(ask.runtime, ask.container, ask.access).session(PATIENCE).await?;
    let variables = settings::in_force(&session).await?;
    checks::serving(&Said { variables, ..Said::default() })
}
