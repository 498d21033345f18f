//! Whose sessions are on a server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::locks;
use crate::engine::mysql_wire::quote::literal;
use crate::engine::mysql_wire::session::{Session, code_of};
use crate::engine::{ClientSession, SessionsEnded};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Deadline, Limit, Look, Wait};

/// No such connection: it has ended by itself.
const UNKNOWN: u16 = 1094;

/// How often the window looks.
const SOON: Duration = Duration::from_millis(2);

/// Every connection, as a table of `id` and `user`, where the server keeps one without locking anybody out.
pub(in crate::engine) fn table(session: &Session) -> &'static str {
    match session.is_mariadb() {
        true => "(SELECT ID AS id, USER AS user FROM information_schema.PROCESSLIST) AS c",
        false => {
            "(SELECT processlist_id AS id, processlist_user AS user FROM performance_schema.threads \
             WHERE processlist_id IS NOT NULL) AS c"
        }
    }
}

/// Those of clients that came over a network. Whoever copies the log is none.
pub(in crate::engine) async fn clients(session: &Session) -> Result<Vec<ClientSession>, Trouble> {
    let sql = match session.is_mariadb() {
        true => {
            "SELECT c.HOST, c.USER, '' FROM information_schema.PROCESSLIST AS c \
             WHERE c.ID <> CONNECTION_ID() AND c.COMMAND <> 'Daemon' AND c.COMMAND NOT LIKE 'Binlog Dump%' \
             AND c.USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user') \
             AND c.HOST NOT IN ('', 'localhost')"
        }
        false => {
            "SELECT t.processlist_host, t.processlist_user, COALESCE(a.attr_value, '') \
             FROM performance_schema.threads AS t LEFT JOIN performance_schema.session_connect_attrs AS a \
             ON a.processlist_id = t.processlist_id AND a.attr_name = 'program_name' \
             WHERE t.type = 'FOREGROUND' AND t.processlist_id <> CONNECTION_ID() \
             AND COALESCE(t.processlist_command, '') <> 'Daemon' \
             AND COALESCE(t.processlist_command, '') NOT LIKE 'Binlog Dump%' \
             AND t.processlist_user NOT IN ('event_scheduler', 'mysql.session') \
             AND COALESCE(t.processlist_host, '') NOT IN ('', 'localhost')"
        }
    };
    let of_row = |row: Vec<Option<String>>| {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let (host, user) = (values.next()?, values.next()?);
        Some(ClientSession { address: without_port(&host), application: values.next()?, user })
    };
    Ok(session.rows(sql).await?.into_iter().filter_map(of_row).collect())
}

/// `10.0.0.5:43210`. An address of version 6 has colons of its own, and no part as long as a client's port.
fn without_port(host: &str) -> String {
    let host = match host.rsplit_once(':') {
        Some((address, port)) if port.parse::<u16>().is_ok() && host.parse::<std::net::Ipv6Addr>().is_err() => address,
        _ => host,
    };
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Ends one, if it is still there.
pub(in crate::engine) async fn end(session: &Session, id: u64) -> Result<(), Trouble> {
    match session.run(&format!("KILL CONNECTION {id}")).await {
        Err(trouble) if code_of(&trouble) == Some(UNKNOWN) => Ok(()),
        other => other,
    }
}

/// All of this user's but this one, and but the one that holds `spared`.
pub(in crate::engine) async fn end_of(session: &Session, user: &str, spared: Option<&str>) -> Result<(), Trouble> {
    let spared = spared.map_or_else(|| "0".to_owned(), |lock| format!("COALESCE(IS_USED_LOCK({}), 0)", literal(lock)));
    let sql = format!(
        "SELECT c.id FROM {} WHERE c.user = {} AND c.id <> CONNECTION_ID() AND c.id <> {spared}",
        table(session),
        literal(user)
    );
    for id in session.list(&sql).await? {
        if let Ok(id) = id.parse() {
            end(session, id).await?;
        }
    }
    Ok(())
}

/// A session has gone, whatever ended it.
pub(in crate::engine) async fn ensure_gone(session: &Session, id: u64, tell: &Teller) -> Result<(), Trouble> {
    end(session, id).await?;
    let left = format!("SELECT COUNT(*) FROM {} WHERE c.id = {id}", table(session));
    let wait = Wait {
        what: "the dead-man's switch to be gone",
        limit: Limit { name: "limits.statement", value: Duration::from_secs(5) },
        every: Duration::from_millis(1),
        kind: Kind::Failed,
    };
    wait::until(wait, tell, async || match session.number(&left).await? {
        Some(0) => Ok(Look::Done(())),
        _ => Ok(Look::NotYet("its session is still there".into())),
    })
    .await
}

/// Everybody's sessions but ours, on a leader whose window is open.
pub(in crate::engine) struct Others<'a> {
    /// Sees and ends them.
    pub(in crate::engine) session: &'a Session,
    /// Number of each, and `idle` or `busy`. One whose transaction is open is busy.
    pub(in crate::engine) query: String,
    /// Where the query does not know of transactions: a statement whose `Status` tells which connections have one open.
    pub(in crate::engine) monitor: Option<&'a str>,
    /// Numbers of ours.
    pub(in crate::engine) spared: Vec<u64>,
    /// That of the switch, which must stay armed.
    pub(in crate::engine) lock: &'a str,
    pub(in crate::engine) cap: Duration,
    pub(in crate::engine) tell: &'a Teller,
}

