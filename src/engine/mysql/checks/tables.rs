//! What V1 holds, and where it could be reached by another door.

use super::{Found, noted, passed, refused, some, unless_allowed};
use crate::engine::Check;
use crate::engine::mysql::said::Said;

pub(super) fn checks(found: &Found<'_>) -> Vec<Check> {
    vec![engines(found.v1, found.allow), keys(found.v1), encryption(found.v1), side_door(found.v1)]
}

fn engines(v1: &Said, allow: &[String]) -> Check {
    let id = "not-transactional";
    if v1.not_innodb.is_empty() {
        return passed(id, "every table is InnoDB");
    }
    let found =
        format!("rows that are written into these during the copy may be missing on V2: {}", some(&v1.not_innodb));
    unless_allowed(allow, id, id, found, "ALTER TABLE … ENGINE = InnoDB carries them over")
}

fn keys(v1: &Said) -> Check {
    let id = "no-primary-key";
    match v1.keyless.is_empty() {
        true => passed(id, "every table has a primary key"),
        false => {
            noted(id, format!("each change of these makes V2 look for the row by all of it: {}", some(&v1.keyless)))
        }
    }
}
fn encryption(v1: &Said) -> Check {
    let id = "encryption";
    match v1.encrypted {
        0 => passed(id, "no table is encrypted"),
        n => refused(
            id,
            format!("{n} tables are encrypted, and V2 would not have the key"),
            "not supported: decrypt them first",
        ),
    }
}

/// Sessions that come in there are not counted with the others.
fn side_door(v1: &Said) -> Check {
    let id = "admin-address";
    if v1.variable("admin_address").is_empty() {
        return passed(id, "clients come by one port");
    }
    refused(id, "V1 has an administrative address, which cannot be shut", "start V1 without admin_address")
}
