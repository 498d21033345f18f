//! What a server says of itself: whole looks in one statement each, read-only. Names, numbers and settings; never a
//! row's content.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names::literal;
use super::session::Session;
use crate::trouble::Trouble;

/// What may change between the survey and the window.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Moving {
    pub(super) in_recovery: bool,
    pub(super) superuser: bool,
    pub(super) settings: BTreeMap<String, Setting>,
    pub(super) replicas: Vec<Replica>,
    pub(super) slots: Vec<Slot>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) prepared: Aged,
    /// Client transactions older than a minute.
    pub(super) long: Aged,
    /// Background processes that the server itself does not bring.
    pub(super) workers: Vec<String>,
    pub(super) archiver: Archiver,
    pub(super) broken_rules: u32,
    pub(super) broken_settings: u32,
    /// Files that were changed and not read since: a reload of ours brings that into force.
    pub(super) unread: Vec<String>,
    /// Only up to 14.
    #[serde(default)]
    pub(super) in_backup: Option<bool>,
}

/// What does not, or only with a restart.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fixed {
    pub(super) version_num: u32,
    pub(super) version: String,
    pub(super) databases: Vec<Database>,
    pub(super) tablespaces: Vec<Tablespace>,
    pub(super) plpgsql: bool,
    /// The server's main process as its container numbers it.
    pub(super) main_pid: String,
    pub(super) main_database: bool,
    pub(super) roles: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) source: String,
    /// Another value is in a file and waits for a restart.
    pub(super) pending: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Replica {
    pub(super) name: String,
    pub(super) user: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) logical: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Subscription {
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) database: String,
    pub(super) enabled: bool,
}

/// How many, and how old the oldest is.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Aged {
    pub(super) count: u32,
    pub(super) seconds: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Archiver {
    /// The last try failed.
    pub(super) failing: bool,
    /// Segments that wait to be archived.
    pub(super) waiting: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) connectable: bool,
    pub(super) template: bool,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Tablespace {
    pub(super) name: String,
    pub(super) path: String,
}

/// What one database says.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Inside {
    /// Unlogged tables that hold anything.
    pub(super) unlogged: u32,
    /// Of those, in bytes.
    #[serde(default)]
    pub(super) unlogged_bytes: u64,
    pub(super) extensions: Vec<String>,
    /// Shared libraries that its functions live in.
    pub(super) libraries: Vec<String>,
    /// Indexes and partitionings whose order is the C library's, or ICU's.
    pub(super) ordered_by_libc: u32,
    pub(super) ordered_by_icu: u32,
    /// Some of their names.
    pub(super) ordered: Vec<String>,
}

/// The settings that prechecks ask for.
const SETTINGS: &[&str] = &[
    "archive_command",
    "archive_library",
    "archive_mode",
    "config_file",
    "data_checksums",
    "data_directory",
    "dynamic_library_path",
    "full_page_writes",
    "hba_file",
    "hot_standby",
    "ident_file",
    "max_connections",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_wal_senders",
    "port",
    "primary_conninfo",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
    "restore_command",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_file",
    "ssl_key_file",
    "synchronous_standby_names",
    "unix_socket_directories",
    "wal_level",
    "wal_log_hints",
];

/// Processes of the server itself, and workers known to write nothing. Apply workers are told by their subscriptions.
const KNOWN_PROCESSES: &[&str] = &[
    "archiver",
    "autoprewarm leader",
    "autoprewarm master",
    "autoprewarm worker",
    "autovacuum launcher",
    "autovacuum worker",
    "background writer",
    "checkpointer",
    "client backend",
    "io worker",
    "logger",
    "logical replication apply worker",
    "logical replication launcher",
    "logical replication parallel worker",
    "logical replication tablesync worker",
    "logical replication worker",
    "parallel worker",
    "slotsync worker",
    "startup",
    "walreceiver",
    "walsender",
    "walsummarizer",
    "walwriter",
];

