//! Commands of compose that run on this machine, as far as this user may see them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::process::started_at;

/// A process, by its number and its start: numbers are used again.
pub(super) struct Process {
    pid: u32,
    started: String,
    /// What it was called to do.
    act: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`compose {}` (process {})", self.act, self.pid)
    }
}

/// They make and remove no container, however long they run.
const HARMLESS: [&str; 9] = ["attach", "events", "exec", "images", "logs", "ps", "stats", "top", "wait"];

/// They may.
const OTHERS: [&str; 11] = ["up", "create", "run", "start", "restart", "stop", "down", "rm", "watch", "pull", "build"];

impl Process {
    pub(super) fn is_alive(&self) -> bool {
        started_at(self.pid).as_deref() == Some(&self.started)
    }
}

/// Those that are under way now and may be about this project.
pub(super) fn of_compose(project: &str, files: &[PathBuf]) -> Vec<Process> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let compose = pids.filter_map(|pid: u32| {
        let words = words(&std::fs::read(format!("/proc/{pid}/cmdline")).ok()?);
        let act = act(&words)?;
        let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).ok();
        let ours = has_own_project(&variables) || cwd.is_none_or(|cwd| concerns(&words, &cwd, project, files));
        (ours && !HARMLESS.contains(&act.as_str())).then_some(())?;
        Some(Process { pid, started: started_at(pid)?, act })
    });
    compose.collect()
}

/// One whose folder cannot be seen may be about any project; so may one that is told by variables.
fn concerns(words: &[String], cwd: &Path, project: &str, files: &[PathBuf]) -> bool {
    let names = |word: &String| word.rsplit('=').next() == Some(project);
    let file = |word: &String| files.contains(&cwd.join(word.rsplit('=').next().unwrap_or_default()));
    // Compose looks for its file in the folders above, too.
    let inside = files.iter().filter_map(|file| file.parent()).any(|folder| cwd.starts_with(folder));
    inside || words.iter().any(|word| names(word) || file(word))
}

fn has_own_project(variables: &[u8]) -> bool {
    variables.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"COMPOSE_"))
}

fn words(line: &[u8]) -> Vec<String> {
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// What `docker compose …`, `docker-compose …` or the plugin's own program was called to do; `None`: it is another program.
fn act(words: &[String]) -> Option<String> {
    let (program, rest) = words.split_first()?;
    let rest = match program.rsplit('/').next()? {
        "docker-compose" => rest,
        "docker" => &rest[rest.iter().take(8).position(|word| word == "compose")? + 1..],
        _ => return None,
    };
    // Flags and their values come first; a value that is called like a verb is taken for one.
    let known = |word: &&String| OTHERS.contains(&word.as_str()) || HARMLESS.contains(&word.as_str());
    Some(rest.iter().find(known).cloned().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_spellings_are_known() {
        let of = |line: &str| act(&words(line.replace(' ', "\0").as_bytes()));
        assert_eq!(of("docker compose up -d").as_deref(), Some("up"));
        assert_eq!(of("/usr/bin/docker -H unix:///x compose -f c.yml logs -f").as_deref(), Some("logs"));
        assert_eq!(of("/usr/libexec/docker/cli-plugins/docker-compose compose restart db").as_deref(), Some("restart"));
        assert_eq!(of("docker compose --profile x").as_deref(), Some(""));
        assert_eq!((of("vi compose.yml"), of("docker ps"), of("")), (None, None, None));
    }

    #[test]
    fn commands_of_other_projects_are_none_of_ours() {
        let of = |line: &str, cwd: &str| {
            concerns(&words(line.replace(' ', "\0").as_bytes()), Path::new(cwd), "shop", &["/srv/shop/c.yml".into()])
        };
        assert!(of("docker compose up -d", "/srv/shop") && of("docker compose up -d", "/srv/shop/web"));
        assert!(of("docker compose -f c.yml up", "/srv/shop") && of("docker compose -f shop/c.yml up", "/srv"));
        assert!(of("docker compose --file=/srv/shop/c.yml up", "/") && of("docker compose -p shop up", "/"));
        assert!(!of("docker compose -f c.yml up", "/srv/blog") && !of("docker compose -p blog up", "/srv"));
        assert!(has_own_project(b"A=1\0COMPOSE_FILE=x\0") && !has_own_project(b"A=COMPOSE_FILE\0"));
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let pid = std::process::id();
        let of = |started: String| Process { pid, started, act: String::new() };
        assert!(of(started_at(pid).unwrap()).is_alive() && !of("1".into()).is_alive());
    }
}
