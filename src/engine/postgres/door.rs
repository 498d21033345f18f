//! Whether V1's rules in force let a new session in. `pg_hba_file_rules` shows the file, not what is in force, and a
//! reload is asynchronous: so we knock, as a role that only the open rules admit.

use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::{connect, names};
use crate::engine::Place;
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The rules refuse us before a password is asked for.
    Refused,
    /// A password is asked for. We give none.
    Open,
}

/// Knocks at the server of `place`. Any other answer is trouble: it proves neither.
pub(super) async fn knock(place: &Place) -> Result<Answer, Trouble> {
    let knocking = async {
        let stream = connect::stream(place).await?;
        let mut config = tokio_postgres::Config::new();
        config.user(names::probe(&place.plan)).dbname(connect::DATABASE).application_name("switchover door");
        Ok(config.connect_raw(stream, NoTls).await.map(drop))
    };
    let limit = Limit { name: "limits.statement", value: place.plan.limits.statement.0 };
    let answer = wait::within(limit, "knocking at PostgreSQL's door", knocking).await?;
    match answer {
        Ok(()) => Err(Trouble::bug("a role with a password got in without one")),
        Err(error) => match error.code() {
            Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Ok(Answer::Refused),
            None if asks_for_password(&error) => Ok(Answer::Open),
            _ => Err(Trouble::failed(format!("{} did not answer at its door", place.side)).because(error)),
        },
    }
}

/// The driver has no name for it; `window_on_a_server.rs` notices if its words change.
fn asks_for_password(error: &tokio_postgres::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.to_string() == "password missing")
}
