//! The seed `volume`: V1's files themselves, copied while it serves, by a helper of V1's own image that sees V1's volumes
//! without being able to write to them. V1's log, from the beginning of the backup on, makes good what changed meanwhile.
//!
//! Where V1's data is in no volume, the same files come through its own server (`pg_basebackup`).

use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde::Deserialize;

use super::copy;
use crate::engine::orders::Orders;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::checks::is_in_mounts;
use crate::engine::postgres::session::{Session, Timeouts};
use crate::engine::postgres::{auto_conf, connect, files, names, position, sessions, standby};
use crate::engine::{Place, Seeded};
use crate::runtime::{Container, File, HelperSpec, State};
use crate::tell::Unit;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// Where V1's mounts are in the helper.
const LEADER: &str = "/leader";

/// `$1` V1's data directory, `$2` the owner of V2's, `$3` V2's log directory or nothing, `$4` the first superuser, `$5` V1's
/// host, `$6` its port, `$7` our role, `$8` where the copy goes, `$9` where V1's programs go; then words for initdb, `--`, `--`,
/// directories of tablespaces.
const COPIER: &str = concat!(
    "data=$1 owner=$2 log=$3 super=$4 host=$5 port=$6 role=$7 copy=$8 programs=$9; shift 9\n",
    include_str!("helper.sh"),
    include_str!("copier.sh")
);

pub(in super::super) struct Copier {
    place: Place,
    orders: Orders,
    /// Where the copy is made, inside V2's volumes.
    copy: String,
    from_files: bool,
}

/// What is asked of one.
#[derive(Default)]
pub(in super::super) struct Ask {
    pub(in super::super) copy: String,
    pub(in super::super) programs: String,
    /// Where the copy's log goes, if not into itself.
    pub(in super::super) log: String,
    pub(in super::super) superuser: String,
    pub(in super::super) initdb: Vec<String>,
    pub(in super::super) files: Vec<File>,
}

pub(in super::super) struct Copied {
    /// Where its log begins.
    pub(in super::super) lsn: String,
    pub(in super::super) bytes: u64,
}

/// The helper's name.
fn name(place: &Place) -> String {
    format!("switchover-{}-seed-v1", place.plan.tag())
}

/// One that an earlier process began goes, with all it was about to do.
pub(in super::super) async fn ensure_none(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&name(place), &place.plan.run).await
}

impl Copier {
    pub(in super::super) async fn start(place: &Place, ask: Ask) -> Result<Copier, Trouble> {
        let leader = Place { side: place.side.other(), ..place.clone() };
        let v1 = connect::found(&leader).await?;
        connect::refuse_shared(&v1, &copy::mounts(place))?;
        let before = Before::of(&place.plan)?;
        let from_files = is_in_mounts(&v1, connect::data(&leader), &before.tablespaces);
        let (uid, gid) = before.owners[1];
        let copy = ask.copy.clone();
        let mut argv: Vec<String> = ["sh", "-c", COPIER, "sh"].map(str::to_owned).to_vec();
        argv.extend([connect::data(&leader).to_owned(), format!("{uid}:{gid}"), ask.log, ask.superuser]);
        argv.extend([standby::host_of_other(place).await?, connect::port(&leader).to_string()]);
        argv.extend([names::admin(&place.plan), ask.copy, ask.programs]);
        argv.extend(ask.initdb);
        argv.extend(["--".to_owned(), "--".to_owned()]);
        argv.extend(before.tablespaces.iter().cloned());
        let mut files = ask.files;
        files.extend(of_streams(place, [uid, gid]).await?);
        let mut mounts = copy::mounts(place);
        if from_files {
            mounts.extend(of_leader(&v1, connect::data(&leader), &before.tablespaces));
        }
        let spec = HelperSpec {
            name: name(place),
            image: place.plan.v1.image_id.clone(),
            entrypoint: argv,
            user: Some("0:0".into()),
            network: Some(place.plan.private_network.clone()),
            mounts,
            files,
            labels: place.plan.labels("V2"),
            ..HelperSpec::default()
        };
        let orders = Orders::start(place, &spec, "a helper of V1's image").await?;
        Ok(Copier { place: place.clone(), orders, copy, from_files })
    }

