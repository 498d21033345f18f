//! Where runs are kept between processes: `<state dir>/<name>/`, readable by its owner alone.
//!
//! `<run>.jsonl` is the journal, `<run>.secrets` the passwords that must outlive the process, `<run>.result.json` what
//! only the process that ended the run could see, `<run>.guard.log` what its guard said, `lock` is held by whoever
//! works on this database.

mod secrets;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::facts::Fact;
use crate::plan::Plan;
use crate::process::started_at;
use crate::saga::{Journal, Record};
use crate::tell::text;
use crate::trouble::Trouble;

pub use secrets::FileSecrets;

/// What a journal is about: its first record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// This journal's own: that of the run whose objects it works with stands in the plan.
    pub id: String,
    pub kind: Kind,
    /// How far the person wanted to go who began it.
    pub until: Until,
    /// The run that this one undoes or ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// `retire`: V1's data goes too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_data: bool,
    #[serde(flatten)]
    pub plan: Plan,
}

impl Order {
    /// In its plan, and so in what its steps say, `v1` is what people call V2, and the reverse. True of a switchback,
    /// and not of one that undoes another one.
    pub fn is_exchanged(&self) -> bool {
        self.plan.v1.final_name == format!("{}-v2", self.plan.name)
    }

    /// What a step said, in the person's words.
    pub fn told(&self, said: &str) -> String {
        if self.is_exchanged() { text::exchanged(said) } else { said.to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    Ready,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Switchover,
    /// Back to the side that served before: in its plan the sides are exchanged.
    Switchback,
    Retire,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Switchover => "switchover",
            Kind::Switchback => "switchback",
            Kind::Retire => "retire",
        }
    }
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct State {
    dir: PathBuf,
}

/// One run's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    pub name: String,
    pub run: String,
    folder: PathBuf,
}

/// What kind of process works on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody typed it.
    Tool,
    /// It finishes what a dead tool left: that does not take long.
    Guard,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Tool => "tool",
            Who::Guard => "guard",
        }
    }
}

/// Held by the process that works on a database; gone with it.
#[derive(Debug)]
pub struct NameLock(File);

impl Drop for NameLock {
    fn drop(&mut self) {
        // The name of a process that is done is nobody's; a lock that cannot be emptied is told by its process's end.
        let _ = self.0.set_len(0);
    }
}

impl State {
    pub fn at(dir: PathBuf) -> Self {
        State { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every database there is a run of.
    pub fn names(&self) -> Result<Vec<String>, Trouble> {
        let mut names: Vec<String> = entries(&self.dir)?.iter().filter_map(|entry| unescaped(entry)).collect();
        names.sort();
        Ok(names)
    }

    /// The runs of a database, oldest first: their ids sort by time.
    pub fn runs(&self, name: &str) -> Result<Vec<RunFiles>, Trouble> {
        let mut runs: Vec<String> = entries(&self.folder(name))?
            .iter()
            .filter_map(|entry| entry.strip_suffix(".jsonl").map(str::to_owned))
            .collect();
        runs.sort();
        Ok(runs.iter().map(|run| self.run(name, run)).collect())
    }

    pub fn run(&self, name: &str, run: &str) -> RunFiles {
        RunFiles { name: name.to_owned(), run: run.to_owned(), folder: self.folder(name) }
    }

    /// The right to work on a database. Another process has it: exit code 4.
    pub fn lock(&self, name: &str, who: Who) -> Result<NameLock, Trouble> {
        let path = self.folder(name).join("lock");
        let open = || {
            DirBuilder::new().recursive(true).mode(0o700).create(self.folder(name))?;
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)
        };
        let file = open().map_err(|e| {
            Trouble::usage(format!("cannot use the state directory {}", self.dir.display()))
                .because(e)
                .hint("--state-dir names another one")
        })?;
        match file.try_lock() {
            Ok(()) => {
                note_holder(&file, who).map_err(|e| unusable(&path, e))?;
                Ok(NameLock(file))
            }
            Err(TryLockError::WouldBlock) => Err(Trouble::busy(format!("another run of {name} is in progress"))
                .hint(format!("`switchover status --container {name}` shows where it stands"))),
            Err(TryLockError::Error(e)) => Err(unusable(&path, e)),
        }
    }

    /// The process that works on the database now. Only looks: taking the lock to ask would make others fail.
    pub fn holder(&self, name: &str) -> Option<(u32, Who)> {
        let text = std::fs::read_to_string(self.folder(name).join("lock")).ok()?;
        let mut words = text.split_whitespace();
        let (pid, started, who) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let who = if who == Who::Guard.name() { Who::Guard } else { Who::Tool };
        (started_at(pid)? == started).then_some((pid, who))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.join(escaped(name))
    }
}

impl RunFiles {
    pub fn journal(&self) -> PathBuf {
        self.file("jsonl")
    }
    pub fn result(&self) -> PathBuf {
        self.file("result.json")
    }
    pub fn guard_log(&self) -> PathBuf {
        self.file("guard.log")
    }
    /// A guard that had nothing to say leaves no log.
    pub fn tidy(&self) {
        let log = self.guard_log();
        if std::fs::metadata(&log).is_ok_and(|log| log.len() == 0) {
            let _left = std::fs::remove_file(&log);
        }
    }
    pub fn secrets(&self) -> FileSecrets {
        FileSecrets::at(self.file("secrets"))
    }

