//! Commands of compose that run on this machine, as far as this user may see them.

/// A process, by its number and its start: numbers are used again.
pub(super) struct Process {
    pid: u32,
    started: String,
}

impl Process {
    pub(super) fn is_alive(&self) -> bool {
        started(self.pid).as_deref() == Some(&self.started)
    }
}

/// Those that are under way now.
pub(super) fn of_compose() -> Vec<Process> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let compose = pids.filter(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| is_compose(&line)));
    compose.filter_map(|pid| Some(Process { pid, started: started(pid)? })).collect()
}

/// `docker compose …`, `docker-compose …`, and the plugin's own program.
fn is_compose(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let program = words.next().unwrap_or_default();
    match program.rsplit('/').next().unwrap_or_default() {
        "docker-compose" => true,
        "docker" => words.take(8).any(|word| word == "compose"),
        _ => false,
    }
}

fn started(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_spellings_are_known() {
        let is = |line: &str| is_compose(line.replace(' ', "\0").as_bytes());
        assert!(is("docker compose up -d") && is("/usr/bin/docker -H unix:///x compose ps"));
        assert!(is("/usr/libexec/docker/cli-plugins/docker-compose compose up"));
        assert!(!is("vi compose.yml") && !is(""));
    }

    #[test]
    fn a_process_is_known_by_its_start() {
        let pid = std::process::id();
        assert!(Process { pid, started: started(pid).unwrap() }.is_alive());
        assert!(!Process { pid, started: "1".into() }.is_alive());
    }
}