    /// The files are there, and what makes them whole.
    pub(in super::super) async fn copy(&mut self, leader: &Session) -> Result<Copied, Trouble> {
        if !self.from_files {
            let bytes = self.watch("stream").await?;
            let label = self.read("backup_label").await?;
            return Ok(Copied { lsn: begins_at(&label)?, bytes });
        }
        let limit = Limit { name: "limits.total", value: self.place.plan.limits.total.0 };
        let [start, stop] = match leader.major().await? {
            ..15 => [
                "SELECT pg_start_backup('switchover', true, false)",
                "SELECT row_to_json(b) FROM pg_stop_backup(false, false) AS b",
            ],
            _ => {
                ["SELECT pg_backup_start('switchover', true)", "SELECT row_to_json(b) FROM pg_backup_stop(false) AS b"]
            }
        };
        wait::within(limit, "V1's checkpoint before the copy", leader.run(start)).await?;
        let bytes = self.watch("files").await?;
        let labels: Labels = wait::within(limit, "the end of the copy", leader.json(stop)).await?;
        let (there, planned) = (labels.spcmapfile.lines().count(), Before::of(&self.place.plan)?.tablespaces.len());
        if there != planned {
            return Err(Trouble::not_ready(format!("V1 has {there} tablespaces by now; the plan knows {planned}"))
                .hint("`switchover abort`, then run again: the new plan knows them"));
        }
        self.write("backup_label", &labels.labelfile).await?;
        if !labels.spcmapfile.is_empty() {
            self.write("tablespace_map", &labels.spcmapfile).await?;
        }
        Ok(Copied { lsn: begins_at(&labels.labelfile)?, bytes })
    }

    async fn watch(&mut self, order: &str) -> Result<u64, Trouble> {
        const WHAT: &str = "the copy of V1's files";
        self.orders.order(order, WHAT).await?;
        let (began, total) = (Instant::now(), self.place.plan.bytes);
        let (place, orders, mut bytes) = (self.place.clone(), &mut self.orders, 0);
        let wait = Wait {
            what: WHAT,
            limit: Limit { name: "limits.total", value: place.plan.limits.total.0 },
            every: Duration::from_millis(250),
            kind: Kind::NotReady,
        };
        wait::until(wait, &crate::tell::Teller::silent(), async || {
            let answer = orders.answer("copied", WHAT).await?;
            let Some(kib) = answer.strip_prefix("at ").and_then(|kib| kib.trim().parse::<u64>().ok()) else {
                return Ok(Look::Done(()));
            };
            bytes = kib << 10;
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = bytes.saturating_mul(1000) / ms;
            place.tell.progress("copied", bytes, Some(total.max(bytes)), Some(rate), Unit::Bytes);
            Ok(Look::NotYet("it is not complete".to_owned()))
        })
        .await?;
        Ok(bytes.max(total))
    }

    pub(in super::super) async fn order(&mut self, order: &str, what: &str) -> Result<(), Trouble> {
        self.orders.order(order, what).await
    }

    pub(in super::super) async fn answer(&mut self, order: &str, what: &str) -> Result<String, Trouble> {
        self.orders.answer(order, what).await
    }

    pub(in super::super) async fn end(self) -> Result<(), Trouble> {
        self.orders.end().await
    }

    async fn write(&self, name: &str, content: &str) -> Result<(), Trouble> {
        let ([_, (uid, gid)], container) =
            (Before::of(&self.place.plan)?.owners, connect::container(&self.place).await?);
        let path = format!("{}/{name}", self.copy);
        let file = File { path, content: content.as_bytes().to_vec(), mode: 0o600, uid, gid };
        self.place.runtime.put_file(&container, &file).await
    }

    async fn read(&self, name: &str) -> Result<String, Trouble> {
        let path = format!("{}/{name}", self.copy);
        let text = self.place.runtime.read_file(&connect::container(&self.place).await?, &path).await?;
        Ok(String::from_utf8_lossy(&text.unwrap_or_default()).into_owned())
    }
}

#[derive(Deserialize)]
struct Labels {
    labelfile: String,
    #[serde(default)]
    spcmapfile: String,
}

