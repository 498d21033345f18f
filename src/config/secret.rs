//! Secrets in the configuration: by the name of a variable or of a file, never literally.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::trouble::Trouble;

/// `${NAME}`: the environment variable that holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable(String);

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VariableName)
    }
}

/// As it was written.
impl Serialize for Variable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("${{{}}}", self.0))
    }
}

/// Where a password is to be had: what a plan may hold of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    Variable(Variable),
    File(PathBuf),
}

impl Password {
    pub fn read(&self) -> Result<SecretString, Trouble> {
        match self {
            Password::Variable(variable) => variable.read(),
            Password::File(path) => from_file(path),
        }
    }
}

/// Takes every scalar, so that the error never repeats what was written.
struct VariableName;

const LITERAL: &str =
    "a literal password is not accepted here: write `${NAME}` for an environment variable, or `password-file:`";

impl Visitor<'_> for VariableName {
    type Value = Variable;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("`${NAME}`")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Variable, E> {
        let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        let good = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        name.filter(good).map(|name| Variable(name.to_owned())).ok_or_else(|| E::custom(LITERAL))
    }
    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Variable, E> {
        Err(E::custom(LITERAL))
    }
    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Variable, E> {
        Err(E::custom(LITERAL))
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Variable, E> {
        Err(E::custom(LITERAL))
    }
    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Variable, E> {
        Err(E::custom(LITERAL))
    }
}

impl Variable {
    #[expect(clippy::disallowed_methods, reason = "the configuration names the variable")]
    pub fn read(&self) -> Result<SecretString, Trouble> {
        std::env::var(&self.0)
            .map(SecretString::from)
            .map_err(|_| Trouble::usage(format!("the environment variable {} is not set", self.0)))
    }
}

/// The content of a file, without the newline at its end.
pub fn from_file(path: &Path) -> Result<SecretString, Trouble> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Trouble::usage(format!("cannot read the password file {}", path.display())).because(e))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Trouble::usage(format!("the password file {} is empty", path.display())));
    }
    Ok(SecretString::from(text))
}
