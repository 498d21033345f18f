//! What a helper needs to make a cluster like the leader's.

use secrecy::ExposeSecret;

use crate::engine::Place;
use crate::engine::postgres::before::{Before, Logical};
use crate::engine::postgres::names::{self, ident, literal};
use crate::engine::postgres::session::Timeouts;
use crate::engine::postgres::{connect, said, standby};
use crate::runtime::File;
use crate::trouble::Trouble;

/// Rows are written without a log and without being forced to disk: nobody but us reads them before it has stopped.
const SERVER: &[&str] = &[
    "listen_addresses=*",
    "unix_socket_directories=/tmp",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "archive_mode=off",
    "autovacuum=off",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "shared_buffers=256MB",
    "maintenance_work_mem=256MB",
    // A container's /dev/shm is 64 MB by default: too little for a parallel index build.
    "dynamic_shared_memory_type=mmap",
    "lc_messages=C",
    "ssl=off",
    "logging_collector=off",
    "log_destination=stderr",
];

/// `$1` V2's data directory, `$2` its owner, `$3` log directory or nothing, `$4` the first superuser, `$5` the leader's host,
/// `$6` its port, `$7` our role, `$8` jobs.
pub(super) async fn arguments(place: &Place) -> Result<Vec<String>, Trouble> {
    let (before, leader) = (Before::of(&place.plan)?, Place { side: place.side.other(), ..place.clone() });
    let (uid, gid) = before.owners[1];
    Ok(vec![
        connect::data(place).to_owned(),
        format!("{uid}:{gid}"),
        before.wal_directory.unwrap_or_default(),
        Before::logical(&place.plan)?.cluster.superuser,
        standby::host_of_other(place).await?,
        connect::port(&leader).to_string(),
        names::admin(&place.plan),
        jobs().to_string(),
    ])
}

/// Words for initdb, `--`, words for the server, `--`, directories of tablespaces.
pub(super) async fn words(place: &Place, initdb: &[String]) -> Result<Vec<String>, Trouble> {
    let mut words = initdb.to_vec();
    words.push("--".into());
    words.extend(SERVER.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
    words.extend(["-c".to_owned(), format!("port={}", connect::port(place))]);
    words.extend(["-c".to_owned(), format!("shared_preload_libraries={}", preload(place).await?)]);
    words.push("--".into());
    words.extend(Before::of(&place.plan)?.tablespaces);
    Ok(words)
}

/// What the leader loads at its start.
pub(super) async fn preload(place: &Place) -> Result<String, Trouble> {
    let leader = Place { side: place.side.other(), ..place.clone() };
    let short = Timeouts::short(place.plan.limits.statement.0);
    said::preload(&connect::admin(&leader, "switchover", short).await?).await
}

/// How much is done beside each other.
pub(in super::super) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).clamp(2, 8)
}

/// Passwords, access rules, and the names of databases, as they may hold anything.
pub(super) fn files(place: &Place) -> Result<Vec<File>, Trouble> {
    let (logical, user) = (Before::logical(&place.plan)?, names::admin(&place.plan));
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    // Its socket is in the helper itself.
    let rules = format!("local all all trust\nhost all {} all scram-sha-256\n", ident(&user));
    let mut files = vec![
        file("/switchover.pass".into(), standby::pass_line(&user, password.expose_secret())),
        file("/switchover.hba".into(), rules),
    ];
    let names = logical.databases.iter().map(|it| &it.name).chain(&logical.templates).enumerate();
    files.extend(names.map(|(number, name)| file(format!("/switchover.database-{number}"), name.clone())));
    Ok(files)
}

/// For a cluster without any but the first superuser.
pub(super) fn roles(place: &Place) -> Result<File, Trouble> {
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    let verifier = postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
    let (user, verifier) = (ident(&names::admin(&place.plan)), literal(&verifier));
    Ok(file("/switchover.roles".into(), format!("CREATE ROLE {user} SUPERUSER LOGIN PASSWORD {verifier};\n")))
}

pub(super) fn file(path: String, content: String) -> File {
    File { path, content: content.into_bytes(), mode: 0o600, uid: 0, gid: 0 }
}

/// As the leader's cluster was made. A word that a version does not know is given only where it is needed.
/// `exactly`: the major version of the programs, where checksums must be as the leader's are.
pub(super) fn initdb(logical: &Logical, exactly: Option<u32>) -> Vec<String> {
    let cluster = &logical.cluster;
    let mut words = vec![
        format!("--encoding={}", cluster.encoding),
        format!("--lc-collate={}", cluster.collate),
        format!("--lc-ctype={}", cluster.ctype),
        "--auth=trust".into(),
        format!("--wal-segsize={}", cluster.wal_segment),
        "--no-sync".into(),
    ];
    match (cluster.provider.as_str(), &cluster.locale) {
        ("i", Some(locale)) => {
            words.extend(["--locale-provider=icu".into(), format!("--icu-locale={locale}")]);
            words.extend(cluster.icu_rules.iter().map(|rules| format!("--icu-rules={rules}")));
        }
        ("b", Some(locale)) => words.extend(["--locale-provider=builtin".into(), format!("--builtin-locale={locale}")]),
        _ => {}
    }
    match (cluster.checksums, exactly) {
        (true, _) => words.push("--data-checksums".into()),
        // From 18 on they are the default.
        (false, Some(18..)) => words.push("--no-data-checksums".into()),
        (false, _) => {}
    }
    words
}
