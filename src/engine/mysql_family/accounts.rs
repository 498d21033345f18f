//! The run's three accounts. The server itself keeps their passwords out of its logs.

use secrecy::{ExposeSecret, SecretString};

use super::names::{self, ANYWHERE};
use super::sessions;
use crate::engine::Place;
use crate::engine::mysql_wire::quote::{account, ident, literal, qualified};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// How a password is given. MariaDB's own way is the one that every client knows.
pub(in crate::engine) fn identified(mariadb: bool, password: &SecretString) -> String {
    let how = if mariadb { "" } else { "WITH caching_sha2_password " };
    format!("IDENTIFIED {how}BY {}", literal(password.expose_secret()))
}

/// Statements that make them, and the schema the probe writes to. They may be run again at any time.
fn statements(place: &Place, mariadb: bool) -> Result<Vec<String>, Trouble> {
    let plan = &place.plan;
    let schema = names::schema(plan);
    let mut statements = Vec::new();
    for (user, secret) in [
        (names::admin(plan), names::ADMIN_SECRET),
        (names::replication(plan), names::REPLICATION_SECRET),
        (names::probe(plan), names::PROBE_SECRET),
    ] {
        let password = password(place, secret)?;
        let (who, by) = (account(&user, ANYWHERE), identified(mariadb, &password));
        for verb in ["CREATE USER IF NOT EXISTS", "ALTER USER"] {
            statements.push(format!("{verb} {who} {by}"));
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

/// Of one of the accounts. A replica of MySQL takes no longer one. (9.7, error 3056)
pub(in crate::engine) fn password(place: &Place, secret: &str) -> Result<SecretString, Trouble> {
    const LONGEST: usize = 32;
    let whole = place.secrets.secret(secret)?;
    Ok(whole.expose_secret().chars().take(LONGEST).collect::<String>().into())
}

pub(in crate::engine) async fn ensure(session: &Session, place: &Place) -> Result<(), Trouble> {
    for statement in statements(place, session.is_mariadb())? {
        session.run(&statement).await?;
    }
    Ok(())
}

/// Of these users of ours nobody is left: sessions but this one are ended, accounts dropped.
pub(in crate::engine) async fn ensure_none(session: &Session, users: &[String]) -> Result<(), Trouble> {
    for user in users {
        sessions::end_of(session, user, None).await?;
        session.run(&format!("DROP USER IF EXISTS {}", account(user, ANYWHERE))).await?;
    }
    Ok(())
}

pub(in crate::engine) async fn ensure_no_schema(session: &Session, place: &Place) -> Result<(), Trouble> {
    session.run(&format!("DROP DATABASE IF EXISTS {}", ident(&names::schema(&place.plan)))).await
}