fn begins_at(label: &str) -> Result<String, Trouble> {
    let lsn = label.lines().find_map(|line| line.strip_prefix("START WAL LOCATION: ")?.split(' ').next());
    lsn.map(str::to_owned).ok_or_else(|| Trouble::bug("V1's backup label does not say where its log begins"))
}

/// V1's volumes that hold data, not to be written to.
fn of_leader(v1: &Container, data: &str, tablespaces: &[String]) -> Vec<(String, String, bool)> {
    let paths = std::iter::once(data).chain(tablespaces.iter().map(String::as_str));
    let mut all: Vec<(String, String, bool)> = paths
        .filter_map(|path| v1.mount_of(path))
        .map(|mount| (mount.source.clone(), format!("{LEADER}{}", mount.destination), true))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// For programs that stream from V1: how they get in, and with which password.
async fn of_streams(place: &Place, [uid, gid]: [u64; 2]) -> Result<Vec<File>, Trouble> {
    let (user, password) = (names::replication(&place.plan), place.secrets.secret(names::REPLICATION_SECRET)?);
    let line = standby::pass_line(&user, password.expose_secret());
    let file = |path: &str, content: String| File { path: path.into(), content: content.into(), mode: 0o600, uid, gid };
    let connection = connection(place).await?;
    Ok(vec![file(STREAM_PASS, line), file("/switchover.connection", connection)])
}

const STREAM_PASS: &str = "/switchover.stream-pass";

/// How a process of the helper's streams V1's log.
pub(in super::super) async fn connection(place: &Place) -> Result<String, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let (host, port) = (standby::host_of_other(place).await?, connect::port(&leader).to_string());
    Ok(auto_conf::conninfo(&[
        ("host", &host),
        ("port", &port),
        ("user", &names::replication(&place.plan)),
        ("passfile", STREAM_PASS),
        ("application_name", APPLICATION),
        ("connect_timeout", "10"),
        ("gssencmode", "disable"),
    ]))
}

/// Its sessions on V1.
pub(in super::super) const APPLICATION: &str = "switchover copy";

/// V2 of the same version as V1: the copy is all it needs.
pub(in super::super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    let found = connect::found(place).await?;
    if found.state == State::Running {
        return Err(Trouble::bug("V2 runs while its data is to be copied"));
    }
    copy::refuse_not_ours(place)?;
    if let Some(lsn) = finished(place).await? {
        return Ok(Seeded { position: position::position(&lsn, None), bytes: place.plan.bytes });
    }
    let leader = Place { side: place.side.other(), ..place.clone() };
    let session = connect::admin(&leader, APPLICATION, Timeouts::NONE).await?;
    ensure_none(place).await?;
    ensure_no_sessions(&session, place).await?;
    let log = Before::of(&place.plan)?.wal_directory.unwrap_or_default();
    let ask = Ask { copy: connect::data(place).trim_end_matches('/').to_owned(), log, ..Ask::default() };
    let mut copier = Copier::start(place, ask).await?;
    let copied = copier.copy(&session).await?;
    copier.order("synced", "the copy to be on disk").await?;
    copier.end().await?;
    let mark = format!("{} {}\n", place.plan.run, copied.lsn);
    files::write(place, files::SEEDED, mark.as_bytes()).await?;
    Ok(Seeded { position: position::position(&copied.lsn, None), bytes: copied.bytes })
}

async fn finished(place: &Place) -> Result<Option<String>, Trouble> {
    let text = files::read(place, files::SEEDED).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.trim().split_once(' ').filter(|(run, _)| *run == place.plan.run).map(|(_, lsn)| lsn.to_owned()))
}

/// Those of an earlier process may still be at it.
pub(in super::super) async fn ensure_no_sessions(session: &Session, place: &Place) -> Result<(), Trouble> {
    let of_a_copy = format!(
        "FROM pg_stat_activity AS a WHERE a.usename IN ({}, {}) AND a.application_name = {} AND a.pid <> pg_backend_pid()",
        names::literal(&names::admin(&place.plan)),
        names::literal(&names::replication(&place.plan)),
        names::literal(APPLICATION)
    );
    sessions::ensure_ended(session, &of_a_copy, "an earlier copy's sessions to end", &place.tell).await
}
