//! As MariaDB has them: roles are of their own kind.

use std::collections::BTreeSet;

use super::super::super::quote::literal;
use super::super::super::session::Session;
use super::words::without;
use super::{Accounts, PUBLIC, Who, give, rights, run, told};
use crate::trouble::Trouble;

pub(super) async fn made(
    v1: &Session,
    v2: &Session,
    theirs: &BTreeSet<Who>,
    us: &Who,
    present: &BTreeSet<Who>,
    done: &mut Accounts,
) -> Result<(), Trouble> {
    for who in theirs.iter().filter(|who| who.user != PUBLIC) {
        if who.role {
            run(v2, who, "made", &format!("CREATE ROLE {}", who.quoted())).await?;
            continue;
        }
        let shown = v1.text(&format!("SHOW CREATE USER {}", who.quoted())).await;
        let mut statement = shown.map_err(|trouble| told(who, "read", &trouble))?.unwrap_or_default();
        if who == us && present.contains(us) {
            statement = statement.replacen("CREATE USER ", "ALTER USER ", 1);
        }
        run(v2, who, "made", &statement).await?;
    }
    for who in theirs {
        let public = who.user == PUBLIC;
        let lines = if public { of_public(v1).await? } else { rights(v1, who).await? };
        for right in lines {
            // The account has its passwords already.
            let (right, _) = without(&right, " IDENTIFIED ", &[" REQUIRE ", " WITH "]);
            give(v2, who, right, done).await?;
        }
    }
    ours(v1, v2, theirs, us, done).await
}

async fn of_public(v1: &Session) -> Result<Vec<String>, Trouble> {
    let all = v1.rows("SHOW GRANTS FOR PUBLIC").await?;
    Ok(all.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect())
}

/// Who makes a role holds it. We need that for giving it to others, and not beyond.
async fn ours(
    v1: &Session,
    v2: &Session,
    theirs: &BTreeSet<Who>,
    us: &Who,
    done: &mut Accounts,
) -> Result<(), Trouble> {
    let held = format!(
        "SELECT Role FROM mysql.roles_mapping WHERE User = {} AND Host = {}",
        literal(&us.user),
        literal(&us.host)
    );
    let there = if theirs.contains(us) { v1.rows(&held).await? } else { Vec::new() };
    for row in v2.rows(&held).await? {
        if !there.contains(&row) {
            let role = row.into_iter().next().flatten().unwrap_or_default();
            done.last.push(format!("REVOKE {} FROM {}", literal(&role), us.quoted()));
        }
    }
    Ok(())
}
