//! The seed `dump`, as MariaDB holds still for it and takes a position.

use super::{directory, ensure_finished, finished};
use crate::engine::mariadb::option_file::{self, Role};
use crate::engine::mariadb::position::{self, At};
use crate::engine::mysql_family::dump::{self, Moment};
use crate::engine::mysql_family::running;
use crate::engine::mysql_wire::copy;
use crate::engine::mysql_wire::quote::literal;
use crate::engine::mysql_wire::session::Session;
use crate::engine::{Place, Seeded};
use crate::trouble::Trouble;
use crate::wait::{self, Limit};

/// Where the server keeps accounts and what they may: no lock but the global one holds their changes up.
const ACCOUNTS: &str = "CHECKSUM TABLE mysql.global_priv, mysql.db, mysql.tables_priv, mysql.columns_priv, mysql.procs_priv, \
                        mysql.roles_mapping, mysql.proxies_priv";

/// A moment, and the accounts as they were then.
struct Then {
    at: At,
    accounts: Vec<(String, String)>,
}

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    directory::ensure_made(place).await?;
    option_file::ensure(place, Role::Follows).await?;
    if let Some(position) = finished(place).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    let session = running::ensure_running(place).await?;
    dump::ensure_fit(&session).await?;
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 };
    let (Then { at, .. }, bytes) =
        wait::within(limit, "the copy", dump::copied(place, moment, definitions_read)).await?;
    dump::ensure_as_on_v1(&session, place).await?;
    session.run("RESET MASTER").await?;
    session.run(&format!("SET GLOBAL gtid_slave_pos = {}", literal(&at.gtids))).await?;
    let position = position::position(&at);
    ensure_finished(place, &position).await?;
    Ok(Seeded { position, bytes })
}

/// Changes of schema are held up by a session of its own: the other lock takes no second one.
async fn moment(leader: &Place, at_once: usize) -> Result<Moment<Then>, Trouble> {
    let still = dump::holder(leader).await?;
    let locker = dump::holder(leader).await?;
    let readers = dump::readers(leader, at_once).await?;
    dump::until_locked(leader, async || locked(&still, &locker).await).await?;
    let begun = async {
        for session in &readers {
            session.run(copy::BEGIN).await?;
        }
        let at = position::now(&locker).await?;
        Ok(Then { at, accounts: locker.pairs(ACCOUNTS).await? })
    };
    let at = begun.await;
    locker.run("UNLOCK TABLES").await?;
    dump::let_rest(&still).await?;
    Ok(Moment { readers, at: at?, still })
}

async fn locked(still: &Session, locker: &Session) -> Result<(), Trouble> {
    for stage in ["START", "BLOCK_DDL"] {
        if let Err(trouble) = still.run(&format!("BACKUP STAGE {stage}")).await {
            let _not_begun = still.run("BACKUP STAGE END").await;
            return Err(trouble);
        }
    }
    let second = locker.run("FLUSH TABLES WITH READ LOCK").await;
    if second.is_err() {
        still.run("BACKUP STAGE END").await?;
    }
    second
}

async fn definitions_read(still: &Session, then: &Then) -> Result<(), Trouble> {
    let now = still.pairs(ACCOUNTS).await?;
    still.run("BACKUP STAGE END").await?;
    if now == then.accounts {
        return Ok(());
    }
    Err(Trouble::failed("accounts were changed on V1 while they were copied").hint("run again: a copy begins anew"))
}
