//! MariaDB: by its binary log with GTIDs, to the same or a newer version.
//!
//! `server.rs` says who does what. Words of its own: GTID (domain, server and number of a transaction: another thing than
//! MySQL's), global read lock (holds every writer, whoever it is, for as long as the session lives that has it), option file
//! (what a server reads when it starts; nothing of a running server's settings outlasts it otherwise).

mod before;
mod checks;
mod clean;
mod dialect;
mod follow;
mod give_back;
mod lasting;
mod machine;
mod open;
mod option_file;
mod polish;
mod position;
mod prepare;
mod promote;
mod restart;
mod said;
mod seed;
mod server;
mod sessions;
mod state;
mod survey;
mod way_back;
mod window;
#[cfg(test)]
mod window_on_a_server;

use async_trait::async_trait;

use super::{Engine, Place, Server, Serving, Survey, SurveyRequest};
use crate::runtime::Image;
use crate::trouble::Trouble;

pub struct Mariadb;

#[async_trait(?Send)]
impl Engine for Mariadb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    /// The official images say their version in MARIADB_VERSION; others run `mariadbd`.
    fn recognises(&self, image: &Image) -> bool {
        let mut words = image.entrypoint.iter().chain(&image.command);
        image.environment.contains_key("MARIADB_VERSION")
            || words.any(|word| word.rsplit('/').next() == Some("mariadbd"))
    }

    fn version_of<'a>(&self, image: &'a Image) -> Option<&'a str> {
        image.environment.get("MARIADB_VERSION").map(String::as_str)
    }

    fn series(&self, _: u64) -> usize {
        2
    }

    async fn survey(&self, ask: &SurveyRequest<'_>) -> Result<Survey, Trouble> {
        survey::survey(ask).await
    }

    fn server(&self, place: Place) -> Box<dyn Server> {
        Box::new(server::MariadbServer::new(place))
    }

    async fn exchanged(&self, before: &serde_json::Value, ask: &Serving<'_>) -> Result<serde_json::Value, Trouble> {
        before::exchanged(before, survey::serving(ask).await?)
    }
}
