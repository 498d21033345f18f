//! The run's own option file: what a side's server is to be when it starts again, whoever starts it. One file, written anew
//! from state to state. A command line beats it.

use super::before::Before;
use crate::engine::mysql_family::{connect, names};
use crate::engine::{Place, Side};
use crate::plan::Plan;
use crate::runtime::{Call, File, State};
use crate::trouble::Trouble;

/// Read after others of its folder, by its name.
const NAME: &str = "zz-switchover.cnf";

/// What the file makes of a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It serves, and can be followed.
    Leads,
    /// It takes nothing but the other side's changes.
    Follows,
    /// It had served, and nobody reaches it.
    Fenced,
}

pub(super) fn path(place: &Place) -> Result<String, Trouble> {
    Ok(format!("{}/{NAME}", Before::of(&place.plan)?.option_folder(place.side)))
}

/// A number that is not the one its configuration gives it: a V2 that the run makes has the run's.
pub(super) fn server_id(plan: &Plan, side: Side, before: &Before) -> Option<u32> {
    match side {
        Side::V2 if plan.made_v2() => Some(names::server_id(plan, before.serving.server_id)),
        side => before.options(side).server_id,
    }
}

/// A side that needs no file has none.
pub(super) async fn ensure(place: &Place, role: Role) -> Result<(), Trouble> {
    let settings = settings(&place.plan, place.side, &Before::of(&place.plan)?, role);
    if settings.is_empty() {
        return ensure_none(place).await;
    }
    let head = format!("# Written by switchover, run {}.\n[mariadb]\n", place.plan.run);
    let content = format!("{head}{}\n", settings.join("\n")).into_bytes();
    let file = File { path: path(place)?, content, mode: 0o644, uid: 0, gid: 0 };
    place.runtime.put_file(&connect::container(place).await?, &file).await
}

fn settings(plan: &Plan, side: Side, before: &Before, role: Role) -> Vec<String> {
    let id = server_id(plan, side, before);
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    if let Some(name) = &before.options(side).log_bin {
        say(&format!("log_bin = {name}"));
    }
    if let Some(id) = id {
        say(&format!("server_id = {id}"));
        // An older version may not understand a newer one's statements.
        say("binlog_format = ROW");
        if before.keeps_collations {
            say(&format!("character_set_server = {}", before.made.charset));
            say(&format!("collation_server = {}", before.made.collation));
            say("loose_character_set_collations = ''");
        }
    }
    if id.is_some() || role == Role::Follows {
        say("log_slave_updates = ON");
    }
    if role != Role::Leads {
        say("read_only = ON");
        say("event_scheduler = OFF");
    }
    if role != Role::Leads && id.is_some() && before.fixed_id {
        // Both would have one number, until we change it.
        say("skip_slave_start = ON");
    }
    if role == Role::Fenced {
        say("skip_networking = ON");
    }
    lines
}

/// The file is not there.
pub(super) async fn ensure_none(place: &Place) -> Result<(), Trouble> {
    let (container, path) = (connect::found(place).await?, path(place)?);
    if place.runtime.read_file(&container.id, &path).await?.is_none() {
        return Ok(());
    }
    if container.state != State::Running {
        // Nothing runs in there that could take it away: what is in it goes.
        let empty = File { path, mode: 0o644, ..File::default() };
        return place.runtime.put_file(&container.id, &empty).await;
    }
    let argv = ["rm", "-f", path.as_str()];
    let done = place.runtime.exec(&container.id, &Call { argv: &argv, user: Some("0:0"), stdin: b"" }).await?;
    match done.code {
        0 => Ok(()),
        code => Err(Trouble::failed(format!("{path} cannot be taken away from {} (exit code {code})", place.side))
            .hint(format!("docker exec -u 0 {} rm -f {path}", container.name))),
    }
}

/// It is there, and keeps everybody out.
pub(super) async fn is_fenced(place: &Place) -> Result<bool, Trouble> {
    let found = place.runtime.read_file(&connect::container(place).await?, &path(place)?).await?;
    Ok(found.is_some_and(|content| String::from_utf8_lossy(&content).contains("skip_networking")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_serves_is_writable_after_a_restart() {
        let plan = super::super::window_on_a_server::plan();
        let before = Before::of(&plan).unwrap();
        let of = |side, role| settings(&plan, side, &before, role).join("\n");
        assert_eq!(of(Side::V1, Role::Leads), "", "it needs no file");
        assert!(!of(Side::V2, Role::Leads).contains("read_only"));
        for side in [Side::V1, Side::V2] {
            assert!(of(side, Role::Follows).contains("read_only = ON\nevent_scheduler = OFF"));
        }
        assert!(of(Side::V1, Role::Fenced).contains("skip_networking = ON"));
        assert!(!of(Side::V1, Role::Follows).contains("skip_"), "it is reached, and goes on by itself");
        assert!(!of(Side::V1, Role::Follows).contains("server_id"), "its own");
        assert!(of(Side::V2, Role::Follows).contains("server_id = "), "not V1's");
    }
}
