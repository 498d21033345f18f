//! Getting in: as the tool's own role, over the private network or a tunnel, never through the clients' address.
//! Before that role exists: through the container's own loopback, which the official images trust.

use std::time::Duration;

use super::names;
use super::session::{Login, Session, Timeouts, Turned, turned};
use super::wire::Wire;
pub(super) use crate::engine::place::{container, data, found, is_gone, port, refuse_shared};
use crate::engine::{Access, Place, Side};
use crate::runtime::{Container, Runtime, Stream};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Every session of ours is in this database: advisory locks belong to one.
pub(super) const DATABASE: &str = "postgres";

pub(super) async fn stream(place: &Place) -> Result<Box<dyn Stream>, Trouble> {
    let container = container(place).await?;
    place.runtime.dial(&container, &place.plan.private_network, port(place)).await
}

/// A session of the tool's own role.
pub(super) async fn admin(place: &Place, application: &str, timeouts: Timeouts) -> Result<Session, Trouble> {
    admin_in(place, DATABASE, application, timeouts).await
}

/// The same in any database.
pub(super) async fn admin_in(
    place: &Place,
    database: &str,
    application: &str,
    timeouts: Timeouts,
) -> Result<Session, Trouble> {
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    let login = Login { user: &names::admin(&place.plan), password: Some(&password), database, application };
    Session::open(stream(place).await?, &login, timeouts).await
}

/// As the tool's own role, in the protocol itself.
pub(super) async fn wire(
    place: &Place,
    stream: Box<dyn Stream>,
    database: &str,
    application: &str,
    replication: bool,
) -> Result<Wire, Trouble> {
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    let login = Login { user: &names::admin(&place.plan), password: Some(&password), database, application };
    let limit = Limit { name: "limits.statement", value: Duration::from_secs(30) };
    wait::within(limit, "connecting to PostgreSQL", Wire::open(stream, &login, replication)).await
}

/// As the tool's own role where it exists, else by local access. Trouble of the kind `Refused`: it answers, and knows
/// neither us nor the user.
pub(super) async fn either(place: &Place, timeouts: Timeouts) -> Result<Session, Trouble> {
    either_in(place, DATABASE, timeouts).await
}

/// The same in any database.
pub(super) async fn either_in(place: &Place, database: &str, timeouts: Timeouts) -> Result<Session, Trouble> {
    let container = found(place).await?;
    let inside = Inside {
        runtime: &*place.runtime,
        container: &container,
        port: port(place),
        access: &place.access,
        side: place.side,
    };
    // Local access first: where our role is not there yet, a try as it would be an error line in V1's log.
    match inside.session(database, timeouts).await {
        Ok(session) => Ok(session),
        Err(refused) => {
            admin_in(place, database, "switchover", timeouts).await.map_err(|trouble| match turned(&trouble) {
                Some(Turned::Away) => refused,
                _ => trouble,
            })
        }
    }
}

/// Local access to one server.
pub(super) struct Inside<'a> {
    pub(super) runtime: &'a dyn Runtime,
    pub(super) container: &'a Container,
    pub(super) port: u16,
    pub(super) access: &'a Access,
    pub(super) side: Side,
}

impl Inside<'_> {
    /// A superuser's session through the container's loopback.
    pub(super) async fn session(&self, database: &str, timeouts: Timeouts) -> Result<Session, Trouble> {
        let mut refused = None;
        for user in self.users() {
            let password = self.access.password.as_ref();
            let login = Login { user, password, database, application: "switchover" };
            let stream = self.runtime.dial_inside(&self.container.id, self.port).await.map_err(|trouble| {
                let what = format!("no PostgreSQL answers on port {} inside {}", self.port, self.container.name);
                Trouble::refused(what)
                    .because(trouble)
                    .hint(format!("does it still start? docker logs {}", self.container.name))
            })?;
            match Session::open(stream, &login, timeouts).await {
                Ok(session) => return Ok(session),
                Err(trouble) if turned(&trouble) == Some(Turned::Away) => {
                    refused.get_or_insert(trouble);
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Err(self.refused(refused))
    }

    /// Who may be the superuser: whom the user named, else whom the image made.
    fn users(&self) -> Vec<&str> {
        if let Some(user) = &self.access.user {
            return vec![user];
        }
        let made = self.container.settings.get("POSTGRES_USER").map(String::as_str);
        let mut users: Vec<&str> = made.into_iter().chain(["postgres"]).collect();
        users.dedup();
        users
    }

    fn refused(&self, why: Option<Trouble>) -> Trouble {
        let given = self.access.password.is_some();
        let what = match given {
            true => format!("{} refuses the user and password given", self.side),
            false => format!("{} asks for a password where it is reached from inside its container", self.side),
        };
        let trouble = Trouble::refused(what)
            .hint("give a superuser's name and password: PGUSER and PGPASSWORD, --password-file, or the configuration");
        let trouble = match given {
            true => trouble,
            false => trouble.hint("or let pg_hba.conf trust 127.0.0.1/32, as the official images do"),
        };
        match why {
            Some(why) => trouble.because(why),
            None => trouble,
        }
    }
}
