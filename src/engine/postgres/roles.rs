//! The run's three roles. Passwords reach V1 as SCRAM verifiers: no statement, and so no log of V1, holds one.

use postgres_protocol::password::scram_sha_256;
use secrecy::ExposeSecret;

use super::before::Before;
use super::checks::Method;
use super::connect;
use super::names::{self, ident, literal};
use super::session::Session;
use crate::engine::Place;
use crate::trouble::Trouble;

pub(super) async fn ensure(session: &Session, place: &Place) -> Result<(), Trouble> {
    let plan = &place.plan;
    // A table that is added while a logical follower follows is read by the follower itself.
    let follower = match Method::of(plan) {
        Method::Physical => "REPLICATION",
        Method::Logical => "REPLICATION BYPASSRLS",
    };
    for (role, rights, secret) in [
        (names::admin(plan), "SUPERUSER", names::ADMIN_SECRET),
        (names::replication(plan), follower, names::REPLICATION_SECRET),
        (names::probe(plan), "", names::PROBE_SECRET),
    ] {
        let exists = format!("SELECT count(*) FROM pg_roles WHERE rolname = {}", literal(&role));
        let verb = if session.text(&exists).await?.as_deref() == Some("0") { "CREATE" } else { "ALTER" };
        let verifier = scram_sha_256(place.secrets.secret(secret)?.expose_secret().as_bytes());
        let (name, comment) = (ident(&role), literal(&format!("temporary: switchover run {}", plan.run)));
        session
            .run(&format!(
                "{verb} ROLE {name} LOGIN {rights} PASSWORD {}; COMMENT ON ROLE {name} IS {comment}",
                literal(&verifier)
            ))
            .await?;
    }
    ensure_may_connect(session, &names::probe(plan), connect::DATABASE).await?;
    if Method::of(plan) == Method::Logical {
        let reads = "SELECT count(*) FROM pg_roles WHERE rolname = 'pg_read_all_data'";
        if session.text(reads).await?.as_deref() == Some("1") {
            session.run(&format!("GRANT pg_read_all_data TO {}", ident(&names::replication(plan)))).await?;
        }
        for database in Before::logical(plan)?.databases {
            ensure_may_connect(session, &names::replication(plan), &database.name).await?;
        }
    }
    Ok(())
}

/// Where everybody's right to connect was taken away.
async fn ensure_may_connect(session: &Session, role: &str, database: &str) -> Result<(), Trouble> {
    let may = format!(
        "SELECT has_database_privilege({}, oid, 'CONNECT') FROM pg_database WHERE datname = {}",
        literal(role),
        literal(database)
    );
    if session.text(&may).await?.as_deref() == Some("f") {
        session.run(&format!("GRANT CONNECT ON DATABASE {} TO {}", ident(database), ident(role))).await?;
    }
    Ok(())
}

/// Ends their sessions but this one, and drops them. A session of one of them may ask for it: it first becomes
/// somebody else.
pub(super) async fn ensure_none(session: &Session, roles: &[String]) -> Result<(), Trouble> {
    let names = roles.iter().map(|role| literal(role)).collect::<Vec<_>>().join(", ");
    let found = format!("SELECT coalesce(string_agg(rolname, ' '), '') FROM pg_roles WHERE rolname IN ({names})");
    let found = session.text(&found).await?.unwrap_or_default();
    if found.is_empty() {
        return Ok(());
    }
    let first = first_superuser(session).await?;
    session.run(&format!("SET SESSION AUTHORIZATION {first}")).await?;
    session
        .run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE usename IN ({names}) AND pid <> pg_backend_pid()"
        ))
        .await?;
    for role in found.split(' ') {
        // Only what was granted: a REVOKE of nothing writes the default rights down, and V1 would not be as before.
        let granted = format!(
            "SELECT coalesce(json_agg(DISTINCT d.datname), '[]') FROM pg_database AS d, aclexplode(d.datacl) AS a \
             WHERE a.grantee = (SELECT oid FROM pg_roles WHERE rolname = {})",
            literal(role)
        );
        for database in session.json::<Vec<String>>(&granted).await? {
            session.run(&format!("REVOKE CONNECT ON DATABASE {} FROM {}", ident(&database), ident(role))).await?;
        }
        session.run(&format!("DROP ROLE {}", ident(role))).await?;
    }
    Ok(())
}

/// The first superuser of this server, quoted: what outlives our roles belongs to him.
pub(super) async fn first_superuser(session: &Session) -> Result<String, Trouble> {
    let name = session.text("SELECT quote_ident(rolname) FROM pg_roles WHERE oid = 10").await?;
    name.ok_or_else(|| Trouble::failed("this server has no first superuser"))
}
