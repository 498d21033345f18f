//! A place in a binary log: file, offset, and the last transaction of each domain up to there.

use std::collections::BTreeMap;

use crate::engine::Position;
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) file: String,
    pub(super) offset: u64,
    /// As in `0-1-270,5-1-3`.
    pub(super) gtids: String,
}

pub(super) fn position(at: &At) -> Position {
    Position(format!("{} {} {}", at.file, at.offset, at.gtids).trim_end().to_owned())
}

pub(super) fn read(position: &Position) -> Result<At, Trouble> {
    let mut words = position.0.splitn(3, ' ');
    match (words.next(), words.next().and_then(|word| word.parse().ok()), words.next()) {
        (Some(file), Some(offset), gtids) => {
            Ok(At { file: file.to_owned(), offset, gtids: gtids.unwrap_or_default().to_owned() })
        }
        _ => Err(Trouble::bug("a position is not understood")),
    }
}

/// Where the server's log ends now. Of one moment only where nothing is written: a GTID is never older than file and offset.
pub(super) async fn now(session: &Session) -> Result<At, Trouble> {
    let row = session.named("SHOW MASTER STATUS").await?.unwrap_or_default();
    let gtids = session.text("SELECT @@GLOBAL.gtid_binlog_pos").await?;
    match (row.get("File"), row.get("Position").and_then(|offset| offset.parse().ok()), gtids) {
        (Some(file), Some(offset), Some(gtids)) => Ok(At { file: file.clone(), offset, gtids }),
        _ => Err(Trouble::failed("the server does not say where its binary log ends")),
    }
}

/// The last number of every domain and server.
pub(super) type Reached = BTreeMap<(u32, u32), u64>;

pub(super) fn reached(gtids: &str) -> Result<Reached, Trouble> {
    let one = |gtid: &str| {
        let mut parts = gtid.trim().splitn(3, '-');
        let (domain, server, number) = (parts.next()?, parts.next()?, parts.next()?);
        Some(((domain.parse().ok()?, server.parse().ok()?), number.parse().ok()?))
    };
    let mut all = Reached::new();
    for gtid in gtids.split(',').filter(|gtid| !gtid.trim().is_empty()) {
        let (key, number) = one(gtid).ok_or_else(|| Trouble::failed("a GTID is not understood"))?;
        let known = all.entry(key).or_insert(number);
        *known = number.max(*known);
    }
    Ok(all)
}

/// What `ours` holds that is beyond all that `theirs` holds, as GTIDs.
pub(super) fn beyond(ours: &Reached, theirs: &Reached) -> Vec<String> {
    let missing = |(key, number): &(&(u32, u32), &u64)| theirs.get(key).is_none_or(|theirs| theirs < number);
    ours.iter().filter(missing).map(|((domain, server), number)| format!("{domain}-{server}-{number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back() {
        let at = At { file: "binlog.000002".into(), offset: 157, gtids: "0-1-270,5-1-3".into() };
        assert_eq!(read(&position(&at)).unwrap(), at);
        let none = At { gtids: String::new(), ..at };
        assert_eq!(read(&position(&none)).unwrap(), none);
    }

    #[test]
    fn what_the_other_side_has_not_is_told() {
        let reached = |text| reached(text).unwrap();
        let v1 = reached("0-1-270,0-7-3");
        assert_eq!(beyond(&reached("0-1-200"), &v1), Vec::<String>::new());
        assert_eq!(beyond(&reached("0-1-271,0-9-1"), &v1), ["0-1-271", "0-9-1"]);
        assert_eq!(beyond(&reached(""), &reached("")), Vec::<String>::new());
        assert!(super::reached("0-x-1").is_err());
    }
}