const MOVING: &str = "SELECT json_build_object(
  'in_recovery', pg_is_in_recovery(),
  'superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  'settings', (SELECT json_object_agg(name, json_build_object(
      'value', coalesce(setting, ''), 'source', source, 'pending', pending_restart))
    FROM pg_settings WHERE name IN (:settings)),
  'replicas', (SELECT coalesce(json_agg(json_build_object(
      'name', coalesce(nullif(application_name, ''), client_addr::text, '?'), 'user', coalesce(usename, ''))), '[]')
    FROM pg_stat_replication),
  'slots', (SELECT coalesce(json_agg(json_build_object(
      'name', slot_name, 'logical', slot_type = 'logical') ORDER BY slot_name), '[]')
    FROM pg_replication_slots WHERE NOT temporary),
  'subscriptions', (SELECT coalesce(json_agg(json_build_object(
      'oid', s.oid::bigint, 'name', subname, 'database', datname, 'enabled', subenabled) ORDER BY datname, subname), '[]')
    FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid),
  'prepared', (SELECT json_build_object('count', count(*), 'seconds',
      greatest(0, coalesce(extract(epoch FROM max(now() - prepared)), 0))::bigint) FROM pg_prepared_xacts),
  'long', (SELECT json_build_object('count', count(*), 'seconds',
      greatest(0, coalesce(extract(epoch FROM max(now() - xact_start)), 0))::bigint) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start < now() - interval '1 minute'),
  'workers', (SELECT coalesce(json_agg(DISTINCT backend_type), '[]') FROM pg_stat_activity
    WHERE backend_type NOT IN (:known)),
  'archiver', (SELECT json_build_object(
      'failing', coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
      'waiting', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')) FROM pg_stat_archiver),
  'broken_rules', (SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL),
  'broken_settings', (SELECT count(*) FROM pg_file_settings AS f WHERE f.error IS NOT NULL
    AND f.sourcefile IS NOT NULL AND NOT EXISTS
    (SELECT 1 FROM pg_settings AS s WHERE s.name = f.name AND s.pending_restart)),
  'unread', (SELECT coalesce(json_agg(f.name), '[]') FROM (VALUES (current_setting('hba_file')),
      (current_setting('config_file')), (current_setting('data_directory') || '/postgresql.auto.conf')) AS f(name)
    WHERE (pg_stat_file(f.name, true)).modification > pg_conf_load_time()),
  'in_backup', :in_backup)";

const FIXED: &str = "SELECT json_build_object(
  'version_num', current_setting('server_version_num')::int,
  'version', split_part(current_setting('server_version'), ' ', 1),
  'databases', (SELECT json_agg(json_build_object(
      'name', datname, 'bytes', pg_database_size(oid), 'connectable', datallowconn, 'template', datistemplate,
      'encoding', pg_encoding_to_char(encoding), 'collate', datcollate::text, 'ctype', datctype::text) ORDER BY datname)
    FROM pg_database),
  'tablespaces', (SELECT coalesce(json_agg(json_build_object(
      'name', spcname, 'path', pg_tablespace_location(oid)) ORDER BY spcname), '[]')
    FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''),
  'plpgsql', EXISTS (SELECT 1 FROM pg_language WHERE lanname = 'plpgsql'),
  'main_pid', split_part(pg_read_file('postmaster.pid'), chr(10), 1),
  'main_database', EXISTS (SELECT 1 FROM pg_database WHERE datname = 'postgres' AND datallowconn),
  'roles', (SELECT json_agg(rolname ORDER BY rolname) FROM pg_roles))";

