//! Single files in a server's data directory, outside the window: written beside, synced, renamed where the server
//! runs, put in place where it does not. Contents go through standard input, never through arguments.

use super::before::Before;
use super::connect;
use crate::engine::{Place, Side};
use crate::runtime::{Call, Container, File, State};
use crate::trouble::Trouble;

/// The password the follower streams with, for libpq.
pub(super) const PASSFILE: &str = "switchover.pass";
/// Says that the copy is complete, and from where it begins.
pub(super) const SEEDED: &str = "switchover.seeded";
/// What `open` renames into place.
pub(super) const OPEN_RULES: &str = "switchover.open-hba";
pub(super) const OPEN_SETTINGS: &str = "switchover.open-conf";

/// `$1` directory, `$2` name. A file that is there keeps its owner and mode; a new one is the directory's owner's.
const WRITE: &str = r#"
set -e
cd "$1"
umask 077
if [ -e "$2" ]; then cp -p "$2" switchover.new; else : > switchover.new; chown "$(stat -c %u:%g .)" switchover.new; fi
cat > switchover.new
sync switchover.new
mv -f switchover.new "$2"
sync .
"#;

/// `$1` directory, then names.
const REMOVE: &str = r#"cd "$1" && shift && rm -f -- "$@" && sync ."#;

/// Of the method `logical`: what the schema was that was copied, which triggers are to fire again, and what V1's materialised
/// views and large objects were like when V2's were made.
pub(super) const SCHEMA: &str = "switchover.schema";
pub(super) const OWN_SCHEMA: &str = "switchover.schema-own";
pub(super) const TRIGGERS: &str = "switchover.triggers";
pub(super) const VIEWS: &str = "switchover.views";
pub(super) const LARGE: &str = "switchover.large";
pub(super) const OWN_LARGE: &str = "switchover.large-own";

/// Every file of ours that may be in a data directory. The rules of V1 before its fence (`switchover.hba-open`) are
/// not among them.
pub(super) const OURS: &[&str] = &[
    PASSFILE,
    SEEDED,
    OPEN_RULES,
    OPEN_SETTINGS,
    OWN_SCHEMA,
    SCHEMA,
    TRIGGERS,
    VIEWS,
    LARGE,
    OWN_LARGE,
    "switchover.new",
    "switchover.hba-new",
];

/// What the window leaves on V1.
pub(super) const OF_THE_WINDOW: &[&str] =
    &["switchover.hba-back", "switchover.hba-shut", "switchover.hba-durable", "switchover.hba-open"];

/// `$1` directory. Reads its configuration again, without a session.
const RELOAD: &str = r#"read -r pid rest < "$1/postmaster.pid" && kill -HUP "$pid""#;

pub(super) async fn read(place: &Place, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let container = connect::container(place).await?;
    place.runtime.read_file(&container, &path(place, name)).await
}

/// A text file that must be there.
pub(super) async fn text(place: &Place, name: &str) -> Result<String, Trouble> {
    let bytes = read(place, name).await?;
    let bytes = bytes.ok_or_else(|| Trouble::failed(format!("{} has no {}", place.side, path(place, name))))?;
    String::from_utf8(bytes).map_err(|_| Trouble::refused(format!("{}'s {name} is not text in UTF-8", place.side)))
}

pub(super) async fn write(place: &Place, name: &str, content: &[u8]) -> Result<(), Trouble> {
    let container = connect::found(place).await?;
    if container.state == State::Running {
        return write_running(place, &container, name, content).await;
    }
    let [v1, v2] = Before::of(&place.plan)?.owners;
    let (uid, gid) = if place.side == Side::V1 { v1 } else { v2 };
    let file = File { path: path(place, name), content: content.to_vec(), mode: 0o600, uid, gid };
    place.runtime.put_file(&container.id, &file).await
}

async fn write_running(place: &Place, container: &Container, name: &str, content: &[u8]) -> Result<(), Trouble> {
    let argv = ["sh", "-c", WRITE, "sh", connect::data(place), name];
    run(place, container, &argv, content, &format!("write {name}")).await
}

/// In a running container only.
pub(super) async fn remove(place: &Place, names: &[&str]) -> Result<(), Trouble> {
    let container = connect::found(place).await?;
    let argv = [&["sh", "-c", REMOVE, "sh", connect::data(place)], names].concat();
    run(place, &container, &argv, b"", "remove our files").await
}

/// The server reads its files again: for where no session can be had. Nothing says when it has.
pub(super) async fn reload(place: &Place) -> Result<(), Trouble> {
    let container = connect::found(place).await?;
    let argv = ["sh", "-c", RELOAD, "sh", connect::data(place)];
    run(place, &container, &argv, b"", "have the configuration read again").await
}

/// A file's text changed; left alone where nothing changes.
pub(super) async fn rewrite(place: &Place, name: &str, change: impl FnOnce(&str) -> String) -> Result<(), Trouble> {
    let text = text(place, name).await?;
    let changed = change(&text);
    if changed == text {
        return Ok(());
    }
    write(place, name, changed.as_bytes()).await
}

async fn run(place: &Place, container: &Container, argv: &[&str], stdin: &[u8], act: &str) -> Result<(), Trouble> {
    let output = place.runtime.exec(&container.id, &Call { argv, user: None, stdin }).await?;
    if output.code == 0 {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Trouble::failed(format!("cannot {act} in {}'s data directory", place.side)).because(Trouble::failed(why)))
}

fn path(place: &Place, name: &str) -> String {
    format!("{}/{name}", connect::data(place).trim_end_matches('/'))
}
