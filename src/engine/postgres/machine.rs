//! What an image of PostgreSQL brings: asked inside V1, and in a short-lived container of V2's image without network.

use std::collections::BTreeMap;

use crate::runtime::{Call, Container, HelperSpec, Image, Runtime};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// `$1`: the user the server runs as (empty: the image's `postgres`). The rest: files and `lib:` names that are needed.
/// Says `key value` lines; what it cannot find out it does not say.
const LOOK: &str = r#"
user=$1; shift
say() { printf '%s %s\n' "$1" "$2"; }
say machine "$(uname -m)"
libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=$(ldd --version 2>&1 | tr '\n' ' ')
say libc "$libc"
server=$(command -v postgres) || for server in /usr/lib/postgresql/*/bin/postgres; do :; done
say version "$("$server" --version 2>/dev/null)"
say icu "$(ldd "$server" 2>/dev/null | sed -n 's/.*libicui18n\.so\.\([0-9]*\).*/\1/p' | head -n 1)"
case $user in
  '') uid=$(id -u postgres 2>/dev/null) gid=$(id -g postgres 2>/dev/null) ;;
  *:*) uid=${user%%:*} gid=${user#*:} ;;
  *) uid=$user gid=$(id -g "$user" 2>/dev/null) || gid=0 ;;
esac
case $uid in *[!0-9]*) uid=$(id -u "$uid" 2>/dev/null) ;; esac
case $gid in *[!0-9]*) gid=$(sed -n "s/^$gid:[^:]*:\([0-9]*\):.*/\1/p" /etc/group) ;; esac
say uid "$uid"
say gid "${gid:-0}"
say free "$(df -P -k / 2>/dev/null | awk 'END { print $(NF-2) }')"
for tool in pg_basebackup pg_rewind psql initdb pg_dump pg_dumpall pg_restore pg_upgrade pg_ctl pg_controldata; do
  { command -v "$tool" || ls "${server%/*}/$tool"; } >/dev/null 2>&1 && say tool "$tool"
