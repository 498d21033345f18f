//! A view of one side's data as of one moment, to be compared with the other side's.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::trouble::Trouble;

#[async_trait(?Send)]
pub trait Snapshot {
    /// Everything comparable, in a stable order, under the same names on both sides.
    async fn tables(&self) -> Result<Vec<Table>, Trouble>;
    /// Rows and a hash over them, independent of their order. `percent` under 100 takes a sample that picks the same
    /// rows on both sides; an engine that cannot do that looks at all of them.
    async fn fingerprint(&self, table: &str, percent: f64) -> Result<Fingerprint, Trouble>;
    /// The same of each of `parts` parts of the table, split by what identifies a row: alike on both sides. An engine that
    /// cannot split says none.
    async fn parts(&self, table: &str, parts: u32) -> Result<BTreeMap<u32, Fingerprint>, Trouble> {
        let _ = (table, parts);
        Ok(BTreeMap::new())
    }
    /// The rows of such a part: what identifies each, and a hash over it.
    async fn rows(&self, table: &str, part: u32, parts: u32) -> Result<BTreeMap<String, String>, Trouble> {
        let _ = (table, part, parts);
        Ok(BTreeMap::new())
    }
    /// Those rows of a table that are identified so.
    async fn these(&self, table: &str, keys: &[String]) -> Result<BTreeMap<String, String>, Trouble> {
        let _ = (table, keys);
        Ok(BTreeMap::new())
    }
    async fn end(self: Box<Self>) -> Result<(), Trouble>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub bytes: u64,
    /// What identifies a row may be shown: it is a key of the table's, and not the whole row.
    pub keyed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub rows: u64,
    /// `None`: they were only counted.
    pub hash: Option<String>,
    /// All rows were looked at, whatever share was asked for.
    pub whole: bool,
}
