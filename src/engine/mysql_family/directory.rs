//! V2's data directory: made, or emptied, by a helper of V2's image that has V2's volumes.

use std::time::Duration;

use super::connect;
use crate::engine::{Place, Side};
use crate::runtime::{File, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// `$1`: the data directory.
const EMPTY: &str = r#"if [ -d "$1" ]; then find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; fi; echo emptied"#;

/// Before the engine's own part: `$1` run, `$2` data directory, `$3` owner; the rest is for the engine. What is there already
/// stays; what is half made goes.
const BEGIN: &str = r#"
run=$1 data=$2 owner=$3; shift 3
set -e
if [ -s "$data/switchover.made" ] && [ "$(cat "$data/switchover.made")" = "$run" ]; then echo made; exit 0; fi
mkdir -p "$data"
find "$data" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
chown "$owner" "$data"
chmod 750 "$data"
"#;

/// After it.
const FINISH: &str = r#"
printf '%s' "$run" > "$data/switchover.new"
chown "$owner" "$data/switchover.new"
sync "$data/switchover.new"
mv -f "$data/switchover.new" "$data/switchover.made"
sync "$data"
echo made
"#;

/// `script`: the engine's part, in a shell that knows `$data` and `$owner`; `arguments`: what it gets.
pub(in crate::engine) async fn ensure_made(
    place: &Place,
    owner: (u64, u64),
    script: &str,
    arguments: Vec<String>,
    files: Vec<File>,
) -> Result<(), Trouble> {
    let owner = format!("{}:{}", owner.0, owner.1);
    let script = format!("{BEGIN}{script}{FINISH}");
    let plan = &place.plan;
    let mut entrypoint = ["sh", "-c", &script, "sh", &plan.run, &plan.v2.data, &owner].map(str::to_owned).to_vec();
    entrypoint.extend(arguments);
    acted(place, entrypoint, files, "made").await
}

pub(in crate::engine) async fn ensure_empty(place: &Place) -> Result<(), Trouble> {
    let entrypoint = ["sh", "-c", EMPTY, "sh", &place.plan.v2.data].map(str::to_owned).to_vec();
    acted(place, entrypoint, Vec::new(), "emptied").await
}

async fn acted(place: &Place, entrypoint: Vec<String>, files: Vec<File>, word: &str) -> Result<(), Trouble> {
    let plan = &place.plan;
    if place.side != Side::V2 || !plan.made_v2() {
        return Err(Trouble::bug("only the volumes that this run made are filled"));
    }
    let spec = HelperSpec {
        name: format!("switchover-{}-directory", plan.tag()),
        image: plan.v2.image_id.clone(),
        entrypoint,
        user: Some("0:0".into()),
        mounts: plan.v2_volumes.iter().map(|(volume, at)| (volume.clone(), at.clone(), false)).collect(),
        files,
        labels: plan.labels("V2"),
        ..HelperSpec::default()
    };
    let mut helper = place.runtime.helper(&spec).await?;
    let acting = async {
        let mut last = None;
        while let Some(line) = helper.line().await? {
            last = Some(line);
        }
        Ok((last, helper.end().await?))
    };
    let limit = Limit { name: "limits.catch-up", value: plan.limits.catch_up.0.max(Duration::from_secs(60)) };
    let (said, output) = wait::within(limit, "V2's data directory", acting).await?;
    if said.as_deref() == Some(word) && output.code == 0 {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).lines().rev().take(6).collect::<Vec<_>>().join("; ");
    Err(Trouble::failed(format!("V2's data directory is not {word} (exit code {})", output.code))
        .because(Trouble::failed(why))
        .hint(format!("the server of {} says why; see also `docker logs {}`", plan.v2.image, connect::data(place))))
}
