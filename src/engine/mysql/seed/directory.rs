//! V2's data directory, made anew by V2's own image, with nobody in it but us. What the image's entrypoint would do by V1's
//! environment (a database, a user, scripts of the first start) V1 has done already: its fruits come with the copy.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::engine::mysql::before::Before;
use crate::engine::mysql::{accounts, connect, names};
use crate::engine::mysql_wire::quote::{account, literal};
use crate::engine::{Place, Side};
use crate::runtime::{File, HelperSpec};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// `$1` run, `$2` data directory, `$3` owner; the rest: options of the server. Says `made` at its end.
const MAKE: &str = r#"
run=$1 data=$2 owner=$3; shift 3
set -e
if [ -s "$data/switchover.made" ] && [ "$(cat "$data/switchover.made")" = "$run" ]; then echo made; exit 0; fi
mkdir -p "$data"
find "$data" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
chown "$owner" "$data"
chmod 750 "$data"
mysqld --no-defaults --initialize-insecure --user="${owner%:*}" --datadir="$data" --init-file=/switchover.sql \
  --log-error-verbosity=1 "$@" >&2
printf '%s' "$run" > "$data/switchover.new"
chown "$owner" "$data/switchover.new"
sync "$data/switchover.new"
mv -f "$data/switchover.new" "$data/switchover.made"
sync "$data"
echo made
"#;

/// `$1`: the data directory.
const EMPTY: &str = r#"if [ -d "$1" ]; then find "$1" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; fi; echo emptied"#;

pub(super) async fn ensure_made(place: &Place) -> Result<(), Trouble> {
    let (plan, before) = (&place.plan, Before::of(&place.plan)?);
    let [_, (user, group)] = before.owners;
    let owner = format!("{user}:{group}");
    let mut entrypoint = ["sh", "-c", MAKE, "sh", &plan.run, &plan.v2.data, &owner].map(str::to_owned).to_vec();
    let made = &before.made;
    for (option, value) in [
        ("lower-case-table-names", &made.lower_case_table_names),
        ("innodb-page-size", &made.page_size),
        ("innodb-data-file-path", &made.data_file),
        ("character-set-server", &made.charset),
        ("collation-server", &made.collation),
    ] {
        if !value.is_empty() {
            entrypoint.push(format!("--{option}={value}"));
        }
    }
    // The server reads it as its own user.
    let file = File {
        path: "/switchover.sql".into(),
        content: first_statements(place)?.into_bytes(),
        mode: 0o600,
        uid: user,
        gid: group,
    };
    acted(place, entrypoint, vec![file], "made").await
}

pub(super) async fn ensure_empty(place: &Place) -> Result<(), Trouble> {
    let entrypoint = ["sh", "-c", EMPTY, "sh", &place.plan.v2.data].map(str::to_owned).to_vec();
    acted(place, entrypoint, Vec::new(), "emptied").await
}

/// One statement a line, as the server wants it.
fn first_statements(place: &Place) -> Result<String, Trouble> {
    let password = accounts::password(place, names::ADMIN_SECRET)?;
    let admin = account(&names::admin(&place.plan), names::ANYWHERE);
    let by = literal(password.expose_secret());
    Ok(format!(
        "CREATE USER {admin} IDENTIFIED WITH caching_sha2_password BY {by};\nGRANT ALL ON *.* TO {admin} WITH GRANT OPTION;\n\
         ALTER USER 'root'@'localhost' ACCOUNT LOCK;\n"
    ))
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
