//! PostgreSQL.

#[allow(dead_code)]
mod access;
mod connect;
mod door;
#[allow(dead_code)]
mod give_back;
mod hold;
mod names;
mod position;
mod session;
mod sessions;
mod switch;
#[allow(dead_code)]
mod window;
#[cfg(test)]
mod window_on_a_server;

use async_trait::async_trait;

use super::{Engine, Place, Server, Survey, SurveyRequest};
use crate::runtime::Image;
use crate::trouble::Trouble;

pub struct Postgres;

#[async_trait(?Send)]
impl Engine for Postgres {
    fn name(&self) -> &'static str {
        "postgresql"
    }
    fn recognises(&self, _image: &Image) -> bool {
        false
    }
    async fn survey(&self, _ask: &SurveyRequest<'_>) -> Result<Survey, Trouble> {
        Err(Trouble::bug("not built"))
    }
    fn server(&self, _place: Place) -> Box<dyn Server> {
        unreachable!("not built")
    }
}
