//! As MySQL has them: a role is an account that is given to others.

use std::collections::BTreeSet;

use super::super::super::session::Session;
use super::words::without;
use super::{Accounts, Who, give, rights, run, told};
use crate::trouble::Trouble;

pub(super) async fn made(
    v1: &Session,
    v2: &Session,
    theirs: &BTreeSet<Who>,
    us: &Who,
    present: &BTreeSet<Who>,
    done: &mut Accounts,
) -> Result<(), Trouble> {
    let mut default_roles = Vec::new();
    for who in theirs {
        let shown = v1.text(&format!("SHOW CREATE USER {}", who.quoted())).await;
        let shown = shown.map_err(|trouble| told(who, "read", &trouble))?.unwrap_or_default();
        let (mut statement, roles) = without(&shown, " DEFAULT ROLE ", &[" REQUIRE "]);
        if who == us && present.contains(us) {
            statement = statement.replacen("CREATE USER ", "ALTER USER ", 1);
        }
        run(v2, who, "made", &statement).await?;
        default_roles.extend(roles.map(|roles| (who, roles)));
    }
    for who in theirs {
        for right in rights(v1, who).await? {
            give(v2, who, right, done).await?;
        }
    }
    for (who, roles) in default_roles {
        run(v2, who, "given its roles", &format!("ALTER USER {} DEFAULT ROLE {roles}", who.quoted())).await?;
    }
    second_passwords(v1, theirs, done).await
}

/// A password that was kept beside a new one is shown by no statement.
async fn second_passwords(v1: &Session, theirs: &BTreeSet<Who>, done: &mut Accounts) -> Result<(), Trouble> {
    let having = "SELECT User, Host FROM mysql.user WHERE User_attributes->>'$.additional_password' IS NOT NULL";
    for [user, host] in v1.rows(having).await?.into_iter().map(super::fields) {
        let who = Who { user, host, role: false };
        if theirs.contains(&who) {
            done.not_carried.push(format!("the second password of {who}"));
        }
    }
    Ok(())
}
