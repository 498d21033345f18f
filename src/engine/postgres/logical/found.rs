//! What a cluster says of itself that matters to the method `logical` alone: read-only, one statement a look.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::postgres::session::Session;
use crate::trouble::Trouble;

/// How V2's cluster is to be made: as V1's was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Cluster {
    /// The first superuser's name.
    pub(in super::super) superuser: String,
    pub(in super::super) encoding: String,
    pub(in super::super) collate: String,
    pub(in super::super) ctype: String,
    /// `c`, `i` (ICU) or `b` (builtin).
    pub(in super::super) provider: String,
    /// Of a provider that has its own.
    pub(in super::super) locale: Option<String>,
    pub(in super::super) icu_rules: Option<String>,
    pub(in super::super) checksums: bool,
    /// MiB.
    pub(in super::super) wal_segment: u64,
    /// What V1 has room for, by the setting's name.
    pub(in super::super) room: BTreeMap<String, u64>,
}

/// A table whose updates and deletes would not be found again on V2, and how V1 marks it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Identity {
    pub(in super::super) schema: String,
    pub(in super::super) table: String,
    /// `DEFAULT`, `NOTHING` or `USING INDEX …` with the index's name.
    pub(in super::super) was: Marked,
    /// A unique index over columns that are never null: used instead of whole rows.
    pub(in super::super) index: Option<String>,
    pub(in super::super) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum Marked {
    Default,
    Nothing,
    Full,
    Index(String),
}

/// Of one database.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct InDatabase {
    pub(in super::super) keyless: Vec<Identity>,
    pub(in super::super) extensions: Vec<Extension>,
    /// C functions that belong to no extension live in these.
    pub(in super::super) libraries: Vec<String>,
    pub(in super::super) large_objects: u64,
    /// Triggers that fire for replicated changes, too.
    pub(in super::super) always: Vec<String>,
    /// Tables partitioned by the hash of a type whose values are numbered differently on every server.
    pub(in super::super) hashed_by_enum: Vec<String>,
    /// Tables partitioned by ranges of text, in an order that a library says.
    pub(in super::super) ranges_of_text: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(in super::super) struct Extension {
    pub(in super::super) name: String,
    pub(in super::super) version: String,
}

/// Ordinary tables and partitions whose rows are the user's: those of an extension only where the extension says so.
pub(in super::super) const OF_USERS: &str = "c.relkind = 'r' AND c.relpersistence = 'p' \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_' \
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid \
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_extension'::regclass \
        AND d.deptype = 'e' AND NOT c.oid = ANY (coalesce(e.extconfig, '{}')))";

const CLUSTER: &str = "SELECT json_build_object(
  'superuser', (SELECT rolname FROM pg_roles WHERE oid = 10),
  'encoding', pg_encoding_to_char(d.encoding), 'collate', d.datcollate, 'ctype', d.datctype,
  'provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
  'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
  'icu_rules', to_jsonb(d) ->> 'daticurules',
  'checksums', current_setting('data_checksums') = 'on',
  'room', (SELECT json_object_agg(name, setting::bigint) FROM pg_settings WHERE name IN
    ('max_logical_replication_workers', 'max_worker_processes', 'max_replication_slots', 'max_wal_senders')),
  'wal_segment', (SELECT setting::bigint / 1048576 FROM pg_settings WHERE name = 'wal_segment_size'))
FROM pg_database AS d WHERE datname = 'template0'";

const IN_DATABASE: &str = "WITH tables AS (
  SELECT c.* , n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE :of_users),
usable AS (SELECT i.indrelid, i.indexrelid, x.relname, i.indisprimary, i.indisreplident
  FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid
  WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
    AND NOT EXISTS (SELECT 1 FROM unnest(i.indkey) AS k JOIN pg_attribute AS a
      ON a.attrelid = i.indrelid AND a.attnum = k WHERE NOT a.attnotnull))
SELECT json_build_object(
  'keyless', (SELECT coalesce(json_agg(json_build_object(
      'schema', t.nspname, 'table', t.relname, 'bytes', pg_table_size(t.oid),
      'was', CASE t.relreplident WHEN 'n' THEN to_json('nothing'::text) WHEN 'f' THEN to_json('full'::text)
        WHEN 'i' THEN coalesce((SELECT json_build_object('index', x.relname) FROM pg_index AS i
          JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = t.oid AND i.indisreplident),
          to_json('nothing'::text)) ELSE to_json('default'::text) END,
      'index', (SELECT u.relname FROM usable AS u WHERE u.indrelid = t.oid ORDER BY u.relname LIMIT 1))
      ORDER BY t.nspname, t.relname), '[]') FROM tables AS t
    WHERE t.relreplident = 'n'
      OR t.relreplident = 'd' AND NOT EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = t.oid AND i.indisprimary
        AND i.indimmediate AND i.indisvalid)
      OR t.relreplident = 'i' AND NOT EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = t.oid
        AND i.indisreplident AND i.indisvalid)),
  'extensions', (SELECT coalesce(json_agg(json_build_object('name', extname, 'version', extversion)
      ORDER BY extname), '[]') FROM pg_extension),
  'libraries', (SELECT coalesce(json_agg(DISTINCT p.probin), '[]') FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang WHERE l.lanname = 'c' AND p.probin IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
      AND d.deptype = 'e')),
  'large_objects', (SELECT count(*) FROM pg_largeobject_metadata),
  'always', (SELECT coalesce(json_agg(t.tgname || ' on ' || c.relname ORDER BY c.relname, t.tgname), '[]')
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('A', 'R')),
  'ranges_of_text', (SELECT coalesce(json_agg(c.relname ORDER BY c.relname), '[]')
    FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partrelid WHERE p.partstrat = 'r'
    AND EXISTS (SELECT 1 FROM unnest(p.partcollation::oid[]) AS u(oid) JOIN pg_collation AS o ON o.oid = u.oid
      WHERE o.collname NOT IN ('C', 'POSIX', 'ucs_basic', 'pg_c_utf8'))),
  'hashed_by_enum', (SELECT coalesce(json_agg(c.relname ORDER BY c.relname), '[]')
    FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partrelid
    WHERE p.partstrat = 'h' AND EXISTS (SELECT 1 FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid
      WHERE a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs) AND y.typtype = 'e')))";

pub(in super::super) async fn cluster(session: &Session) -> Result<Cluster, Trouble> {
    session.json(CLUSTER).await
}

pub(in super::super) async fn in_database(session: &Session) -> Result<InDatabase, Trouble> {
    session.json(&IN_DATABASE.replace(":of_users", OF_USERS)).await
}
