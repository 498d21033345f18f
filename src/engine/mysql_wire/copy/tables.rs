//! Schemas and empty tables, as they are on the other side.

use super::super::quote::{ident, literal, printable};
use super::super::session::{Session, code_of};
use super::inventory::{Inventory, Name};
use super::{fit_teller, fit_writer};
use crate::trouble::Trouble;

/// The schemas of the inventory are on `v2` with empty tables in them, and nothing else: what was there before is dropped.
pub(in crate::engine) async fn tables(v1: &Session, v2: &Session, inventory: &Inventory) -> Result<(), Trouble> {
    fit_teller(v1).await?;
    fit_writer(v2).await?;
    for schema in &inventory.schemas {
        let name = ident(&schema.name);
        v2.run(&format!("DROP DATABASE IF EXISTS {name}")).await?;
        v2.run(&format!(
            "CREATE DATABASE {name} CHARACTER SET {} COLLATE {}",
            literal(&schema.charset),
            literal(&schema.collation)
        ))
        .await
        .map_err(|trouble| Trouble::failed(format!("schema {} was not made", printable(&name))).because(trouble))?;
    }
    for sequence in &inventory.sequences {
        played(v1, v2, sequence, "SEQUENCE").await?;
        let next = format!("SELECT next_not_cached_value FROM {}", sequence.quoted());
        if let Some(next) = v1.text(&next).await?.and_then(|next| next.parse::<i128>().ok()) {
            v2.run(&format!("DO SETVAL({}, {next}, 0)", sequence.quoted())).await?;
        }
    }
    for table in &inventory.tables {
        played(v1, v2, &table.name, "TABLE").await?;
    }
    Ok(())
}

async fn played(v1: &Session, v2: &Session, name: &Name, kind: &str) -> Result<(), Trouble> {
    let what = kind.to_lowercase();
    let gone = || Trouble::failed(format!("{what} {name} went away while it was copied"));
    let shown = v1.bytes(&format!("SHOW CREATE {kind} {}", name.quoted())).await.map_err(|trouble| {
        match code_of(&trouble) {
            Some(1146) => gone(),
            _ => trouble,
        }
    })?;
    // MariaDB answers for a sequence as it does for a table.
    let statement = shown.and_then(|mut shown| shown.remove("Create Table")).ok_or_else(gone)?;
    v2.run(&format!("USE {}", ident(&name.schema))).await?;
    v2.run_bytes(&statement)
        .await
        .map_err(|trouble| Trouble::failed(format!("{what} {name} was not made")).because(trouble))
}
