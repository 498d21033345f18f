//! What a server holds beyond what every server makes for itself.

use std::collections::BTreeMap;

use super::super::columns::Column;
use super::super::quote::{ident, literal, printable, qualified};
use super::super::session::Session;
use super::{OWN_SCHEMAS, fit_teller};
use crate::trouble::Trouble;

/// Whatever has a schema.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct Name {
    pub(in crate::engine) schema: String,
    pub(in crate::engine) name: String,
}

impl Name {
    pub(in crate::engine) fn quoted(&self) -> String {
        qualified(&self.schema, &self.name)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(&self.quoted()))
    }
}

#[derive(Clone, Debug)]
pub(in crate::engine) struct Schema {
    pub(in crate::engine) name: String,
    pub(in crate::engine) charset: String,
    pub(in crate::engine) collation: String,
}

#[derive(Clone, Debug)]
pub(in crate::engine) struct Table {
    pub(in crate::engine) name: Name,
    pub(in crate::engine) engine: String,
    /// In their order, without those whose values the server makes.
    pub(in crate::engine) columns: Vec<Column>,
    /// The columns of the primary key; empty: there is none.
    pub(in crate::engine) key: Vec<String>,
    /// As the server estimates them.
    pub(in crate::engine) bytes: u64,
}

impl Table {
    /// The rows of a view stay as they are only in tables of this engine.
    pub(in crate::engine) fn has_versions(&self) -> bool {
        self.engine.eq_ignore_ascii_case("InnoDB")
    }

    /// By what its rows can be parted so that each part is read without the others.
    pub(in crate::engine) fn parted_by(&self) -> Option<&Column> {
        let first = self.key.first().filter(|_| self.has_versions())?;
        self.columns.iter().find(|column| column.name == *first && column.integer)
    }
}

#[derive(Clone, Debug)]
pub(in crate::engine) struct Routine {
    /// As in `SHOW CREATE PROCEDURE`.
    pub(in crate::engine) kind: String,
    pub(in crate::engine) name: Name,
}

#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Inventory {
    pub(in crate::engine) schemas: Vec<Schema>,
    pub(in crate::engine) tables: Vec<Table>,
    /// Of MariaDB.
    pub(in crate::engine) sequences: Vec<Name>,
    pub(in crate::engine) views: Vec<Name>,
    pub(in crate::engine) routines: Vec<Routine>,
    /// In the order in which they must be made.
    pub(in crate::engine) triggers: Vec<Name>,
    pub(in crate::engine) events: Vec<Name>,
    /// What is there and would be missing in the copy, or be another thing there: for a person to read.
    pub(in crate::engine) not_carried: Vec<String>,
}

/// Engines whose rows are the table's own, and can be written.
const ENGINES: [&str; 8] = ["innodb", "myisam", "aria", "memory", "csv", "archive", "rocksdb", "blackhole"];

/// Reads `v1`. The schemas of `leave_out` are as if they were not there.
pub(in crate::engine) async fn inventory(v1: &Session, leave_out: &[&str]) -> Result<Inventory, Trouble> {
    fit_teller(v1).await?;
    let mut found = Inventory::default();
    let all = v1
        .rows(
            "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME \
             FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME",
        )
        .await?;
    for row in all {
        let [name, charset, collation] = fields(row);
        let own = OWN_SCHEMAS.iter().any(|own| own.eq_ignore_ascii_case(&name));
        if !own && !leave_out.contains(&name.as_str()) {
            found.schemas.push(Schema { name, charset, collation });
        }
    }
    if found.schemas.is_empty() {
        strange(v1, &mut found).await?;
        return Ok(found);
    }
    let list: Vec<String> = found.schemas.iter().map(|schema| literal(&schema.name)).collect();
    let list = list.join(", ");
    relations(v1, &list, &mut found).await?;
    programs(v1, &list, &mut found).await?;
    strange(v1, &mut found).await?;
    Ok(found)
}

/// Tables, views and sequences.
async fn relations(v1: &Session, list: &str, found: &mut Inventory) -> Result<(), Trouble> {
    let mut columns = columns(v1, list).await?;
    let mut keys = keys(v1, list).await?;
    let all = v1
        .rows(&format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, DATA_LENGTH \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ({list}) ORDER BY TABLE_SCHEMA, TABLE_NAME"
        ))
        .await?;
    for row in all {
        let [schema, name, kind, engine, bytes] = fields(row);
        let name = Name { schema, name };
        match kind.as_str() {
            "BASE TABLE" => {
                let columns = columns.remove(&name).unwrap_or_default();
                if !ENGINES.contains(&engine.to_ascii_lowercase().as_str()) {
                    found.not_carried.push(format!("table {name} of engine {engine:?}"));
                } else if columns.is_empty() {
                    found.not_carried.push(format!("table {name}, which has no column with values of its own"));
                } else {
                    let key = keys.remove(&name).unwrap_or_default();
                    let bytes = bytes.parse().unwrap_or(0);
                    found.tables.push(Table { name, engine, columns, key, bytes });
                }
            }
            "VIEW" => found.views.push(name),
            "SEQUENCE" => found.sequences.push(name),
            "SYSTEM VERSIONED" => found.not_carried.push(format!("system-versioned table {name}")),
            "TEMPORARY" => {}
            other => found.not_carried.push(format!("{name}, a {}", other.to_lowercase())),
        }
    }
    Ok(())
}