    /// What happened so far; works while another process writes. Never decide from it.
    pub fn read(&self) -> Result<Vec<Record<Fact>>, Trouble> {
        Journal::read(&self.journal())
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", self.run))
    }
}

/// What a journal is about.
pub fn order_of(plan: &serde_json::Value) -> Result<Order, Trouble> {
    serde_json::from_value(plan.clone()).map_err(|e| {
        Trouble::person("the plan in the journal is not one this version knows; nothing was touched")
            .because(e)
            .hint("use the version of switchover that began this run")
    })
}

/// The whole file or none of it, on disk when this returns, mode 0600.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), Trouble> {
    let write = || {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|e| unusable(path, e))
}

/// Whose lock it is, for `status`: the process and when it started, as numbers are used again.
fn note_holder(mut file: &File, who: Who) -> io::Result<()> {
    let pid = std::process::id();
    file.set_len(0)?;
    file.write_all(format!("{pid} {} {}\n", started_at(pid).unwrap_or_default(), who.name()).as_bytes())
}

fn unusable(path: &Path, error: io::Error) -> Trouble {
    Trouble::failed(format!("cannot use {}", path.display())).because(error)
}

/// Names in a folder; a folder that is not there has none.
fn entries(folder: &Path) -> Result<Vec<String>, Trouble> {
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unusable(folder, e)),
    };
    let mut names = Vec::new();
    for entry in list {
        let entry = entry.map_err(|e| unusable(folder, e))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

/// A database's name as one folder's name, whatever is in it.
fn escaped(name: &str) -> String {
    let mut text = String::new();
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => text.push(char::from(byte)),
            b'.' if at > 0 => text.push('.'),
            other => text.extend(['%', hex(other >> 4), hex(other & 15)]),
        }
    }
    text
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

fn unescaped(folder: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = folder.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::any_plan;

    #[test]
    fn hostile_names_stay_one_folder() {
        for name in ["shop-db", "..", ".hidden", "a/b", "naïve $(x)\n", "%41"] {
            let folder = escaped(name);
            assert!(!folder.contains('/') && !folder.starts_with('.'), "{folder}");
            assert_eq!(unescaped(&folder).as_deref(), Some(name));
        }
        assert_eq!(escaped("shop-db.1"), "shop-db.1");
    }

    #[test]
    fn one_process_at_a_time_works_on_a_database() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().join("deep/er"));
        assert_eq!(state.holder("db"), None);
        let lock = state.lock("db", Who::Tool).unwrap();
        assert_eq!(state.holder("db"), Some((std::process::id(), Who::Tool)));
        assert_eq!(state.lock("db", Who::Tool).unwrap_err().kind.exit_code(), 4);
        state.lock("other", Who::Tool).unwrap();
        drop(lock);
        assert_eq!(state.holder("db"), None);
        state.lock("db", Who::Tool).unwrap();
        assert_eq!(state.names().unwrap(), ["db", "other"]);
    }

    #[test]
    fn runs_are_listed_by_age_and_say_what_they_are_about() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().to_owned());
        assert!(state.runs("db").unwrap().is_empty());
        let order = Order {
            id: "01".into(),
            kind: Kind::Switchback,
            until: Until::End,
            after: Some("0".into()),
            remove_data: false,
            plan: any_plan(),
        };
        for run in ["02", "01"] {
            let plan = serde_json::to_value(&order).unwrap();
            Journal::<Fact>::create(&state.run("db", run).journal(), plan).unwrap();
        }
        let runs = state.runs("db").unwrap();
        assert_eq!(runs.iter().map(|run| run.run.as_str()).collect::<Vec<_>>(), ["01", "02"]);
        let Some(crate::saga::Event::Opened { plan, .. }) = runs[0].read().unwrap().first().map(|r| r.event.clone())
        else {
            panic!("not opened")
        };
        assert_eq!(order_of(&plan).unwrap(), order);
    }
}
