//! A position in V1's log: an LSN, and after the fence also the next transaction id.
//!
//! On PostgreSQL background processes write WAL after the fence, so that "V1 did not move" means *next transaction
//! id unchanged and none running*, never an equal LSN.

use crate::engine::Position;
use crate::trouble::Trouble;

/// As in `0/3A0001F8` or `0/3A0001F8 next-xid 771`.
pub(super) fn position(lsn: &str, next_xid: Option<&str>) -> Position {
    Position(match next_xid {
        Some(xid) => format!("{lsn} next-xid {xid}"),
        None => lsn.to_owned(),
    })
}

/// The LSN, checked: it is put into statements.
pub(super) fn lsn(position: &Position) -> Result<&str, Trouble> {
    let lsn = position.0.split(' ').next().unwrap_or_default();
    let hex = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
    match lsn.split_once('/') {
        Some((high, low)) if hex(high) && hex(low) => Ok(lsn),
        _ => Err(Trouble::bug(format!("not a position of PostgreSQL: {position}"))),
    }
}

/// The next transaction id at that position. Without one nothing can be said of V1 having stood still.
pub(super) fn next_xid(position: &Position) -> Result<&str, Trouble> {
    position
        .0
        .split_once(" next-xid ")
        .map(|(_, xid)| xid)
        .ok_or_else(|| Trouble::bug(format!("a position without a transaction id: {position}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_again_and_rubbish_is_refused() {
        let at = position("0/3A0001F8", Some("771"));
        assert_eq!((lsn(&at).unwrap(), next_xid(&at).unwrap()), ("0/3A0001F8", "771"));
        assert!(next_xid(&position("0/1", None)).is_err());
        for rubbish in ["", "0", "0/", "0/1'; DROP", "0/123456789", "g/1"] {
            assert!(lsn(&Position(rubbish.into())).is_err(), "{rubbish}");
        }
    }
}