impl Others<'_> {
    pub(in crate::engine) async fn now(&self) -> Result<Vec<(u64, bool)>, Trouble> {
        let found = self.session.pairs(&self.query).await?.into_iter();
        let found = found.filter_map(|(id, how)| Some((id.parse().ok()?, how == "idle")));
        let found: Vec<(u64, bool)> = found.filter(|(id, _)| !self.spared.contains(id)).collect();
        let Some(monitor) = self.monitor.filter(|_| found.iter().any(|(_, idle)| *idle)) else { return Ok(found) };
        let said = self.session.named(monitor).await?.unwrap_or_default();
        let active = active(said.get("Status").map_or("", String::as_str));
        Ok(found.into_iter().map(|(id, idle)| (id, idle && !active.contains(&id))).collect())
    }

    /// Ends all of them, or only those that are idle, until none is left or the time is over. Says whether none is left.
    pub(in crate::engine) async fn end(
        &self,
        all: bool,
        until: Deadline,
        ended: &mut BTreeMap<u64, bool>,
    ) -> Result<bool, Trouble> {
        let wait = Wait {
            what: "V1's sessions to end",
            limit: Limit { name: "limits.cutover", value: self.cap },
            every: SOON,
            kind: Kind::Failed,
        };
        wait::until(wait, self.tell, async || {
            locks::still_armed(self.session, self.lock).await?;
            let foreign = self.now().await?;
            if foreign.is_empty() {
                return Ok(Look::Done(true));
            }
            for (id, idle) in &foreign {
                if *idle || all {
                    ended.entry(*id).or_insert(*idle);
                    end(self.session, *id).await?;
                }
            }
            if !all && until.is_over() {
                return Ok(Look::Done(false));
            }
            Ok(Look::NotYet(format!("{} sessions are still on V1", foreign.len())))
        })
        .await
    }

    /// None is left, or it is an error.
    pub(in crate::engine) async fn refuse_any(&self) -> Result<(), Trouble> {
        match self.now().await?.len() {
            0 => Ok(()),
            n => Err(Trouble::failed(format!("{n} sessions got onto V1 after the fence"))),
        }
    }
}

/// The connections with an open transaction, out of InnoDB's own report: `---TRANSACTION 28, ACTIVE 1 sec`, some lines further
/// `MariaDB thread id 5, OS thread …` (10.5: `MySQL thread id`).
fn active(report: &str) -> BTreeSet<u64> {
    let mut active = BTreeSet::new();
    let mut open = false;
    for line in report.lines() {
        if line.starts_with("---TRANSACTION") {
            open = line.contains(", ACTIVE");
        } else if let Some((_, rest)) = line.split_once(" thread id ").filter(|_| open) {
            active.extend(rest.split(',').next().and_then(|id| id.trim().parse::<u64>().ok()));
            open = false;
        }
    }
    active
}

/// What was ended, by whether it was idle.
pub(in crate::engine) fn counted(ended: &BTreeMap<u64, bool>) -> SessionsEnded {
    let count = |idle| u32::try_from(ended.values().filter(|was| **was == idle).count()).unwrap_or(u32::MAX);
    SessionsEnded { idle: count(true), in_transaction: count(false) }
}

/// A prepared transaction would be committed through any fence.
pub(in crate::engine) async fn none_prepared(session: &Session) -> Result<(), Trouble> {
    match session.rows("XA RECOVER").await?.len() {
        0 => Ok(()),
        n => Err(Trouble::failed(format!("{n} prepared transactions (XA) are open on V1: no fence holds them back"))
            .hint("XA COMMIT or XA ROLLBACK each, on V1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_without_its_port() {
        for (host, address) in [
            ("10.0.0.5:43210", "10.0.0.5"),
            ("10.0.0.5", "10.0.0.5"),
            ("fd00::5:43210", "fd00::5"),
            ("fd00::5", "fd00::5"),
            ("[fd00::5]:43210", "fd00::5"),
            ("app.shop_default:43210", "app.shop_default"),
        ] {
            assert_eq!(without_port(host), address);
        }
    }

    #[test]
    fn open_transactions_are_read_from_the_report() {
        let report = "---TRANSACTION 421, not started\n0 lock struct(s)\n---TRANSACTION 28, ACTIVE 1 sec\n\
                      1 lock struct(s), heap size 1128\nMySQL thread id 5, OS thread handle 140, query id 8 localhost root\n\
                      ---TRANSACTION 29, ACTIVE (PREPARED) 0 sec\nMariaDB thread id 12, OS thread handle 141\n";
        assert_eq!(active(report), BTreeSet::from([5, 12]));
        assert_eq!(active(""), BTreeSet::new());
    }
}
