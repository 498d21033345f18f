//! Copying what a server holds to another one, by statements: what there is, the tables, their rows (several tables and
//! parts of tables at a time), then accounts, routines, views, triggers and events.
//!
//! Nothing of it can be gone on with: whoever was interrupted begins again with [`tables()`], which drops the schemas first.
//! After an error the sessions are of no further use.

mod accounts;
pub(in crate::engine::mysql_wire) mod inventory;
mod objects;
mod rows;
mod tables;
#[cfg(test)]
mod tests;

pub(in crate::engine) use accounts::accounts;
pub(in crate::engine) use inventory::{Name, inventory};
pub(in crate::engine) use objects::objects;
pub(in crate::engine) use rows::{Speed, rows};
pub(in crate::engine) use tables::tables;

use super::session::Session;
use crate::trouble::Trouble;

/// What a reader says for its view to begin, after [`fit_reader`].
pub(in crate::engine) const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// The schemas that every server makes for itself.
pub(in crate::engine) const OWN_SCHEMAS: [&str; 4] = ["information_schema", "mysql", "performance_schema", "sys"];

/// Before its view begins: a session that reads rows. Without this the view would not last beyond one statement.
pub(in crate::engine) async fn fit_reader(session: &Session) -> Result<(), Trouble> {
    session.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
    session.run("SET SESSION character_set_results = binary").await
}

/// A session that is asked for definitions: they are whole, and can be played elsewhere.
pub(in crate::engine) async fn fit_teller(session: &Session) -> Result<(), Trouble> {
    let own = match session.is_mariadb() {
        true => "",
        false => {
            ", information_schema_stats_expiry = 0, print_identified_with_as_hex = ON \
             /*!80030 , show_gipk_in_create_table_and_information_schema = ON */"
        }
    };
    session.run(&format!("SET SESSION sql_quote_show_create = 1{own}")).await
}

/// A session that makes tables and writes rows: not logged, nothing looked after that held on the other side already, and
/// every value taken that the other side has.
pub(in crate::engine) async fn fit_writer(session: &Session) -> Result<(), Trouble> {
    let own = match session.is_mariadb() {
        true => ", check_constraint_checks = 0 /*M!110200 , character_set_collations = '' */",
        false => {
            ", sql_require_primary_key = 0 /*!80030 , sql_generate_invisible_primary_key = 0 */ \
             /*!80400 , restrict_fk_on_non_standard_key = 0 */"
        }
    };
    session.run("SET NAMES utf8mb4").await?;
    session
        .run(&format!(
            "SET SESSION sql_log_bin = 0, foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00', \
             sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', innodb_strict_mode = 0{own}"
        ))
        .await
}
