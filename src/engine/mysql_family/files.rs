//! The seed `volume`: V1's files as they are while its server writes nothing. A first pass copies everything while clients write;
//! then writes are held, the server finishes what it had begun, and what has changed since is copied once more. That the server
//! wrote nothing meanwhile is proven by its own count of bytes: a copy of files at rest is as good as one of a server that is
//! stopped.

use std::time::{Duration, Instant};

use super::connect::{self, Session};
use super::copier::{Act, Copier};
use super::{dump, running};
use crate::engine::Place;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Changed pages that may be left when writes are held. Servers write 200 to 10,000 of them a second by their defaults.
const FEW: u64 = 1000;

/// How a server's changed pages go into its files by themselves, in percent of its cache: at the latest, and where it may begin.
pub(in crate::engine) type Dirty<'a> = (&'a str, &'a str);

/// No page waits. The server lowers its lower bound with the upper one.
const NONE_WAITS: Dirty<'static> = ("0", "0");

/// As V1 had it, the upper bound first: the lower one may not be above it.
pub(in crate::engine) async fn ensure_flushing(session: &Session, (most, least): Dirty<'_>) -> Result<(), Trouble> {
    for (name, value) in [("innodb_max_dirty_pages_pct", most), ("innodb_max_dirty_pages_pct_lwm", least)] {
        let percent: f64 = value.parse().map_err(|_| Trouble::person(format!("the plan does not say V1's {name}")))?;
        session.run(&format!("SET GLOBAL {name} = {percent}")).await?;
    }
    Ok(())
}

/// The name of the files of its binary log, without their folder.
pub(in crate::engine) async fn log(v1: &Session) -> Result<String, Trouble> {
    let base = v1.text("SELECT @@GLOBAL.log_bin_basename").await?.unwrap_or_default();
    match base.rsplit('/').next() {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(Trouble::failed("V1 does not say what its binary log is called")),
    }
}

/// All of V1's files, as of one moment in which its log was at what is returned. `lock` holds every write up, for as long as the
/// session lives or until `unlock`.
pub(in crate::engine) async fn copied<P>(
    place: &Place,
    copier: &mut Copier,
    lock: impl AsyncFn(&Session) -> Result<(), Trouble>,
    unlock: impl AsyncFn(&Session) -> Result<(), Trouble>,
    position: impl AsyncFn(&Session) -> Result<P, Trouble>,
) -> Result<P, Trouble> {
    let total = place.plan.bytes;
    copier.alone("files", "the copy of V1's files", Some(total)).await?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let session = connect::admin(&leader, running::timeouts(place)).await?;
    ensure_flushing(&session, NONE_WAITS).await?;
    until_few_dirty(&session, place).await?;
    let still = dump::holder(&leader).await?;
    dump::until_locked(&leader, async || lock(&still).await).await?;
    let held = Instant::now();
    let done = at_rest(place, copier, &still, held, position).await;
    let unlocked = unlock(&still).await;
    let position = done?;
    unlocked?;
    let held = wait::human(held.elapsed());
    place.tell.warning(format!("V1's writes were held for {held}, to copy what had changed since the first pass"));
    Ok(position)
}

/// Again and again, until the server has written nothing during a pass, or the time is up for which clients may wait.
async fn at_rest<P>(
    place: &Place,
    copier: &mut Copier,
    still: &Session,
    held: Instant,
    position: impl AsyncFn(&Session) -> Result<P, Trouble>,
) -> Result<P, Trouble> {
    let cap = place.plan.limits.cutover.0;
    let left = || Limit { name: "limits.cutover", value: cap.saturating_sub(held.elapsed()) };
    // The server's log is on disk whatever it is set to.
    still.run("FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS").await?;
    loop {
        let before = quiet(place, still, left()).await?;
        let at = position(still).await?;
        let what = "what has changed in V1's files, while its writes are held";
        let act = Act { order: "again", what, limit: left(), every: Duration::from_millis(10), total: None };
        // The server ends a session that says nothing, and its lock with it.
        copier.act(act, async || still.run("DO 1").await).await.map_err(too_long)?;
        if written(still).await? == before {
            return Ok(at);
        }
    }
}

/// What else goes wrong says by itself what to do.
fn too_long(trouble: Trouble) -> Trouble {
    if trouble.kind != Kind::NotReady {
        return trouble;
    }
    trouble
        .hint("V1's writes are let go; nothing else is changed")
        .hint("more time: --limit cutover=30s; without a hold: --seed backup or --seed dump")
}

/// The server has nothing left to write: its files and log agree. What it has written by then.
async fn quiet(place: &Place, still: &Session, limit: Limit<'_>) -> Result<u64, Trouble> {
    let wait = Wait {
        what: "V1's server to finish what it was writing",
        limit,
        every: Duration::from_millis(20),
        kind: Kind::NotReady,
    };
    let mut last = None;
    let quiet = wait::until(wait, &place.tell, async || {
        let (dirty, now) = (dirty(still).await?, written(still).await?);
        let same = last.replace(now) == Some(now);
        Ok(if dirty == 0 && same { Look::Done(now) } else { Look::NotYet(format!("{dirty} changed pages are left")) })
    });
    quiet.await.map_err(too_long)
}

async fn until_few_dirty(session: &Session, place: &Place) -> Result<(), Trouble> {
    let wait = Wait {
        what: "V1's changed pages to go into its files",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(200),
        kind: Kind::NotReady,
    };
    wait::until(wait, &place.tell, async || {
        let dirty = dirty(session).await?;
        Ok(if dirty <= FEW { Look::Done(()) } else { Look::NotYet(format!("{dirty} pages are left")) })
    })
    .await
    .map_err(|trouble| trouble.hint("V1 writes faster than it may: see innodb_io_capacity_max; or --seed backup"))
}

async fn dirty(session: &Session) -> Result<u64, Trouble> {
    status(session, "Innodb_buffer_pool_pages_dirty").await
}

/// Bytes that the storage engine has written since its server started, log and pages alike.
async fn written(session: &Session) -> Result<u64, Trouble> {
    status(session, "Innodb_data_written").await
}

async fn status(session: &Session, name: &str) -> Result<u64, Trouble> {
    let said = session.pairs(&format!("SHOW GLOBAL STATUS LIKE '{name}'")).await?;
    let value = said.first().and_then(|(_, value)| value.parse().ok());
    value.ok_or_else(|| Trouble::failed(format!("V1 does not say {name}")))
}
