//! V1 is a service of a compose project: its file is guarded while both sides exist, and names V2 in the end.
//!
//! Two containers that compose takes for the service are its undoing: any `up` in between removes one of them, and which one
//! depends on its version (tried with 2.26 and 2.40). So no command of compose gets past the file while that is so, and V1's
//! container is none of compose's any more before the file names V2.

use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::plan::{Compose, FileEdit, FileVersion, Plan};
use crate::runtime::{Container, Labels};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

mod data;
mod draw;
mod dry_run;
mod edit;
mod look;
mod processes;
mod program;
mod variables;

pub use draw::{Found, Wanted, draw};
pub use look::{Named, is_of, look};

use program::{Instead, Project};

/// What a run does to the service of its plan.
pub struct Service {
    plan: Rc<Plan>,
    compose: Compose,
    project: Project,
    tell: Teller,
}

/// A command that has read the file before it was guarded is at its end: an `up` with nothing to do takes 0.3 s.
const COMMANDS_END: Duration = Duration::from_secs(2);

impl Service {
    /// `None`: V1 was not named by a compose file.
    pub fn of(plan: &Rc<Plan>, tell: Teller) -> Option<Self> {
        let compose = plan.compose.clone()?;
        let (program, files) = (compose.program.clone(), compose.files.clone());
        let project = Project { program, files, engine: compose.engine.clone() };
        Some(Service { plan: Rc::clone(plan), compose, project, tell })
    }

    /// Compose's labels on the container that is the service when its file is new.
    pub fn labels_after(&self) -> &Labels {
        &self.compose.labels_after
    }

    /// Its files are as they were planned with, whatever version of them.
    pub fn refuse_what_changed(&self) -> Result<(), Trouble> {
        self.compose.edits.iter().try_for_each(|edit| self.version(edit).map(drop))
    }

    /// It is guarded still, as [`Service::ensure_guarded`] has left it.
    pub async fn ensure_still_guarded(&self) -> Result<(), Trouble> {
        for edit in &self.compose.edits {
            let (text, guarded) = self.turned(edit, FileVersion::Guarded)?;
            if text != guarded {
                return self.ensure_guarded().await;
            }
        }
        Ok(())
    }

    /// No command of compose gets past the file, and those that had read it before have ended: waited for also where it is
    /// guarded already, as a process that died may not have.
    pub async fn ensure_guarded(&self) -> Result<(), Trouble> {
        for edit in &self.compose.edits {
            self.ensure(edit, FileVersion::Guarded)?;
        }
        // Whoever began in between may have read the one or the other.
        let under_way = processes::of_compose(&self.compose.project, &self.compose.files);
        let began = Instant::now();
        let wait = Wait {
            what: "commands of compose that had read the file",
            limit: Limit { name: "30 s", value: Duration::from_secs(30) },
            every: Duration::from_millis(100),
            kind: Kind::NotReady,
        };
        let ended = wait::until(wait, &self.tell, async || {
            let left: Vec<_> = under_way.iter().filter(|process| process.is_alive()).map(ToString::to_string).collect();
            Ok(match (&left[..], began.elapsed() < COMMANDS_END) {
                ([], false) => Look::Done(()),
                ([], true) => Look::NotYet("the file is guarded; nobody may be in the middle of it".into()),
                (left, _) => Look::NotYet(left.join(", ")),
            })
        });
        ended.await.map_err(|trouble| {
            trouble.hint("a command that makes containers could meet both sides: try again when it has ended")
        })
    }

    /// The files are the user's own, byte for byte. Of one that somebody has changed since, the guard is taken out.
    pub fn ensure_as_before(&self) -> Result<(), Trouble> {
        for edit in &self.compose.edits {
            let text = read(&edit.path)?;
            if edit.version_of(&text).is_some() {
                self.ensure(edit, FileVersion::Before)?;
                continue;
            }
            let file = edit.path.display();
            self.tell.warning(format!("{file} was changed meanwhile: only the guard is taken out of it"));
            if let Some(text) = edit.without_guard(&text) {
                write_whole(&edit.path, &text)?;
            }
        }
        Ok(())
    }

    /// The files name V2, which compose takes for its service: seen by a dry run before they are changed, and once more after. V1's
    /// container is none of compose's by now.
    pub async fn ensure_names_v2(&self) -> Result<(), Trouble> {
        if let Some(edit) = self.changed_by_somebody()? {
            // Whoever did it may have written what is wanted.
            self.tell.warning(format!("{} was changed meanwhile, and is taken as it is", edit.path.display()));
            return self.prove(false).await.map_err(|trouble| {
                let wanted: Vec<String> = self.compose.edits.iter().map(FileEdit::wanted).collect();
                trouble
                    .hint(format!("write by hand what the run cannot, {}; then `switchover resume`", wanted.join("; ")))
            });
        }
        if self.new_text().is_some() {
            self.prove(true).await?;
        }
        for edit in &self.compose.edits {
            self.ensure(edit, FileVersion::After)?;
        }
        self.prove(false).await
    }