/// Text is ordered by the database's own collation (`oid` 100) or by one that is named; text in documents and rows by the
/// database's own. Up to 14 a database has no
/// provider of its own.
const INSIDE: &str = "SELECT json_build_object(
  'unlogged', (SELECT count(*) FROM pg_class
    WHERE relpersistence = 'u' AND relkind IN ('r', 'm') AND pg_relation_size(oid) > 0),
  'unlogged_bytes', (SELECT coalesce(sum(pg_table_size(oid)), 0) FROM pg_class
    WHERE relpersistence = 'u' AND relkind = 'r'),
  'extensions', (SELECT coalesce(json_agg(extname ORDER BY extname), '[]') FROM pg_extension),
  'libraries', (SELECT coalesce(json_agg(DISTINCT probin), '[]') FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang WHERE l.lanname = 'c' AND probin IS NOT NULL),
  'ordered_by_libc', count(*) FILTER (WHERE provider = 'c' AND ordering NOT IN ('C', 'POSIX')),
  'ordered_by_icu', count(*) FILTER (WHERE provider = 'i'),
  'ordered', coalesce((json_agg(name) FILTER (WHERE provider = 'i' OR provider = 'c' AND ordering NOT IN ('C', 'POSIX')
    AND left(name, 3) <> 'pg_')), '[]'))
FROM (SELECT CASE WHEN c.oid = 100 THEN coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') ELSE c.collprovider::text END
      AS provider,
    CASE WHEN c.oid = 100 THEN d.datcollate::text ELSE coalesce(c.collcollate::text, '') END AS ordering, used.name
  FROM (SELECT unnest(i.indcollation::oid[]) AS oid, x.relname::text AS name
      FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
    UNION ALL SELECT 100, x.relname::text FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
      WHERE EXISTS (SELECT 1 FROM unnest(i.indclass::oid[]) AS u(oid) JOIN pg_opclass AS o ON o.oid = u.oid
        JOIN pg_type AS y ON y.oid = o.opcintype WHERE o.opcmethod = 403 AND y.typname IN ('jsonb', 'record'))
    UNION ALL SELECT unnest(p.partcollation::oid[]), x.relname::text
      FROM pg_partitioned_table AS p JOIN pg_class AS x ON x.oid = p.partrelid) AS used
  JOIN pg_collation AS c ON c.oid = used.oid
  JOIN pg_database AS d ON d.datname = current_database()) AS ordered";

pub(super) async fn moving(session: &Session) -> Result<Moving, Trouble> {
    let up_to_14 = session.text("SELECT current_setting('server_version_num')::int < 150000").await?;
    let in_backup = if up_to_14.as_deref() == Some("t") { "pg_is_in_backup()" } else { "NULL" };
    let sql = MOVING
        .replace(":settings", &list(SETTINGS))
        .replace(":known", &list(KNOWN_PROCESSES))
        .replace(":in_backup", in_backup);
    session.json(&sql).await
}

pub(super) async fn fixed(session: &Session) -> Result<Fixed, Trouble> {
    session.json(FIXED).await
}

pub(super) async fn inside(session: &Session) -> Result<Inside, Trouble> {
    session.json(INSIDE).await
}

/// Libraries that the server loads at its start.
pub(super) async fn preload(session: &Session) -> Result<String, Trouble> {
    Ok(session.text("SELECT current_setting('shared_preload_libraries')").await?.unwrap_or_default())
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| literal(word)).collect::<Vec<_>>().join(", ")
}

impl Moving {
    /// A setting's value; empty for one that this version does not have.
    pub(super) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", |setting| &setting.value)
    }
    pub(super) fn on_command_line(&self, name: &str) -> bool {
        self.settings.get(name).is_some_and(|setting| setting.source == "command line")
    }
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.setting(name).parse().ok()
    }
    pub(super) fn enabled_subscriptions(&self) -> Vec<u32> {
        self.subscriptions.iter().filter(|subscription| subscription.enabled).map(|it| it.oid).collect()
    }
    /// Archiving is on and does something.
    pub(super) fn archives(&self) -> bool {
        let does = |name| !matches!(self.setting(name), "" | "(disabled)");
        self.setting("archive_mode") != "off" && (does("archive_command") || does("archive_library"))
    }
}
