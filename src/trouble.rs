//! One error type for the whole program, made for the person who reads it at 3 a.m.
//!
//! Leaf errors stay typed in their folders; they become a [`Trouble`] once, where it is known what the
//! person can do about it. The order is always: what happened, the causes, a hint.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What sort of trouble it is; the exit code follows from it and from where the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line or the configuration is wrong. Nothing was touched.
    Usage,
    /// A precheck refuses. Nothing was changed.
    Refused,
    /// Another run of this database is in progress.
    Busy,
    /// Outside the window, or not ready within a limit that touches no client.
    NotReady,
    /// Something in the world failed: a server, the engine, a disk, a network.
    Failed,
    /// The record of the run cannot be written or trusted: stop before acting, a person must look.
    Person,
    /// A mistake of ours.
    Bug,
}

impl Kind {
    /// The exit code of a command that ends with this trouble (design §6). A run that turned back or stopped
    /// half-way has its own code, which the outcome decides, not the error.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Refused => 3,
            Kind::Busy => 4,
            Kind::NotReady => 5,
            Kind::Person => 6,
            Kind::Bug => 70,
        }
    }
}

/// An error with its causes and hints. It never holds a secret or the content of a row.
#[derive(Debug)]
pub struct Trouble {
    pub kind: Kind,
    pub what: String,
    pub source: Option<BoxError>,
    pub hints: Vec<String>,
}

impl Trouble {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Trouble { kind, what: what.into(), source: None, hints: Vec::new() }
    }
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, what)
    }
    pub fn refused(what: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what)
    }
    pub fn busy(what: impl Into<String>) -> Self {
        Self::new(Kind::Busy, what)
    }
    pub fn not_ready(what: impl Into<String>) -> Self {
        Self::new(Kind::NotReady, what)
    }
    pub fn failed(what: impl Into<String>) -> Self {
        Self::new(Kind::Failed, what)
    }
    pub fn person(what: impl Into<String>) -> Self {
        Self::new(Kind::Person, what)
    }
    pub fn bug(what: impl Into<String>) -> Self {
        Self::new(Kind::Bug, what)
    }

    /// Adds the error underneath. Do not repeat its words in `what`.
    #[must_use]
    pub fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds something the person can type or look at.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The causes from the outermost to the root, without what is already said above them.
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|e| e as _);
        while let Some(error) = next {
            let text = error.to_string();
            if causes.last() != Some(&text) && !text.is_empty() {
                causes.push(text);
            }
            next = error.source();
        }
        causes
    }

    /// What happened and why, on one line: for the journal and for events.
    pub fn one_line(&self) -> String {
        std::iter::once(self.what.clone()).chain(self.causes()).collect::<Vec<_>>().join(": ").replace('\n', " ")
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_listed_once_and_in_order() {
        let io = std::io::Error::other("disk full");
        let inner = Trouble::failed("cannot write the journal").because(io);
        let outer = Trouble::person("stopped before acting").because(inner);
        assert_eq!(outer.causes(), ["cannot write the journal", "disk full"]);
        assert_eq!(outer.one_line(), "stopped before acting: cannot write the journal: disk full");
    }

    #[test]
    fn every_kind_has_its_own_exit_code() {
        let kinds = [Kind::Failed, Kind::Usage, Kind::Refused, Kind::Busy, Kind::NotReady, Kind::Person, Kind::Bug];
        let mut codes: Vec<u8> = kinds.iter().map(|k| k.exit_code()).collect();
        codes.dedup();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 70]);
    }
}
