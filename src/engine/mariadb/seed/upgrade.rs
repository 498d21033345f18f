//! V2's server on data of V1's version: brought up to its own, by its own program, before it follows.

use crate::engine::mariadb::before::Before;
use crate::engine::mariadb::position::At;
use crate::engine::mysql_family::copier::patience;
use crate::engine::mysql_family::{accounts, client_file, connect, names, running};
use crate::engine::mysql_wire::quote::literal;
use crate::engine::{Place, Side};
use crate::runtime::HelperSpec;
use crate::trouble::Trouble;
use crate::wait;

/// `$1` the data directory, `$2` its owner. The program leaves a note beside the data, which the image's entrypoint asks.
const UPGRADE: &str = r#"
tool=$(command -v mariadb-upgrade || command -v mysql_upgrade) || { echo "no mariadb-upgrade in V2's image" >&2; exit 1; }
cp /switchover.cnf /tmp/upgrade.cnf && "$tool" --defaults-file=/tmp/upgrade.cnf --skip-write-binlog >/tmp/said 2>&1 ||
  { tail -n 6 /tmp/said >&2; exit 1; }
for note in "$1"/mysql_upgrade_info "$1"/mariadb_upgrade_info; do if [ -e "$note" ]; then chown "$2" "$note"; fi; done
echo upgraded
"#;

/// V2 runs on the copy, its own tables are its version's, and it goes on from there in V1's log.
pub(super) async fn ensure_begins_at(place: &Place, at: &At) -> Result<(), Trouble> {
    let session = running::ensure_running(place).await?;
    ensure_upgraded(place).await?;
    session.run("RESET MASTER").await?;
    session.run(&format!("SET GLOBAL gtid_slave_pos = {}", literal(&at.gtids))).await
}

async fn ensure_upgraded(place: &Place) -> Result<(), Trouble> {
    const WHAT: &str = "mariadb-upgrade of V2's version";
    let plan = &place.plan;
    let host: String = connect::found(place).await?.id.chars().take(12).collect();
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let login = client_file::text(&names::admin(plan), &password, &host, connect::port(place));
    let (uid, gid) = Before::of(plan)?.owner(Side::V2);
    let owner = format!("{uid}:{gid}");
    let spec = HelperSpec {
        name: format!("switchover-{}-upgrade", plan.tag()),
        image: plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", UPGRADE, "sh", connect::data(place), &owner].map(str::to_owned).to_vec(),
        user: Some("0:0".into()),
        network: Some(plan.private_network.clone()),
        mounts: plan.v2_volumes.iter().map(|(volume, at)| (volume.clone(), at.clone(), false)).collect(),
        files: vec![client_file::file(login)],
        labels: plan.labels("V2"),
        ..HelperSpec::default()
    };
    place.tell.waiting(WHAT, "it looks at every table once");
    let mut helper = place.runtime.helper(&spec).await?;
    let upgrading = async {
        let said = helper.line().await?;
        Ok((said, helper.end().await?))
    };
    let (said, output) = wait::within(patience(place), WHAT, upgrading).await?;
    if said.as_deref() == Some("upgraded") {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Trouble::failed(format!("{WHAT}: not done")).because(Trouble::failed(why)).hint("V1 serves as before"))
}
