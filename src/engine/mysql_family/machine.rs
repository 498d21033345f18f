//! What V2's image brings: asked in a short-lived container of it, without network, with V1's own configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use super::container;
use crate::runtime::{Container, HelperSpec, Image, LABEL_NAME, Runtime};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// What was found. An empty text or `None` is unknown, which is never taken for equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Machine {
    /// As in `9.7.4`.
    pub(in crate::engine) version: String,
    pub(in crate::engine) owner: Option<(u64, u64)>,
    pub(in crate::engine) free: Option<u64>,
    pub(in crate::engine) tools: Vec<String>,
    /// V1's command line and configuration files suit it.
    pub(in crate::engine) configured: bool,
    /// Why not.
    pub(in crate::engine) refuses: Vec<String>,
    /// Folders in which it looks for option files, where that was asked.
    pub(in crate::engine) folders: Vec<String>,
}

/// The part of a look that is alike: `$1` is the user the server runs as (empty: the image's `mysql`).
pub(in crate::engine) const LOOK: &str = r#"
user=$1; shift
say() { printf '%s %s\n' "$1" "$2"; }
case $user in
  '') uid=$(id -u mysql 2>/dev/null) gid=$(id -g mysql 2>/dev/null) ;;
  *:*) uid=${user%%:*} gid=${user#*:} ;;
  *) uid=$user gid=$(id -g "$user" 2>/dev/null) || gid=0 ;;
esac
case $uid in *[!0-9]*) uid=$(id -u "$uid" 2>/dev/null) ;; esac
say uid "$uid"
say gid "${gid:-0}"
say free "$(df -P -k / 2>/dev/null | awk 'END { print $(NF-2) }')"
for tool in bash mysql mysqld mariadb mariadbd mariadb-install-db; do
  command -v "$tool" >/dev/null 2>&1 && say tool "$tool"
done
"#;

/// `own`: the engine's part of the look, which says `version`, and `configuration good` or `refuses WHY`, with the server's
/// arguments as V1 has them. Whether the version is one of the engine's is for the engine to see.
pub(in crate::engine) async fn of_image(
    runtime: &dyn Runtime,
    v1: &Container,
    image: &Image,
    own: &str,
) -> Result<Machine, Trouble> {
    let script = format!("{LOOK}{own}");
    let mut argv: Vec<String> = ["sh", "-c", &script, "sh", &v1.user].map(str::to_owned).to_vec();
    argv.extend(container::arguments(v1));
    let spec = HelperSpec {
        name: format!("switchover-look-{}", std::process::id()),
        image: image.id.clone(),
        entrypoint: argv,
        user: Some("0:0".into()),
        mounts: container::configuration(v1),
        labels: BTreeMap::from([(LABEL_NAME.to_owned(), "survey".to_owned())]),
        ..HelperSpec::default()
    };
    let asking = async {
        let mut helper = runtime.helper(&spec).await?;
        let mut text = String::new();
        while let Some(line) = helper.line().await? {
            text.push_str(&line);
            text.push('\n');
        }
        helper.end().await?;
        Ok(read(&text))
    };
    let limit = Limit { name: "limits.statement", value: Duration::from_secs(60) };
    wait::within(limit, "looking into V2's image", asking).await
}

pub(in crate::engine) fn read(text: &str) -> Machine {
    let mut found = Machine::default();
    let (mut uid, mut gid) = (None, None);
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim();
        match key {
            "version" => found.version = version(value),
            "uid" => uid = value.parse().ok(),
            "gid" => gid = value.parse().ok(),
            "free" => found.free = value.parse::<u64>().ok().map(|kib| kib * 1024),
            "tool" => found.tools.push(value.to_owned()),
            "configuration" => found.configured = true,
            "folder" => found.folders.push(value.to_owned()),
            "refuses" => found.refuses.push(value.to_owned()),
            _ => {}
        }
    }
    found.owner = uid.zip(gid);
    found
}

/// The number out of `mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))`. MariaDB's bears its name.
fn version(said: &str) -> String {
    let after = said.split_once(" Ver ").map(|(_, rest)| rest).unwrap_or_default();
    after.split_whitespace().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_says_is_read() {
        let found = read(
            "version /usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))\nuid 999\ngid 999\nfree 1024\n\
             tool bash\ntool mysql\nrefuses unknown variable 'expire_logs_days=3'.\nrefuses Aborting\n",
        );
        assert_eq!((found.version.as_str(), found.owner, found.free), ("9.7.4-2", Some((999, 999)), Some(1 << 20)));
        assert!(!found.configured && found.refuses[0] == "unknown variable 'expire_logs_days=3'.");
        assert_eq!(version("mariadbd  Ver 11.8.6-MariaDB-0 for debian-linux-gnu"), "11.8.6-MariaDB-0");
    }
}
