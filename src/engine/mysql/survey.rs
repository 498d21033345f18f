//! The survey: V1 and V2's image, looked at without touching anything.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::before::{self, Before, Made};
use super::checks::{self, Found};
use super::{dialect, machine, position, said};
use crate::config::quantity::Bytes;
use crate::engine::mysql_family::connect::Timeouts;
use crate::engine::mysql_family::said::Said;
use crate::engine::mysql_family::{container, settings};
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
    let (mut v1, own) = said::said(&session).await?;
    v1.not_carried = copy::inventory(&session, &[]).await?.not_carried;
    let v2 = machine::of_image(ask.runtime, ask.v1, ask.v2).await?;
    let data = v1.variable("datadir").trim_end_matches('/').to_owned();
    let v1_free = ask.runtime.free_bytes(&ask.v1.id, &data).await?;
    let rate = rate(first.as_ref(), position::now(&session).await.ok().as_ref(), began.elapsed());
    let found = Found {
        v1: &v1,
        own: &own,
        v2: &v2,
        v1_free,
        write_rate: rate,
        allow: ask.allow,
        limits: ask.limits,
        seed: ask.seed,
    };
    let owner = container::owner(ask.runtime, ask.v1, &data).await?;
    written_down(&found, &before(&found, owner)?, data)
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
        seed_ms: 1000 * checks::seed_seconds(found, seed),
        v2_data: data.clone(),
        v1_data: data,
        more_data: Vec::new(),
        bytes: found.v1.bytes,
        write_rate: found.write_rate,
        port,
        checks: checks::all(found),
        before: serde_json::to_value(before)
            .map_err(|error| Trouble::bug("the survey cannot be written").because(error))?,
        facts: facts(found),
    })
}

fn facts(found: &Found<'_>) -> BTreeMap<String, String> {
    let unknown = || "unknown".to_owned();
    [
        ("size", Bytes(found.v1.bytes).to_string()),
        ("schemas", found.v1.schemas.to_string()),
        ("writes", found.write_rate.map_or_else(unknown, |rate| format!("{}/s", Bytes(rate)))),
        ("free on V1's disk", found.v1_free.map_or_else(unknown, |free| Bytes(free).to_string())),
        ("free on V2's disk", found.v2.free.map_or_else(unknown, |free| Bytes(free).to_string())),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn before(found: &Found<'_>, owner: (u64, u64)) -> Result<Before, Trouble> {
    let (v1, own) = (found.v1, found.own);
    let made = Made {
        lower_case_table_names: v1.variable("lower_case_table_names").to_owned(),
        page_size: v1.variable("innodb_page_size").to_owned(),
        data_file: v1.variable("innodb_data_file_path").to_owned(),
        charset: v1.variable("character_set_server").to_owned(),
        collation: v1.variable("collation_server").to_owned(),
    };
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

/// Within one file: what lies between two offsets. Nothing where the file changed meanwhile.
fn rate(first: Option<&position::At>, second: Option<&position::At>, between: Duration) -> Option<u64> {
    let (first, second) = (first?, second?);
    if first.file != second.file || between < Duration::from_millis(50) {
        return None;
    }
    let bytes = second.offset.checked_sub(first.offset)?;
    Some(bytes.saturating_mul(1000) / u64::try_from(between.as_millis()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_two_places_in_one_file() {
        let at = |file: &str, offset| position::At { file: file.into(), offset, set: String::new() };
        let half = Duration::from_millis(500);
        assert_eq!(rate(Some(&at("b.1", 1000)), Some(&at("b.1", 3000)), half), Some(4000));
        assert_eq!(rate(Some(&at("b.1", 1000)), Some(&at("b.2", 3000)), half), None);
        assert_eq!(rate(None, Some(&at("b.1", 3000)), half), None);
    }
}
