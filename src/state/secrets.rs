//! Passwords of a run: random, made once, readable by their owner alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::{unusable, write_whole};
use crate::engine::Secrets;
use crate::trouble::Trouble;

/// Passwords in a file with mode 0600, as long as the run needs them.
pub struct FileSecrets {
    path: PathBuf,
    known: RefCell<Option<BTreeMap<String, String>>>,
}

impl FileSecrets {
    pub(super) fn at(path: PathBuf) -> Self {
        FileSecrets { path, known: RefCell::new(None) }
    }

    /// All of them, forgotten.
    pub fn forget_all(&self) -> Result<(), Trouble> {
        *self.known.borrow_mut() = Some(BTreeMap::new());
        self.save(&BTreeMap::new())
    }

    /// A run that goes on with what another one made needs its passwords.
    pub fn take_over(&self, from: &FileSecrets) -> Result<(), Trouble> {
        let theirs = from.load()?;
        self.save(&theirs)?;
        *self.known.borrow_mut() = Some(theirs);
        Ok(())
    }

    fn load(&self) -> Result<BTreeMap<String, String>, Trouble> {
        if let Some(known) = &*self.known.borrow() {
            return Ok(known.clone());
        }
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                // The parser's own words could repeat what it read.
                .map_err(|_| Trouble::person(format!("{} is damaged", self.path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(e) => Err(unusable(&self.path, e)),
        }
    }

    fn save(&self, secrets: &BTreeMap<String, String>) -> Result<(), Trouble> {
        if secrets.is_empty() {
            return match std::fs::remove_file(&self.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(unusable(&self.path, e)),
                _ => Ok(()),
            };
        }
        let text = serde_json::to_vec(secrets).map_err(|e| Trouble::bug("secrets do not become text").because(e))?;
        write_whole(&self.path, &text)
    }
}

impl Secrets for FileSecrets {
    fn secret(&self, name: &str) -> Result<SecretString, Trouble> {
        let mut secrets = self.load()?;
        if !secrets.contains_key(name) {
            // Twice 122 random bits.
            let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()].map(|part| part.simple().to_string()).concat();
            secrets.insert(name.to_owned(), random);
            self.save(&secrets)?;
        }
        let secret = SecretString::from(secrets.get(name).cloned().unwrap_or_default());
        debug_assert!(!secret.expose_secret().is_empty());
        *self.known.borrow_mut() = Some(secrets);
        Ok(secret)
    }

    fn forget(&self, name: &str) -> Result<(), Trouble> {
        let mut secrets = self.load()?;
        if secrets.remove(name).is_some() {
            self.save(&secrets)?;
        }
        *self.known.borrow_mut() = Some(secrets);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::State;
    use super::*;

    #[test]
    fn secrets_are_made_once_kept_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path().to_owned());
        let _lock = state.lock("db", crate::state::Who::Tool).unwrap();
        let files = state.run("db", "r1");
        let first = files.secrets().secret("replication").unwrap().expose_secret().to_owned();
        assert!(first.len() >= 32);
        assert_ne!(files.secrets().secret("admin").unwrap().expose_secret(), first);
        assert_eq!(files.secrets().secret("replication").unwrap().expose_secret(), first);
        let mode = std::fs::metadata(files.file("secrets")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let next = state.run("db", "r2");
        next.secrets().take_over(&files.secrets()).unwrap();
        assert_eq!(next.secrets().secret("replication").unwrap().expose_secret(), first);
        files.secrets().forget("admin").unwrap();
        files.secrets().forget("replication").unwrap();
        assert!(!files.file("secrets").exists());
        next.secrets().forget_all().unwrap();
        next.secrets().forget_all().unwrap();
        assert!(!next.file("secrets").exists());
    }
}
