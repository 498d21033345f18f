//! What V2's image brings: asked in a short-lived container of it, without network, with V1's own configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::runtime::{Container, HelperSpec, Image, MountKind, Runtime};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// `$1`: the user the server runs as (empty: the image's `mysql`); the rest: the server's arguments as V1 has them. Says
/// `key value` lines; what it cannot find out it does not say.
const LOOK: &str = r#"
user=$1; shift
say() { printf '%s %s\n' "$1" "$2"; }
server=$(command -v mysqld) || server=/usr/sbin/mysqld
say version "$("$server" --no-defaults --version 2>/dev/null)"
case $user in
  '') uid=$(id -u mysql 2>/dev/null) gid=$(id -g mysql 2>/dev/null) ;;
  *:*) uid=${user%%:*} gid=${user#*:} ;;
  *) uid=$user gid=$(id -g "$user" 2>/dev/null) || gid=0 ;;
esac
case $uid in *[!0-9]*) uid=$(id -u "$uid" 2>/dev/null) ;; esac
say uid "$uid"
say gid "${gid:-0}"
say free "$(df -P -k / 2>/dev/null | awk 'END { print $(NF-2) }')"
for tool in bash mysql mysqld; do
  command -v "$tool" >/dev/null 2>&1 && say tool "$tool"
done
if why=$("$server" "$@" --validate-config --user=mysql 2>&1); then say configuration good
else printf '%s\n' "$why" | sed -n 's/.*\[ERROR\] \(\[[^]]*\] \)*/refuses /p'; fi
"#;

/// What was found. An empty text or `None` is unknown, which is never taken for equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// As in `9.7.4`.
    pub(super) version: String,
    pub(super) owner: Option<(u64, u64)>,
    pub(super) free: Option<u64>,
    pub(super) tools: Vec<String>,
    /// V1's command line and configuration files suit it.
    pub(super) configured: bool,
    /// Why not.
    pub(super) refuses: Vec<String>,
}

pub(super) async fn of_image(runtime: &dyn Runtime, v1: &Container, image: &Image) -> Result<Machine, Trouble> {
    let mut argv: Vec<String> = ["sh", "-c", LOOK, "sh", &v1.user].map(str::to_owned).to_vec();
    argv.extend(arguments(v1));
    let spec = HelperSpec {
        name: format!("switchover-look-{}", std::process::id()),
        image: image.id.clone(),
        entrypoint: argv,
        user: Some("0:0".into()),
        mounts: configuration(v1),
        labels: BTreeMap::from([(crate::runtime::LABEL_NAME.to_owned(), "survey".to_owned())]),
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
    let found = wait::within(limit, "looking into V2's image", asking).await?;
    if found.version.is_empty() {
        return Err(Trouble::refused(format!("no MySQL server was found in image {}", image.reference))
            .hint("name an image that has `mysqld` in its PATH"));
    }
    Ok(found)
}

/// The server's arguments, without its name.
pub(super) fn arguments(v1: &Container) -> Vec<String> {
    v1.command.iter().filter(|word| word.starts_with("--")).cloned().collect()
}

/// What is mounted into V1 and is no volume: its configuration may be among it.
fn configuration(v1: &Container) -> Vec<(String, String, bool)> {
    let files = v1.mounts.iter().filter(|mount| {
        mount.kind == MountKind::Bind && ["/etc/", "/usr/", "/opt/"].iter().any(|at| mount.destination.starts_with(at))
    });
    files.map(|mount| (mount.source.clone(), mount.destination.clone(), true)).collect()
}

fn read(text: &str) -> Machine {
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
            "refuses" => found.refuses.push(value.to_owned()),
            _ => {}
        }
    }
    found.owner = uid.zip(gid);
    found
}

/// The number out of `mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))`. MariaDB's says so, and is none.
fn version(said: &str) -> String {
    let after = said.split_once(" Ver ").map(|(_, rest)| rest).unwrap_or_default();
    let version = after.split_whitespace().next().unwrap_or_default();
    if said.contains("MariaDB") { String::new() } else { version.to_owned() }
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
        assert_eq!(version("mariadbd  Ver 11.8.6-MariaDB-0 for debian-linux-gnu"), "");
    }
}
