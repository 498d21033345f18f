//! Accounts and roles, with their passwords' hashes and all that they may do. No hash is ever in an error.

mod mariadb;
mod mysql;
mod words;

use std::collections::BTreeSet;

use super::super::quote::{account, literal, printable};
use super::super::session::{Session, code_of};
use super::inventory::fields;
use super::{fit_teller, fit_writer};
use crate::trouble::Trouble;

/// Accounts that every server makes for itself.
const OWN: [&str; 4] = ["mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys"];

/// MariaDB's name for everybody, which is no account.
const PUBLIC: &str = "PUBLIC";

/// Who, as in `'shop'@'%'`. A role of MariaDB's has an empty host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Who {
    user: String,
    host: String,
    /// A role of MariaDB's; MySQL's roles are accounts.
    role: bool,
}

impl Who {
    fn quoted(&self) -> String {
        if self.role { literal(&self.user) } else { account(&self.user, &self.host) }
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&printable(&self.quoted()))
    }
}

/// What is left to be done, and what is not carried.
#[derive(Debug, Default)]
pub(in crate::engine) struct Accounts {
    /// For a person to read.
    pub(in crate::engine) not_carried: Vec<String>,
    /// Rights on what is not there yet.
    later: Vec<(Who, String)>,
    /// What makes the session's own account hold no more than it did.
    last: Vec<String>,
}

/// `v2` has the accounts that `v1` has, no others and no other rights; those of `leave_out` are as if they were not there,
/// and the account that we are logged in with on `v2` is never dropped, nor are its rights taken. Rights on routines and
/// views wait for [`Accounts::finish`].
pub(in crate::engine) async fn accounts(
    v1: &Session,
    v2: &Session,
    leave_out: &[(&str, &str)],
) -> Result<Accounts, Trouble> {
    fit_teller(v1).await?;
    fit_writer(v2).await?;
    let theirs = listed(v1, leave_out).await?;
    let us = current(v2).await?;
    let present = listed(v2, leave_out).await?;
    for who in present.iter().filter(|who| **who != us && who.user != PUBLIC) {
        let kind = if who.role { "ROLE" } else { "USER" };
        run(v2, who, "dropped", &format!("DROP {kind} {}", who.quoted())).await?;
    }
    let mut done = Accounts::default();
    match v1.is_mariadb() {
        true => mariadb::made(v1, v2, &theirs, &us, &present, &mut done).await?,
        false => mysql::made(v1, v2, &theirs, &us, &present, &mut done).await?,
    }
    proxies(v1, v2, &theirs).await?;
    Ok(done)
}

impl Accounts {
    /// When everything that rights are for is there.
    pub(in crate::engine) async fn finish(self, v2: &Session) -> Result<Vec<String>, Trouble> {
        let mut not_carried = self.not_carried;
        for (who, right) in self.later {
            match v2.run(&right).await {
                Ok(()) => {}
                // Rights outlive what they are for.
                Err(trouble) if is_missing(&trouble) => {
                    not_carried.push(format!("a right of {who} on what is not there"));
                }
                Err(trouble) => return Err(told(&who, "given a right", &trouble)),
            }
        }
        for statement in self.last {
            v2.run(&statement).await?;
        }
        Ok(not_carried)
    }
}

/// All but the servers' own and those left out.
async fn listed(session: &Session, leave_out: &[(&str, &str)]) -> Result<BTreeSet<Who>, Trouble> {
    let role = if session.is_mariadb() { "is_role" } else { "'N'" };
    let all = session.rows(&format!("SELECT User, Host, {role} FROM mysql.user")).await?;
    let all = all.into_iter().map(fields).map(|[user, host, role]| Who { user, host, role: role == "Y" });
    Ok(all
        .filter(|who| !OWN.contains(&who.user.as_str()))
        .filter(|who| !leave_out.iter().any(|(user, host)| *user == who.user && *host == who.host))
        .collect())
}

/// The account that a session is logged in with.
async fn current(session: &Session) -> Result<Who, Trouble> {
    let name = session.text("SELECT CURRENT_USER()").await?.unwrap_or_default();
    let (user, host) = name.rsplit_once('@').unwrap_or((&name, ""));
    Ok(Who { user: user.to_owned(), host: host.to_owned(), role: false })
}

/// Who may act as whom: the statement for it takes a right that root has from its own host only.
async fn proxies(v1: &Session, v2: &Session, theirs: &BTreeSet<Who>) -> Result<(), Trouble> {
    let all =
        v1.rows("SELECT User, Host, Proxied_user, Proxied_host, With_grant, Grantor FROM mysql.proxies_priv").await?;
    let mut changed = false;
    for [user, host, of, of_host, grant, grantor] in all.into_iter().map(fields) {
        let who = Who { user, host, role: false };
        if !theirs.contains(&who) {
            continue;
        }
        changed = true;
        let values = [&who.user, &who.host, &of, &of_host, &grant, &grantor].map(|value| literal(value)).join(", ");
        let row = format!(
            "REPLACE INTO mysql.proxies_priv (User, Host, Proxied_user, Proxied_host, With_grant, Grantor) VALUES ({values})"
        );
        run(v2, &who, "made a proxy", &row).await?;
    }
    if changed { v2.run("FLUSH LOCAL PRIVILEGES").await } else { Ok(()) }
}

/// Each line of `SHOW GRANTS`, but for those about proxies.
async fn rights(v1: &Session, who: &Who) -> Result<Vec<String>, Trouble> {
    let all =
        v1.rows(&format!("SHOW GRANTS FOR {}", who.quoted())).await.map_err(|trouble| told(who, "read", &trouble))?;
    let lines = all.into_iter().filter_map(|row| row.into_iter().next().flatten());
    Ok(lines.filter(|line| !line.starts_with("GRANT PROXY ON ")).collect())
}

/// A right; what it is on may come later.
async fn give(v2: &Session, who: &Who, right: String, done: &mut Accounts) -> Result<(), Trouble> {
    match v2.run(&right).await {
        Ok(()) => Ok(()),
        Err(trouble) if is_missing(&trouble) => {
            done.later.push((who.clone(), right));
            Ok(())
        }
        Err(trouble) => Err(told(who, "given a right", &trouble)),
    }
}

/// No such schema, table, column or routine.
fn is_missing(trouble: &Trouble) -> bool {
    matches!(code_of(trouble), Some(1049 | 1054 | 1146 | 1147 | 1305))
}

async fn run(v2: &Session, who: &Who, what: &str, statement: &str) -> Result<(), Trouble> {
    v2.run(statement).await.map_err(|trouble| told(who, what, &trouble))
}

/// The server's words quote statements, and with them hashes: they are told for what cannot be such.
fn told(who: &Who, what: &str, trouble: &Trouble) -> Trouble {
    let told = format!("account {who} was not {what}");
    match code_of(trouble) {
        // A plugin that is not there; an operation that failed for an account; rights that we lack.
        Some(1396 | 1524 | 1227 | 1045 | 1142 | 1410 | 3619 | 4006) => {
            Trouble::failed(format!("{told}: {}", trouble.what))
        }
        Some(code) => Trouble::failed(format!("{told} (error {code})")),
        None => Trouble::failed(format!("{told}: the session with the server broke")),
    }
}