    /// The one that is guarded, with its new text; `None`: it is new already.
    fn new_text(&self) -> Option<(&Path, String)> {
        let edit = self.compose.edits.iter().find(|edit| edit.is_guarded())?;
        let text = read(&edit.path).ok()?;
        let is_new = edit.version_of(&text) == Some(FileVersion::After);
        if is_new { None } else { Some((&edit.path, edit.turned(&text, FileVersion::After)?)) }
    }

    async fn prove(&self, beforehand: bool) -> Result<(), Trouble> {
        let text = if beforehand { self.new_text() } else { None };
        let file = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        let new = self.compose.variables.iter().filter(|_| beforehand);
        let variables: Vec<_> = new.map(|variable| (variable.name.clone(), variable.after.clone())).collect();
        let said = self.project.dry_run(Instead { file, variables: &variables }).await?;
        let (ours, Compose { project, service, out_of_date, .. }) = (&self.plan.v2.final_name, &self.compose);
        let surprises = dry_run::to_service(&said, ours, project, service);
        if surprises.is_empty() {
            let others = dry_run::to_others(&said, ours, out_of_date);
            if !beforehand && !others.is_empty() {
                self.tell
                    .warning(format!("`docker compose up -d` has something to do elsewhere: {}", others.join(", ")));
            }
            return Ok(());
        }
        Err(Trouble::failed(format!("`docker compose up -d` would not leave V2 alone: {}", surprises.join(", "))).hint(
            "V2 serves and keeps its data; what was changed on containers of the project meanwhile? `switchover resume` looks again",
        ))
    }

    fn version(&self, edit: &FileEdit) -> Result<FileVersion, Trouble> {
        edit.version_of(&read(&edit.path)?).ok_or_else(|| self.changed(edit))
    }

    fn changed_by_somebody(&self) -> Result<Option<&FileEdit>, Trouble> {
        for edit in &self.compose.edits {
            if edit.version_of(&read(&edit.path)?).is_none() {
                return Ok(Some(edit));
            }
        }
        Ok(None)
    }

    fn changed(&self, edit: &FileEdit) -> Trouble {
        let file = edit.path.display();
        Trouble::refused(format!("{file} was changed since the run began"))
            .hint(format!("put it back as it was, or `switchover abort --container {}` and begin anew", self.plan.name))
    }

    /// The file's text, and what it is in another version.
    fn turned(&self, edit: &FileEdit, version: FileVersion) -> Result<(String, String), Trouble> {
        let text = read(&edit.path)?;
        let turned = edit.turned(&text, version).ok_or_else(|| self.changed(edit))?;
        Ok((text, turned))
    }

    fn ensure(&self, edit: &FileEdit, version: FileVersion) -> Result<(), Trouble> {
        let (text, turned) = self.turned(edit, version)?;
        if turned == text { Ok(()) } else { write_whole(&edit.path, &turned) }
    }
}

/// Those of a container's labels that are compose's.
pub fn labels_of(container: &Container) -> Labels {
    let theirs = |key: &&String| key.starts_with(crate::plan::COMPOSE_LABELS);
    container.labels.keys().filter(theirs).map(|key| (key.clone(), container.labels[key].clone())).collect()
}

fn read(path: &Path) -> Result<String, Trouble> {
    std::fs::read_to_string(path).map_err(|e| Trouble::failed(format!("cannot read {}", path.display())).because(e))
}

/// The whole file or none of it, on disk when this returns, with its owner and mode. Where a link stands, what it leads to.
fn write_whole(path: &Path, text: &str) -> Result<(), Trouble> {
    let write = || {
        let path = std::fs::canonicalize(path)?;
        let was = std::fs::metadata(&path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = folder.join(format!(".{name}.switchover"));
        // Of a process that died in between.
        let _gone = std::fs::remove_file(&beside);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        std::os::unix::fs::fchown(&file, Some(was.uid()), Some(was.gid()))?;
        file.set_permissions(was.permissions())?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(|e: std::io::Error| Trouble::failed(format!("cannot write {}", path.display())).because(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_where_a_link_leads() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real.yml"), dir.path().join("compose.yml"));
        std::fs::write(&file, "a: 1\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_whole(&link, "a: 2\n").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a: 2\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside them");
        assert!(write_whole(&dir.path().join("none"), "x").is_err());
    }
}
