//! What V2's image makes of V1's configuration, in MySQL's own words.

use crate::engine::mysql_family::machine::{self, Machine};
use crate::runtime::{Container, Image, Runtime};
use crate::trouble::Trouble;

const LOOK: &str = r#"
server=$(command -v mysqld) || server=/usr/sbin/mysqld
say version "$("$server" --no-defaults --version 2>/dev/null)"
if why=$("$server" "$@" --validate-config --user=mysql 2>&1); then say configuration good
else printf '%s\n' "$why" | sed -n 's/.*\[ERROR\] \(\[[^]]*\] \)*/refuses /p'; fi
"#;

pub(super) async fn of_image(runtime: &dyn Runtime, v1: &Container, image: &Image) -> Result<Machine, Trouble> {
    let found = machine::of_image(runtime, v1, image, LOOK).await?;
    if found.version.is_empty() || found.version.contains("MariaDB") {
        return Err(Trouble::refused(format!("no MySQL server was found in image {}", image.reference))
            .hint("name an image that has `mysqld` in its PATH"));
    }
    Ok(found)
}
