//! MySQL: by its binary log with GTIDs, within a series or to the next one.
//!
//! `server.rs` says who does what. Words of its own: GTID (a transaction's number, unique among all servers), binary log
//! (what a replica reads), `super_read_only` (nobody writes, whoever it is).

mod before;
mod checks;
mod clean;
mod dialect;
mod follow;
mod give_back;
mod gtid;
mod machine;
mod open;
mod polish;
mod position;
mod prepare;
mod promote;
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

pub struct Mysql;

#[async_trait(?Send)]
impl Engine for Mysql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    /// The official images say their series in MYSQL_MAJOR; others run `mysqld`. MariaDB's images say what they are.
    fn recognises(&self, image: &Image) -> bool {
        let runs = |program: &str| {
            image.entrypoint.iter().chain(&image.command).any(|word| word.rsplit('/').next() == Some(program))
        };
        let mariadb = image.environment.contains_key("MARIADB_VERSION") || runs("mariadbd");
        !mariadb && (image.environment.contains_key("MYSQL_MAJOR") || runs("mysqld"))
    }

    fn version_of<'a>(&self, image: &'a Image) -> Option<&'a str> {
        image.environment.get("MYSQL_VERSION").map(String::as_str)
    }

    fn series(&self, _: u64) -> usize {
        2
    }

    async fn survey(&self, ask: &SurveyRequest<'_>) -> Result<Survey, Trouble> {
        survey::survey(ask).await
    }

    fn server(&self, place: Place) -> Box<dyn Server> {
        Box::new(server::MysqlServer::new(place))
    }

    async fn exchanged(&self, before: &serde_json::Value, ask: &Serving<'_>) -> Result<serde_json::Value, Trouble> {
        before::exchanged(before, survey::serving(ask).await?)
    }
}
