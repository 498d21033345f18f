//! PostgreSQL: by streaming replication within one major version, by logical replication across versions (`logical/`).
//!
//! `server.rs` says who does what. Words of its own: LSN (a place in the log), slot (keeps the log a follower lacks),
//! standby (a server in recovery that follows).

mod access;
mod auto_conf;
mod before;
mod checks;
mod clean;
mod connect;
mod door;
mod files;
mod follow;
mod give_back;
mod health;
mod hold;
mod logical;
mod machine;
mod names;
mod one_run;
mod open;
mod polish;
mod position;
mod prepare;
mod probe;
mod promote;
mod rewind;
mod roles;
mod said;
mod seed;
mod server;
mod session;
mod sessions;
mod snapshot;
mod standby;
mod state;
mod subscriptions;
mod successor;
mod survey;
mod switch;
mod warm;
mod way_back;
mod window;
#[cfg(test)]
mod window_on_a_server;
mod wire;

use async_trait::async_trait;

use super::{Engine, Place, Server, Serving, Survey, SurveyRequest};
use crate::runtime::Image;
use crate::trouble::Trouble;

pub struct Postgres;

#[async_trait(?Send)]
impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    /// The official images say their major version in PG_MAJOR; others run `postgres` in a PGDATA.
    fn recognises(&self, image: &Image) -> bool {
        let runs = |program: &str| {
            image.entrypoint.iter().chain(&image.command).any(|word| word.rsplit('/').next() == Some(program))
        };
        image.environment.contains_key("PG_MAJOR") || image.environment.contains_key("PGDATA") && runs("postgres")
    }

    fn version_of<'a>(&self, image: &'a Image) -> Option<&'a str> {
        image.environment.get("PG_VERSION").map(String::as_str)
    }

    fn series(&self, first: u64) -> usize {
        // 9.6 was a series; from 10 on it is the first number. (PostgreSQL: "Versioning Policy")
        if first < 10 { 2 } else { 1 }
    }

    async fn survey(&self, ask: &SurveyRequest<'_>) -> Result<Survey, Trouble> {
        survey::survey(ask).await
    }

    fn server(&self, place: Place) -> Box<dyn Server> {
        match checks::Method::of(&place.plan) {
            checks::Method::Physical => Box::new(server::PgServer::new(place)),
            checks::Method::Logical => Box::new(logical::LogicalServer::new(place)),
        }
    }

    async fn exchanged(&self, before: &serde_json::Value, ask: &Serving<'_>) -> Result<serde_json::Value, Trouble> {
        before::exchanged(before, survey::subscriptions(ask).await?)
    }
}
