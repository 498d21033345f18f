//! The run's three accounts. The server itself keeps their passwords out of its logs.

use secrecy::{ExposeSecret, SecretString};

use super::connect::Session;
use super::names::{self, ANYWHERE};
use super::sessions;
use crate::engine::Place;
use crate::engine::mysql_wire::quote::{account, ident, literal, qualified};
use crate::trouble::Trouble;

/// Statements that make them, and the schema the probe writes to. They may be run again at any time.
pub(super) fn statements(place: &Place) -> Result<Vec<String>, Trouble> {
    let plan = &place.plan;
    let schema = names::schema(plan);
    let mut statements = Vec::new();
    for (user, secret) in [
        (names::admin(plan), names::ADMIN_SECRET),
        (names::replication(plan), names::REPLICATION_SECRET),
        (names::probe(plan), names::PROBE_SECRET),
    ] {
        let password = password(place, secret)?;
        let (who, by) = (account(&user, ANYWHERE), literal(password.expose_secret()));
        for verb in ["CREATE USER IF NOT EXISTS", "ALTER USER"] {
            statements.push(format!("{verb} {who} IDENTIFIED WITH caching_sha2_password BY {by}"));
        }
    }
    let (admin, replication) = (account(&names::admin(plan), ANYWHERE), account(&names::replication(plan), ANYWHERE));
    let probe = account(&names::probe(plan), ANYWHERE);
    statements.extend([
        format!("GRANT ALL ON *.* TO {admin} WITH GRANT OPTION"),
        format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {replication}"),
        format!("CREATE DATABASE IF NOT EXISTS {}", ident(&schema)),
        format!("CREATE TABLE IF NOT EXISTS {} (n INT PRIMARY KEY)", qualified(&schema, &schema)),
        format!("GRANT SELECT, INSERT, DELETE ON {}.* TO {probe}", ident(&schema)),
    ]);
    Ok(statements)
}

/// Of one of the accounts. A replica takes no longer one. (MySQL 9.7, error 3056)
pub(super) fn password(place: &Place, secret: &str) -> Result<SecretString, Trouble> {
    const LONGEST: usize = 32;
    let whole = place.secrets.secret(secret)?;
    Ok(whole.expose_secret().chars().take(LONGEST).collect::<String>().into())
}

pub(super) async fn ensure(session: &Session, place: &Place) -> Result<(), Trouble> {
    for statement in statements(place)? {
        session.run(&statement).await?;
    }
    Ok(())
}

/// Of these users of ours nobody is left: sessions but this one are ended, accounts dropped.
pub(super) async fn ensure_none(session: &Session, users: &[String]) -> Result<(), Trouble> {
    for user in users {
        sessions::end_of(session, user).await?;
        session.run(&format!("DROP USER IF EXISTS {}", account(user, ANYWHERE))).await?;
    }
    Ok(())
}

pub(super) async fn ensure_no_schema(session: &Session, place: &Place) -> Result<(), Trouble> {
    session.run(&format!("DROP DATABASE IF EXISTS {}", ident(&names::schema(&place.plan)))).await
}