/// The columns of each table, without those whose values the server makes.
pub(in crate::engine::mysql_wire) async fn columns(
    v1: &Session,
    list: &str,
) -> Result<BTreeMap<Name, Vec<Column>>, Trouble> {
    let mut columns: BTreeMap<Name, Vec<Column>> = BTreeMap::new();
    let all = v1
        .rows(&format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, EXTRA \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN ({list}) \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
        ))
        .await?;
    for row in all {
        let [schema, table, name, data_type, column_type, extra] = fields(row);
        let column = Column::described(name, &data_type, &column_type, &extra);
        let columns = columns.entry(Name { schema, name: table }).or_default();
        if !column.generated {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// The primary key of each table that has one.
pub(in crate::engine::mysql_wire) async fn keys(
    v1: &Session,
    list: &str,
) -> Result<BTreeMap<Name, Vec<String>>, Trouble> {
    let mut keys: BTreeMap<Name, Vec<String>> = BTreeMap::new();
    let all = v1
        .rows(&format!(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA IN ({list}) AND INDEX_NAME = 'PRIMARY' \
             ORDER BY TABLE_SCHEMA, TABLE_NAME, SEQ_IN_INDEX"
        ))
        .await?;
    for row in all {
        let [schema, name, column] = fields(row);
        keys.entry(Name { schema, name }).or_default().push(column);
    }
    Ok(keys)
}

/// Routines, triggers and events.
async fn programs(v1: &Session, list: &str, found: &mut Inventory) -> Result<(), Trouble> {
    let routines = format!(
        "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES \
         WHERE ROUTINE_SCHEMA IN ({list}) ORDER BY ROUTINE_SCHEMA, ROUTINE_TYPE, ROUTINE_NAME"
    );
    for row in v1.rows(&routines).await? {
        let [schema, name, kind] = fields(row);
        let name = Name { schema, name };
        match kind.as_str() {
            "FUNCTION" | "PROCEDURE" | "PACKAGE" | "PACKAGE BODY" => found.routines.push(Routine { kind, name }),
            other => found.not_carried.push(format!("{} {name}", other.to_lowercase())),
        }
    }
    let triggers = format!(
        "SELECT TRIGGER_SCHEMA, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN ({list}) \
         ORDER BY TRIGGER_SCHEMA, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
    );
    for row in v1.rows(&triggers).await? {
        let [schema, name] = fields(row);
        found.triggers.push(Name { schema, name });
    }
    let events = format!(
        "SELECT EVENT_SCHEMA, EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN ({list}) \
         ORDER BY EVENT_SCHEMA, EVENT_NAME"
    );
    for row in v1.rows(&events).await? {
        let [schema, name] = fields(row);
        found.events.push(Name { schema, name });
    }
    Ok(())
}

/// What stands beside the schemas, or is in them and is nothing of the above.
async fn strange(v1: &Session, found: &mut Inventory) -> Result<(), Trouble> {
    for row in v1.rows("SELECT name FROM mysql.func ORDER BY name").await? {
        let [name] = fields(row);
        found.not_carried.push(format!("loadable function {}", shown(&name)));
    }
    for row in v1.rows("SELECT Server_name FROM mysql.servers ORDER BY Server_name").await? {
        let [name] = fields(row);
        found.not_carried.push(format!("foreign server {}", shown(&name)));
    }
    if v1.is_mariadb() {
        return Ok(());
    }
    let tablespaces = "SELECT NAME FROM information_schema.INNODB_TABLESPACES \
                       WHERE SPACE_TYPE = 'General' AND NAME <> 'mysql' ORDER BY NAME";
    for row in v1.rows(tablespaces).await? {
        let [name] = fields(row);
        found.not_carried.push(format!("tablespace {}", shown(&name)));
    }
    let has_libraries = "SELECT COUNT(*) FROM information_schema.TABLES \
                         WHERE TABLE_SCHEMA = 'information_schema' AND TABLE_NAME = 'LIBRARIES'";
    if v1.number(has_libraries).await? == Some(1) {
        let libraries = "SELECT LIBRARY_SCHEMA, LIBRARY_NAME FROM information_schema.LIBRARIES ORDER BY 1, 2";
        for row in v1.rows(libraries).await? {
            let [schema, name] = fields(row);
            let library = Name { schema, name };
            if found.schemas.iter().any(|schema| schema.name == library.schema) {
                found.not_carried.push(format!("library {library}"));
            }
        }
    }
    Ok(())
}

fn shown(name: &str) -> String {
    printable(&ident(name))
}

/// NULL and what is missing are empty.
pub(in crate::engine::mysql_wire) fn fields<const N: usize>(row: Vec<Option<String>>) -> [String; N] {
    let mut values = row.into_iter().map(Option::unwrap_or_default);
    std::array::from_fn(|_| values.next().unwrap_or_default())
}
