//! The compose service that V1 is, and what becomes of its file. Pure: texts in, texts out.
//!
//! Of the file only what is changed is kept, and sums of the whole: a compose file may hold passwords, and a journal none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::runtime::Labels;

/// What compose puts before every label of its own.
pub const COMPOSE_LABELS: &str = "com.docker.compose.";

/// V1's service, as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compose {
    /// The user's own compose, with the words that choose the project: `docker compose --project-name shop …`, without its files.
    pub program: Vec<String>,
    /// Where containers are, if compose would not find it by itself.
    #[serde(default)]
    pub engine: Option<String>,
    /// In the user's order; the later one wins.
    pub files: Vec<PathBuf>,
    pub project: String,
    pub service: String,
    /// `.env` before the file that asks for it.
    pub edits: Vec<FileEdit>,
    /// What stands in `.env` in the end, as compose is told of it before.
    pub variables: Vec<Variable>,
    /// Compose's labels on the container that is the service, while the files are as they were and when they are new.
    pub labels_before: Labels,
    pub labels_after: Labels,
    /// Compose's labels on each of V2's volumes.
    pub volume_labels: BTreeMap<String, Labels>,
    /// What a dry run says of the project before anything is done: other services may be out of date already.
    pub out_of_date: Vec<String>,
}

/// A variable of `.env` that an image is named by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub before: String,
    pub after: String,
}

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEdit {
    pub path: PathBuf,
    /// In the order of the file; they do not touch each other.
    pub splices: Vec<Splice>,
    pub before: String,
    pub guarded: String,
    pub after: String,
}

/// A place in a file, with what stands there in each of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splice {
    /// In bytes, in the file as it was.
    pub at: usize,
    pub before: String,
    pub guarded: String,
    pub after: String,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileVersion {
    /// As the user wrote it.
    Before,
    /// No command of compose gets past it.
    Guarded,
    /// It names V2.
    After,
}

impl Splice {
    fn of(&self, version: FileVersion) -> &str {
        match version {
            FileVersion::Before => &self.before,
            FileVersion::Guarded => &self.guarded,
            FileVersion::After => &self.after,
        }
    }
}

impl Variable {
    fn exchanged(&self) -> Variable {
        Variable { name: self.name.clone(), before: self.after.clone(), after: self.before.clone() }
    }
}

impl FileEdit {
    /// `None`: the splices are not of this text.
    pub fn new(path: PathBuf, text: &str, splices: Vec<Splice>) -> Option<Self> {
        let of = |version| spliced(text, &splices, FileVersion::Before, version).as_deref().map(sum);
        let (before, guarded, after) = (sum(text), of(FileVersion::Guarded)?, of(FileVersion::After)?);
        Some(FileEdit { path, splices, before, guarded, after })
    }

    /// What this text is; `None`: somebody changed it.
    pub fn version_of(&self, text: &str) -> Option<FileVersion> {
        let sum = sum(text);
        // A file that the guard does not change is in both.
        [(FileVersion::Before, &self.before), (FileVersion::Guarded, &self.guarded), (FileVersion::After, &self.after)]
            .into_iter()
            .find_map(|(version, of)| (sum == *of).then_some(version))
    }

    pub fn sum_of(&self, version: FileVersion) -> &str {
        match version {
            FileVersion::Before => &self.before,
            FileVersion::Guarded => &self.guarded,
            FileVersion::After => &self.after,
        }
    }

    /// What a file that somebody changed is with the guard taken out of it, if that is still there; nothing else is put back.
    pub fn without_guard(&self, text: &str) -> Option<String> {
        let guard =
            self.splices.iter().find(|splice| splice.guarded != splice.before && splice.guarded != splice.after)?;
        (text.matches(&guard.guarded).count() == 1).then(|| text.replacen(&guard.guarded, &guard.before, 1))
    }

    /// What has to be written where by hand, for a person.
    pub fn wanted(&self) -> String {
        let all: Vec<&str> = self.splices.iter().map(|splice| splice.after.trim()).collect();
        format!("{}: {}", self.path.display(), all.join(" … "))
    }

    /// The text in another version; `None`: somebody changed it.
    pub fn turned(&self, text: &str, to: FileVersion) -> Option<String> {
        let turned = spliced(text, &self.splices, self.version_of(text)?, to)?;
        (sum(&turned) == self.sum_of(to)).then_some(turned)
    }

    /// It is the one that no command of compose gets past.
    pub fn is_guarded(&self) -> bool {
        self.guarded != self.before
    }