done
libraries=
for dir in "$("${server%/*}/pg_config" --pkglibdir 2>/dev/null)" "${server%/*}/../lib" /usr/local/lib/postgresql /usr/lib/postgresql; do
  if [ -n "$dir" ] && [ -e "$dir/plpgsql.so" ]; then libraries=$dir; break; fi
done
[ -z "$libraries" ] || say libraries known
for share in "$("${server%/*}/pg_config" --sharedir 2>/dev/null)" /usr/share/postgresql/* /usr/local/share/postgresql; do
  if [ -n "$share" ] && [ -e "$share/extension/plpgsql.control" ]; then break; fi
done
for need; do
  case $need in
    ext:*)
      control=$share/extension/${need#ext:}.control
      [ ! -e "$control" ] || say has "$need $(sed -n "s/^ *default_version *= *'\([^']*\)'.*/\1/p" "$control")"
      continue ;;
    locale:*)
      case ${need#locale:} in
        C|POSIX) say has "$need" ;;
        *) LC_ALL=${need#locale:} locale 2>&1 >/dev/null | grep -q . || say has "$need" ;;
      esac
      continue ;;
    lib:/*) file=${need#lib:} ;;
    lib:*) file=$libraries/${need#lib:} ;;
    *) file=$need ;;
  esac
  if [ -e "$file" ] || [ -e "$file.so" ]; then say has "$need"; fi
done
"#;

/// What was found. An empty text or `None` is unknown, which is never taken for equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) architecture: String,
    /// As in `glibc 2.36`, `musl 1.2.5`.
    pub(super) libc: String,
    /// ICU's major version; empty where the server is linked without it.
    pub(super) icu: String,
    /// As in `15.20`.
    pub(super) version: String,
    pub(super) owner: Option<(u64, u64)>,
    pub(super) free: Option<u64>,
    pub(super) tools: Vec<String>,
    pub(super) libraries_known: bool,
    pub(super) has: Vec<String>,
}

/// Inside a running container.
pub(super) async fn of_container(runtime: &dyn Runtime, container: &Container) -> Result<Machine, Trouble> {
    let argv = ["sh", "-c", LOOK, "sh", &container.user];
    let call = Call { argv: &argv, user: None, stdin: b"" };
    let output = runtime.exec(&container.id, &call).await?;
    Ok(read(&String::from_utf8_lossy(&output.stdout)))
}

/// In a container of the image, made for the question.
pub(super) async fn of_image(
    runtime: &dyn Runtime,
    image: &Image,
    user: &str,
    needs: &[String],
) -> Result<Machine, Trouble> {
    let mut argv: Vec<String> = ["sh", "-c", LOOK, "sh", user].map(str::to_owned).to_vec();
    argv.extend(needs.iter().cloned());
    let name = format!("switchover-look-{}", std::process::id());
    let labels = BTreeMap::from([(crate::runtime::LABEL_NAME.to_owned(), "survey".to_owned())]);
    let spec = HelperSpec {
        name,
        image: image.id.clone(),
        entrypoint: argv,
        user: Some("0:0".into()),
        labels,
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
    let limit = Limit { name: "limits.statement", value: std::time::Duration::from_secs(60) };
    let found = wait::within(limit, "looking into V2's image", asking).await?;
    if found.version.is_empty() {
        return Err(Trouble::refused(format!("no PostgreSQL server was found in image {}", image.reference))
            .hint("name an image that has `postgres` in its PATH"));
    }
    Ok(found)
}

fn read(text: &str) -> Machine {
    let mut found = Machine::default();
    let (mut uid, mut gid) = (None, None);
    for line in text.lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim();
        match key {
            "machine" => value.clone_into(&mut found.architecture),
            "libc" => found.libc = libc(value),
            "version" => found.version = version(value),
            "icu" => value.clone_into(&mut found.icu),
            "uid" => uid = value.parse().ok(),
            "gid" => gid = value.parse().ok(),
            "free" => found.free = value.parse::<u64>().ok().map(|kib| kib * 1024),
            "tool" => found.tools.push(value.to_owned()),
            "libraries" => found.libraries_known = true,
            "has" => found.has.push(value.to_owned()),
            _ => {}
        }
    }
    found.owner = uid.zip(gid);
    found
}

/// `glibc 2.36` as `getconf` says it, or out of musl's `ldd`.
fn libc(said: &str) -> String {
    if !said.contains("musl") {
        return if said.starts_with("glibc ") { said.to_owned() } else { String::new() };
    }
    let mut words = said.split_whitespace();
    match (words.by_ref().find(|word| *word == "Version"), words.next()) {
        (Some(_), Some(version)) => format!("musl {version}"),
        _ => String::new(),
    }
}

/// The number out of `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)`.
fn version(said: &str) -> String {
    said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default().to_owned()
}

/// Major and minor of `15.20`, `18beta1`, `19rc1` (minor 0).
pub(super) fn major_minor(version: &str) -> Option<(u32, u32)> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let (major, rest) = version.split_once('.').unwrap_or((version, ""));
    let minor = digits(rest);
    Some((digits(major).parse().ok()?, minor.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_debian_and_an_alpine_image_say_is_read() {
        let debian = read(
            "machine x86_64\nlibc glibc 2.36\nversion postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\nicu 72\n\
             uid 999\ngid 999\nfree 1024\ntool psql\nlibraries known\nhas lib:pg_trgm\n",
        );
        assert_eq!((debian.libc.as_str(), debian.version.as_str(), debian.icu.as_str()), ("glibc 2.36", "15.20", "72"));
        assert_eq!((debian.owner, debian.free), (Some((999, 999)), Some(1 << 20)));
        assert!(debian.libraries_known && debian.has == ["lib:pg_trgm"] && debian.tools == ["psql"]);
        let alpine = read("libc musl libc (x86_64) Version 1.2.5 Dynamic Program Loader\nicu \nuid 70\ngid \n");
        assert_eq!((alpine.libc.as_str(), alpine.icu.as_str(), alpine.owner), ("musl 1.2.5", "", None));
        assert_eq!(read("libc ldd (Something else) 9\n").libc, "", "unknown stays unknown");
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(major_minor("15.20"), Some((15, 20)));
        assert_eq!(major_minor("18beta1"), Some((18, 0)));
        assert_eq!(major_minor("17"), Some((17, 0)));
        assert_eq!(major_minor(""), None);
    }
}
