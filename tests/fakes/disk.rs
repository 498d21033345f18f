//! The journal's file: what was written survives the process, what was synced survives the machine.

use std::io;
use std::rc::Rc;

use switchover::saga::Disk;

use super::world::{Killed, Turn, World};

#[derive(Clone, Debug, Default)]
pub struct Bytes {
    pub all: Vec<u8>,
    synced: usize,
}

impl Bytes {
    pub fn lose_power(&mut self, keep: usize) {
        self.all.truncate((self.synced + keep).max(self.synced));
        self.synced = self.all.len();
    }

    pub fn unsynced(&self) -> usize {
        self.all.len() - self.synced
    }

    pub fn events(&self) -> Vec<String> {
        let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
        let name = |v: serde_json::Value| {
            let part = |key: &str| v[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}{}", part("event"), part("step"), part("to")).trim().to_owned()
        };
        String::from_utf8_lossy(&self.all).lines().filter_map(line).map(name).collect()
    }

    pub fn tail(&self, lines: usize) -> String {
        let events = self.events();
        events[events.len().saturating_sub(lines)..].join(" → ")
    }

    pub fn passed(&self) -> bool {
        let line = br#""event":"passed-point-of-no-return"}"#;
        self.all.windows(line.len() + 1).any(|part| part.strip_prefix(line) == Some(b"\n"))
    }
}

pub struct FakeDisk(pub Rc<World>);

impl FakeDisk {
    fn at(&self, what: &'static str) -> io::Result<()> {
        match self.0.instant(what) {
            Turn::Fail => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }
}

impl Disk for FakeDisk {
    fn settled(&mut self) -> io::Result<Vec<u8>> {
        self.at("journal: before it is read")?;
        self.sync()?;
        Ok(self.0.state.borrow().journal.all.clone())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let journal = &mut self.0.state.borrow_mut().journal;
        journal.all.truncate(length);
        journal.synced = length;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.0.instant("journal: before a record") {
            Turn::Fail => return Err(io::Error::other("injected")),
            Turn::Torn(length) => {
                let part = &bytes[..usize::from(length).min(bytes.len())];
                self.0.state.borrow_mut().journal.all.extend(part);
                std::panic::panic_any(Killed);
            }
            _ => {}
        }
        self.0.state.borrow_mut().journal.all.extend(bytes);
        self.at("journal: after a record")
    }

    fn sync(&mut self) -> io::Result<()> {
        {
            let journal = &mut self.0.state.borrow_mut().journal;
            journal.synced = journal.all.len();
        }
        self.at("journal: synced")
    }

    fn reserve(&mut self, _: u64) -> io::Result<()> {
        self.at("journal: space")
    }
}
