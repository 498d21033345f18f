//! V2 is fit to serve: a physical copy has V1's data, roles, passwords and statistics by nature. What is left: its
//! settings in force are V1's, its files for `open` are ready, and neither side has much to write down in the window.

use std::collections::BTreeMap;
use std::time::Duration;

use super::session::{Session, Timeouts};
use super::{open, warm};
use crate::engine::Place;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Settings that differ on purpose while V2 follows, or belong to the container.
const APART: &str = "'archive_cleanup_command','archive_command','archive_library','config_file','data_directory',\
    'external_pid_file','hba_file','hot_standby','ident_file','in_hot_standby','lc_messages','max_slot_wal_keep_size',\
    'primary_conninfo','primary_slot_name','promote_trigger_file','recovery_end_command','recovery_min_apply_delay',\
    'recovery_target','recovery_target_lsn','recovery_target_name','recovery_target_time','recovery_target_timeline',\
    'recovery_target_xid','restore_command','synchronous_standby_names','transaction_read_only','wal_log_hints',\
    'wal_retrieve_retry_interval'";

const DATABASES: &str = "SELECT json_agg(datname) FROM pg_database WHERE datallowconn AND NOT datistemplate";

pub(super) async fn polish(v1: &Session, v2: &Session, place: &Place) -> Result<String, Trouble> {
    open::make_ready(place).await?;
    let differing = differing(v1, v2).await?;
    if !differing.is_empty() {
        place.tell.warning(format!("V2's settings differ from V1's: {}", differing.join(", ")));
    }
    let warmed = warm::warm(place, &v1.json::<Vec<String>>(DATABASES).await?).await;
    checkpoints(place).await?;
    Ok(format!(
        "V1's access rules and settings are ready on V2; {}; {warmed}",
        if differing.is_empty() { "all settings in force are equal".to_owned() } else { differing.join(", ") }
    ))
}

async fn differing(v1: &Session, v2: &Session) -> Result<Vec<String>, Trouble> {
    let sql = format!(
        "SELECT json_object_agg(name, coalesce(setting, '')) FROM pg_settings \
         WHERE context <> 'internal' AND name NOT IN ({APART})"
    );
    let (left, right): (BTreeMap<String, String>, BTreeMap<String, String>) =
        (v1.json(&sql).await?, v2.json(&sql).await?);
    let differ = left.iter().filter(|(name, value)| right.get(*name).is_some_and(|other| other != *value));
    Ok(differ.map(|(name, value)| said(name, value, right.get(name).map_or("", String::as_str))).collect())
}

/// Settings with a dot are the user's own, and commands may hold passwords: their values are not shown.
fn said(name: &str, v1: &str, v2: &str) -> String {
    if name.contains('.') || name.ends_with("_command") || name.ends_with("conninfo") {
        return name.to_owned();
    }
    format!("{name} ({} → {})", v1.escape_debug(), v2.escape_debug())
}

/// What is written down now need not be written down in the window.
async fn checkpoints(place: &Place) -> Result<(), Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let one = async |place: &Place| {
        let session = super::connect::admin(place, "switchover", Timeouts::NONE).await?;
        session.run("CHECKPOINT").await
    };
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0.max(Duration::from_secs(60)) };
    wait::within(limit, "a checkpoint on V1", one(&leader)).await?;
    wait::within(limit, "a checkpoint on V2", one(place)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_may_be_secret_are_not_shown() {
        assert_eq!(said("app.jwt_secret", "a", "b"), "app.jwt_secret");
        assert_eq!(said("work_mem", "4096", "8192"), "work_mem (4096 → 8192)");
    }
}
