//! A session in each database that is carried.

use std::rc::Rc;

use futures_util::future::try_join_all;

use crate::engine::Place;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::connect;
use crate::engine::postgres::session::{Session, Timeouts, Turned, turned};
use crate::trouble::Trouble;

/// One database of a side.
#[derive(Clone)]
pub(super) struct Open {
    /// As the plan numbers it.
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) session: Rc<Session>,
}

/// Nothing of the user's acts on what we do on a follower: no event trigger, no trigger.
const AS_REPLICA: &str = "SET session_replication_role = replica";

/// As the tool's own role.
pub(super) async fn open(place: &Place, application: &str, timeouts: Timeouts) -> Result<Vec<Open>, Trouble> {
    let databases = Before::logical(&place.plan)?.databases;
    try_join_all(databases.into_iter().enumerate().map(async |(number, database)| {
        let session = connect::admin_in(place, &database.name, application, timeouts).await?;
        session.run(AS_REPLICA).await?;
        Ok(Open { number, name: database.name, session: Rc::new(session) })
    }))
    .await
}

/// By local access where our role is not there any more. A database that is gone is left out.
pub(super) async fn reachable(place: &Place, timeouts: Timeouts) -> Result<Vec<Open>, Trouble> {
    let mut all = Vec::new();
    for (number, database) in Before::logical(&place.plan)?.databases.into_iter().enumerate() {
        match connect::either_in(place, &database.name, timeouts).await {
            Ok(session) => {
                session.run(AS_REPLICA).await?;
                all.push(Open { number, name: database.name, session: Rc::new(session) });
            }
            Err(trouble) if turned(&trouble) == Some(Turned::NoSuchDatabase) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(all)
}
