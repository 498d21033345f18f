//! The journal's file: what was written survives the process, what was synced survives the machine.

use std::io;
use std::rc::Rc;

use switchover::saga::Disk;

use super::world::{Killed, Turn, World};

/// How the record of the line ends.
const LINE: &[u8] = b"\"passed-point-of-no-return\"}\n";

#[derive(Clone, Debug, Default)]
pub struct Bytes {
    pub all: Vec<u8>,
    synced: usize,
    /// Where a failed sync began and ended: the kernel holds these bytes for written, and never writes them again.
    given_up: Vec<(usize, usize)>,
    /// Where the record of the line ends, once it was written.
    line: Option<usize>,
}

impl Bytes {
    pub fn lose_power(&mut self, keep: usize) {
        self.all.truncate(self.synced + keep);
        for (from, to) in self.given_up.drain(..) {
            let to = to.min(self.all.len());
            self.all[from.min(to)..to].fill(0);
        }
        self.synced = self.all.len();
        self.forget_line();
    }

    /// A line that is no longer there was not passed.
    fn forget_line(&mut self) {
        let whole = |end: &usize| self.all.get(..*end).is_some_and(|bytes| bytes.ends_with(LINE));
        self.line = self.line.filter(whole);
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

    /// Whether the point of no return is recorded.
    pub fn passed(&self) -> bool {
        self.line.is_some_and(|end| end <= self.all.len())
    }

    /// Whether a way back was begun and not ended.
    pub fn retreats(&self) -> bool {
        let count = |event: &str| self.events().iter().filter(|e| e.starts_with(event)).count();
        count("retreating") > count("retreated")
    }

    fn append(&mut self, bytes: &[u8]) {
        self.all.extend(bytes);
        if bytes.ends_with(LINE) {
            self.line = Some(self.all.len());
        }
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
        if !self.0.state.borrow().knobs.unsettled {
            // Written anew, and synced.
            self.0.state.borrow_mut().journal.given_up.clear();
            self.sync()?;
        }
        Ok(self.0.state.borrow().journal.all.clone())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let journal = &mut self.0.state.borrow_mut().journal;
        journal.all.truncate(length);
        journal.synced = length;
        journal.given_up.retain(|(_, to)| *to <= length);
        journal.forget_line();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.0.instant("journal: before a record") {
            Turn::Fail => return Err(io::Error::other("injected")),
            Turn::Torn(length) => {
                let part = &bytes[..usize::from(length).min(bytes.len())];
                self.0.state.borrow_mut().journal.append(part);
                std::panic::panic_any(Killed);
            }
            _ => {}
        }
        self.0.state.borrow_mut().journal.append(bytes);
        self.at("journal: after a record")
    }

    fn sync(&mut self) -> io::Result<()> {
        let journal = |act: &dyn Fn(&mut Bytes)| act(&mut self.0.state.borrow_mut().journal);
        let before = self.0.state.borrow().journal.synced;
        journal(&|j| j.synced = j.all.len());
        self.at("journal: synced").inspect_err(|_| journal(&|j| j.given_up.push((before, j.all.len()))))
    }

    fn reserve(&mut self, _: u64) -> io::Result<()> {
        self.at("journal: space")
    }
}
