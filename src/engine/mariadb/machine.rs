//! What V2's image makes of V1's configuration, in MariaDB's own words; and where a server looks for option files.

use crate::engine::mysql_family::machine::{self, Machine};
use crate::runtime::{Call, Container, Image, Runtime};
use crate::trouble::Trouble;

/// `say` and the arguments are there already.
const LOOK: &str = r#"
server=$(command -v mariadbd) || server=$(command -v mysqld)
say version "$("$server" --no-defaults --version 2>/dev/null)"
if why=$("$server" "$@" --verbose --help --user=mysql 2>&1 >/dev/null); then say configuration good
else printf '%s\n' "$why" | sed -n 's/.*\[ERROR\] \([^:]*: \)\{0,1\}/refuses /p'; fi
"#;

/// Folders of option files, in the order in which they are read.
const FOLDERS: &str = r#"
for file in /etc/my.cnf /etc/mysql/my.cnf; do
  if [ -r "$file" ]; then sed -n 's/^!includedir[[:space:]]*//p' "$file"; fi
done | while read -r folder; do
  if [ -d "$folder" ]; then printf '%s %s\n' folder "${folder%/}"; fi
done
"#;

pub(super) async fn of_image(runtime: &dyn Runtime, v1: &Container, image: &Image) -> Result<Machine, Trouble> {
    let found = machine::of_image(runtime, v1, image, &format!("{LOOK}{FOLDERS}")).await?;
    if found.version.contains("MariaDB") {
        return Ok(found);
    }
    Err(Trouble::refused(format!("no MariaDB server was found in image {}", image.reference))
        .hint("name an image that has `mariadbd` in its PATH"))
}

/// Of V1, which runs.
pub(super) async fn folders(runtime: &dyn Runtime, v1: &Container) -> Result<Vec<String>, Trouble> {
    let argv = ["sh", "-c", FOLDERS];
    let said = runtime.exec(&v1.id, &Call { argv: &argv, user: None, stdin: b"" }).await?;
    Ok(machine::read(&String::from_utf8_lossy(&said.stdout)).folders)
}

/// Of V1, which runs: its image has the program that copies its pages.
pub(super) async fn has_backup(runtime: &dyn Runtime, v1: &Container) -> Result<bool, Trouble> {
    let argv = ["sh", "-c", "command -v mariadb-backup || command -v mariabackup"];
    Ok(runtime.exec(&v1.id, &Call { argv: &argv, user: None, stdin: b"" }).await?.code == 0)
}

/// The last of them that is the container's own: a mounted one is its owner's.
pub(super) fn own_folder(folders: &[String], v1: &Container) -> Option<String> {
    let mounted = |folder: &&String| {
        v1.mounts.iter().any(|mount| {
            let at = mount.destination.trim_end_matches('/');
            *folder == at || folder.starts_with(&format!("{at}/"))
        })
    };
    folders.iter().rev().find(|folder| !mounted(folder)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::container;
    use crate::runtime::{Mount, MountKind};

    #[test]
    fn a_mounted_folder_is_not_written_to() {
        let folders = ["/etc/mysql/mariadb.conf.d", "/etc/mysql/conf.d"].map(str::to_owned);
        let mut v1 = container();
        assert_eq!(own_folder(&folders, &v1).as_deref(), Some("/etc/mysql/conf.d"));
        let mount = |at: &str| Mount {
            kind: MountKind::Bind,
            source: "/somewhere".into(),
            destination: at.into(),
            read_only: true,
        };
        v1.mounts.push(mount("/etc/mysql/conf.d"));
        assert_eq!(own_folder(&folders, &v1).as_deref(), Some("/etc/mysql/mariadb.conf.d"));
        v1.mounts.push(mount("/etc/mysql"));
        assert_eq!(own_folder(&folders, &v1), None);
        v1.mounts = vec![mount("/etc/mysql/conf.d/mine.cnf")];
        assert_eq!(own_folder(&folders, &v1).as_deref(), Some("/etc/mysql/conf.d"), "one file in it is no harm");
    }
}