    /// The same for the run that undoes it.
    fn exchanged(&self) -> FileEdit {
        let is_guarded = self.is_guarded();
        let mut grown: isize = 0;
        let splices = self.splices.iter().map(|splice| {
            let at = splice.at.saturating_add_signed(grown);
            grown += splice.after.len().cast_signed() - splice.before.len().cast_signed();
            let (before, after) = (splice.after.clone(), splice.before.clone());
            let guarded = if is_guarded { splice.guarded.clone() } else { before.clone() };
            Splice { at, before, guarded, after }
        });
        let splices = splices.collect();
        let (before, after) = (self.after.clone(), self.before.clone());
        // A file that is guarded is so by the same words in the same places, whichever way the run goes.
        let guarded = if is_guarded { self.guarded.clone() } else { before.clone() };
        FileEdit { path: self.path.clone(), splices, before, guarded, after }
    }
}

impl Compose {
    /// For the run that undoes this one.
    #[must_use]
    pub fn exchanged(&self) -> Compose {
        Compose {
            edits: self.edits.iter().map(FileEdit::exchanged).collect(),
            variables: self.variables.iter().map(Variable::exchanged).collect(),
            labels_before: self.labels_after.clone(),
            labels_after: self.labels_before.clone(),
            ..self.clone()
        }
    }
}

fn spliced(text: &str, splices: &[Splice], from: FileVersion, to: FileVersion) -> Option<String> {
    let (mut made, mut rest, mut at) = (String::with_capacity(text.len()), text, 0);
    let mut grown: isize = 0;
    for splice in splices {
        let start = splice.at.checked_add_signed(grown)?;
        let (kept, tail) = rest.split_at_checked(start.checked_sub(at)?)?;
        made.push_str(kept);
        made.push_str(splice.of(to));
        rest = tail.strip_prefix(splice.of(from))?;
        at = start + splice.of(from).len();
        grown += splice.of(from).len().cast_signed() - splice.before.len().cast_signed();
    }
    made.push_str(rest);
    Some(made)
}

fn sum(text: &str) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    sha2::Sha256::digest(text).iter().fold(String::new(), |mut sum, byte| {
        // Writing into a string does not fail.
        let _written = write!(sum, "{byte:02x}");
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::FileVersion::{After, Before, Guarded};
    use super::*;

    const TEXT: &str = "services:\n  db:\n    image: shop:1 # größe\nvolumes:\n  data:\n";

    fn edit() -> FileEdit {
        let splice = |what: &str, guarded: &str, after: &str| Splice {
            at: TEXT.find(what).unwrap(),
            before: what.to_owned(),
            guarded: guarded.to_owned(),
            after: after.to_owned(),
        };
        let name =
            Splice { at: TEXT.len() - 1, before: String::new(), guarded: String::new(), after: " { name: v }".into() };
        FileEdit::new("c.yml".into(), TEXT, vec![splice("shop:1", "\"${X:?no}\"", "shop:22"), name]).unwrap()
    }

    #[test]
    fn each_version_leads_to_each_other_one_byte_for_byte() {
        let edit = edit();
        let text = |to| edit.turned(TEXT, to).unwrap();
        assert_eq!(text(Guarded), TEXT.replace("shop:1", "\"${X:?no}\""));
        assert_eq!(text(After), TEXT.replace("shop:1", "shop:22").replace("data:", "data: { name: v }"));
        for from in [Before, Guarded, After] {
            assert_eq!(edit.version_of(&text(from)), Some(from));
            for to in [Before, Guarded, After] {
                assert_eq!(edit.turned(&text(from), to).unwrap(), text(to), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_file_that_somebody_changed_is_noticed() {
        let changed = TEXT.replace("größe", "grösse");
        assert_eq!(edit().version_of(&changed), None);
        assert_eq!(edit().turned(&changed, After), None);
        let beyond = Splice { at: 999, before: String::new(), guarded: String::new(), after: "x".into() };
        assert!(FileEdit::new("c.yml".into(), TEXT, vec![beyond]).is_none());
    }

    #[test]
    fn what_is_not_guarded_is_not_guarded_on_the_way_back_either() {
        let splice = Splice { at: 4, before: "15".into(), guarded: "15".into(), after: "17".into() };
        let back = FileEdit::new(".env".into(), "TAG=15\n", vec![splice]).unwrap().exchanged();
        assert!(!back.is_guarded());
        assert_eq!(back.turned("TAG=17\n", Guarded).unwrap(), "TAG=17\n");
        assert_eq!(back.turned("TAG=17\n", After).unwrap(), "TAG=15\n");
    }

    #[test]
    fn the_way_back_is_the_way_there() {
        let (there, back) = (edit(), edit().exchanged());
        let after = there.turned(TEXT, After).unwrap();
        assert_eq!(back.version_of(&after), Some(Before));
        assert_eq!(back.turned(&after, After).unwrap(), TEXT);
        assert_eq!(back.exchanged(), there);
        // Guarded in between, too: the words of the guard are the same.
        let guarded = back.turned(&after, Guarded);
        assert!(guarded.is_some_and(|text| text.contains("${X:?no}")), "no way back while it is guarded");
    }
}
