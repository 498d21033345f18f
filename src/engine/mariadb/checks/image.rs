//! What V2's image makes of V1's version and command line, and where both read option files.

use super::{Found, alike, passed, refused};
use crate::engine::Check;
use crate::engine::mariadb::dialect::{OLDEST, Version};
use crate::engine::mysql_family::machine::Machine;
use crate::engine::mysql_family::said::Said;
use crate::engine::mysql_family::upgrade::Leap;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![
        alike::rights(found.v1),
        path(found.v1, found.v2),
        alike::configuration(found.v2),
        alike::tools(found.v2, &["bash", "mariadb", "mariadb-install-db"]),
        option_folder(found.folders),
    ]
}

/// A replica may be newer than what it follows, by any number of versions. (MariaDB: "Replication: cross-version
/// compatibility")
pub(super) fn path(v1: &Said, v2: &Machine) -> Check {
    let id = "version-path";
    let (Some(old), Some(new)) = (Version::read(&v1.version), Version::read(&v2.version)) else {
        return refused(
            id,
            format!("versions {} and {} are not understood", v1.version, v2.version),
            "name images of MariaDB",
        );
    };
    let number = |v: Version| format!("{}.{}.{}", v.0, v.1, v.2);
    let said = format!("{} → {}", number(old), number(new));
    if new.series() < old.series() || new < old {
        return refused(id, format!("{said}: V2 is older"), "a replica must not be older than what it follows");
    }
    if old < OLDEST {
        return refused(id, format!("{said}: V1 is older than 10.5"), "not supported: go to 10.5 by other means first");
    }
    passed(id, said)
}

/// How far V2's version is from V1's. A version that is not understood is refused elsewhere.
pub(super) fn leap(found: &Found<'_>) -> Leap {
    let series = |text: &str| Version::read(text).map(Version::series);
    Leap { newer: series(&found.v2.version) > series(&found.v1.version), ..Leap::default() }
}

fn option_folder(folders: &[Option<String>; 2]) -> Check {
    let id = "option-folder";
    match folders {
        [Some(v1), Some(v2)] => passed(id, format!("V1 reads option files from {v1}, V2 from {v2}")),
        [v1, _] => {
            let side = if v1.is_none() { "V1" } else { "V2" };
            refused(
                id,
                format!(
                    "every folder from which {side} reads option files is mounted: nothing of ours can be put there"
                ),
                "mount your files one by one into /etc/mysql/conf.d instead of the whole folder",
            )
        }
    }
}
