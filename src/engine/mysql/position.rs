//! A place in V1's binary log: file, offset, and the set of all transactions up to there.

use super::dialect::Version;
use crate::engine::Position;
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

pub(super) struct At {
    pub(super) file: String,
    pub(super) offset: u64,
    /// Without line breaks.
    pub(super) set: String,
}

pub(super) fn position(at: &At) -> Position {
    Position(format!("{} {} {}", at.file, at.offset, at.set).trim_end().to_owned())
}

pub(super) fn read(position: &Position) -> Result<At, Trouble> {
    let mut words = position.0.splitn(3, ' ');
    match (words.next(), words.next().and_then(|word| word.parse().ok()), words.next()) {
        (Some(file), Some(offset), set) => {
            Ok(At { file: file.to_owned(), offset, set: set.unwrap_or_default().to_owned() })
        }
        _ => Err(Trouble::bug("a position is not understood")),
    }
}

/// Where the server's log ends now. File, offset and set are of one moment.
pub(super) async fn now(session: &Session) -> Result<At, Trouble> {
    let version = version(session)?;
    let row = session.named(version.show_log_status()).await?.unwrap_or_default();
    let text = |name: &str| row.get(name).cloned().unwrap_or_default();
    match text("Position").parse() {
        Ok(offset) => Ok(At { file: text("File"), offset, set: one_line(&text("Executed_Gtid_Set")) }),
        Err(_) => Err(Trouble::failed("the server does not say where its binary log ends")),
    }
}

pub(super) fn one_line(set: &str) -> String {
    set.chars().filter(|c| !c.is_whitespace()).collect()
}

pub(super) fn version(session: &Session) -> Result<Version, Trouble> {
    Version::read(session.version())
        .ok_or_else(|| Trouble::failed(format!("version {} is not understood", session.version().escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back() {
        let at = At { file: "binlog.000002".into(), offset: 157, set: "a:1-5,b:1".into() };
        let again = read(&position(&at)).unwrap();
        assert_eq!((again.file.as_str(), again.offset, again.set.as_str()), ("binlog.000002", 157, "a:1-5,b:1"));
        assert_eq!(read(&position(&At { set: String::new(), ..at })).unwrap().set, "");
        assert_eq!(one_line("a:1-5,\nb:1"), "a:1-5,b:1");
    }
}
