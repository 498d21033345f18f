//! Whether the leader's schema is still the one that was copied: replication carries rows, never DDL.
//!
//! The leader is compared with itself at another time, object by object, so that the words of its version do not matter.
//! What was copied is written down on V2's disk, beside the copy.

use std::collections::BTreeMap;

use super::databases::Open;
use crate::engine::Place;
use crate::engine::postgres::files;
use crate::engine::postgres::names::literal;
use crate::engine::postgres::session::Session;
use crate::trouble::Trouble;

/// On V2's disk.
const FILE: &str = files::SCHEMA;

/// Database → object → a hash over all that it is.
pub(super) type Schema = BTreeMap<String, BTreeMap<String, String>>;

/// Our own marks and publication are left out (`:ours`), and what maintenance changes by itself. A table is known by its
/// number, too: one that was dropped and made again is another one. Of triggers only whether they are as usual: those that
/// fire for replicated changes are off on a follower.
const OBJECTS: &str = "SELECT coalesce(json_object_agg(o.what, md5(o.body)), '{}') FROM (
  SELECT 'schema ' || quote_ident(nspname) AS what, concat_ws('|', nspowner, nspacl) AS body
    FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)_'
  UNION ALL SELECT CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'p' THEN 'table ' WHEN 'v' THEN 'view '
      WHEN 'm' THEN 'materialized view ' WHEN 'S' THEN 'sequence ' || coalesce((SELECT 'of ' || format('%I.%I', n.nspname, o.relname) || ' '
        FROM pg_depend AS d JOIN pg_class AS o ON o.oid = d.refobjid JOIN pg_namespace AS n ON n.oid = o.relnamespace
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
        AND d.refclassid = 'pg_class'::regclass LIMIT 1), '') WHEN 'f' THEN 'foreign table ' ELSE 'type ' END
      || c.name,
    concat_ws('|', c.oid, c.relkind, c.relowner, c.relacl, c.reloptions, c.relpersistence, c.reltablespace, c.relrowsecurity,
      c.relforcerowsecurity, c.relispartition, pg_get_expr(c.relpartbound, c.oid), pg_get_partkeydef(c.oid),
      CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
      (SELECT string_agg(i.inhparent::text, ',' ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
      (SELECT concat_ws(':', s.seqtypid, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle)
        FROM pg_sequence AS s WHERE s.seqrelid = c.oid))
    FROM (SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_') AS c
  UNION ALL SELECT 'columns of ' || c.name,
      coalesce((SELECT string_agg(concat_ws(':', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
          a.attgenerated, a.attcollation, a.attacl, pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY a.attnum)
        FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
    FROM (SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_') AS c
  UNION ALL SELECT 'index ' || i.indexrelid::regclass::text || ' on ' || i.indrelid::regclass, concat_ws('|', pg_get_indexdef(i.indexrelid), i.indisvalid)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_temp_'
  UNION ALL SELECT 'constraint ' || quote_ident(o.conname) || ' of ' || coalesce(nullif(o.conrelid, 0)::regclass::text,
      o.contypid::regtype::text), concat_ws('|', pg_get_constraintdef(o.oid), o.convalidated)
    FROM pg_constraint AS o JOIN pg_namespace AS n ON n.oid = o.connamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_temp_'
  UNION ALL SELECT 'trigger ' || quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass,
    concat_ws('|', pg_get_triggerdef(t.oid), t.tgenabled = 'O') FROM pg_trigger AS t WHERE NOT t.tgisinternal
  UNION ALL SELECT 'rule ' || quote_ident(r.rulename) || ' on ' || r.ev_class::regclass,
    concat_ws('|', pg_get_ruledef(r.oid), r.ev_enabled) FROM pg_rewrite AS r WHERE r.oid >= 16384
  UNION ALL SELECT 'policy ' || quote_ident(p.polname) || ' on ' || p.polrelid::regclass,
    concat_ws('|', p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid),
      pg_get_expr(p.polwithcheck, p.polrelid)) FROM pg_policy AS p
  UNION ALL SELECT 'function ' || p.oid::regprocedure, concat_ws('|', p.proowner, p.prolang, p.prosrc, p.probin,
      to_jsonb(p) ->> 'prosqlbody', p.prorettype, p.provolatile, p.prosecdef, p.proisstrict, p.proleakproof,
      p.proparallel, p.proconfig, p.proacl, p.proargnames, pg_get_expr(p.proargdefaults, 0))
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_temp_'
  UNION ALL SELECT 'type ' || t.oid::regtype, concat_ws('|', t.typtype, t.typowner, t.typacl, t.typbasetype, t.typtypmod,
      t.typnotnull, t.typdefault, (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum AS e
        WHERE e.enumtypid = t.oid))
    FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace WHERE t.typtype IN ('d', 'e', 'r', 'b')
      AND t.typelem = 0 AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_temp_'
  UNION ALL SELECT 'extension ' || quote_ident(extname), concat_ws('|', extversion, extnamespace) FROM pg_extension
  UNION ALL SELECT 'event trigger ' || quote_ident(evtname), concat_ws('|', evtevent, evtfoid, evtenabled = 'O', evttags)
    FROM pg_event_trigger
  UNION ALL SELECT 'publication ' || quote_ident(p.pubname), concat_ws('|', p.puballtables, p.pubinsert, p.pubupdate,
      p.pubdelete, p.pubtruncate, (SELECT string_agg(r.prrelid::text, ',' ORDER BY r.prrelid) FROM pg_publication_rel AS r
        WHERE r.prpubid = p.oid)) FROM pg_publication AS p WHERE p.pubname <> :ours
  UNION ALL SELECT 'foreign server ' || quote_ident(srvname), concat_ws('|', srvoptions, srvacl, srvowner)
    FROM pg_foreign_server
  UNION ALL SELECT 'comment on ' || pg_describe_object(c.classoid, c.objoid, c.objsubid), c.description
    FROM pg_description AS c WHERE c.objoid >= 16384
  UNION ALL SELECT 'default privileges ' || oid, concat_ws('|', defaclrole, defaclnamespace, defaclobjtype, defaclacl)
    FROM pg_default_acl
) AS o(what, body)";

/// Databases and roles with all they may do; not ours.
const CLUSTER: &str = "SELECT coalesce(json_object_agg(o.what, md5(o.body)), '{}') FROM (
  SELECT 'database ' || quote_ident(d.datname) AS what, concat_ws('|', d.datdba, d.datconnlimit, d.datallowconn,
      (SELECT string_agg(a.grantee || a.privilege_type || a.is_grantable, ',' ORDER BY 1) FROM aclexplode(d.datacl) AS a
        WHERE a.grantee NOT IN (SELECT oid FROM pg_roles WHERE rolname LIKE :ours))) AS body
    FROM pg_database AS d WHERE d.datname <> 'template0'
  UNION ALL SELECT 'role ' || quote_ident(r.rolname), concat_ws('|', r.rolsuper, r.rolinherit, r.rolcreaterole,
      r.rolcreatedb, r.rolcanlogin, r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolpassword, r.rolvaliduntil,
      (SELECT string_agg(m.roleid || ':' || m.admin_option, ',' ORDER BY m.roleid) FROM pg_auth_members AS m
        WHERE m.member = r.oid))
    FROM pg_authid AS r WHERE r.rolname NOT LIKE :ours
  UNION ALL SELECT 'settings of ' || coalesce(d.datname, 'every database') || ' for ' || coalesce(r.rolname, 'every role'),
    array_to_string(s.setconfig, '|') FROM pg_db_role_setting AS s LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    LEFT JOIN pg_roles AS r ON r.oid = s.setrole
) AS o(what, body)";

/// The leader's schema now. `all`: sessions in each database of it.
pub(super) async fn look(place: &Place, all: &[Open]) -> Result<Schema, Trouble> {
    let mut schema = Schema::new();
    for open in all {
        schema.insert(open.name.clone(), in_database(place, &open.session).await?);
    }
    if let Some(first) = all.first() {
        schema.insert(String::new(), of_cluster(place, &first.session).await?);
    }
    Ok(schema)
}

/// Takes a view of its own where the session is in a transaction.
async fn in_database(place: &Place, session: &Session) -> Result<BTreeMap<String, String>, Trouble> {
    let ours = literal(&crate::engine::postgres::names::publication(&place.plan));
    session.json(&OBJECTS.replace(":ours", &ours)).await
}

async fn of_cluster(place: &Place, session: &Session) -> Result<BTreeMap<String, String>, Trouble> {
    let ours = literal(&format!("{}%", crate::engine::postgres::names::admin(&place.plan).replace('_', "\\_")));
    session.json(&CLUSTER.replace(":ours", &ours)).await
}

/// The follower's own schema as it is before clients use it: what the other side follows from then on.
pub(super) async fn keep_own(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    put(place, files::OWN_SCHEMA, &look(place, all).await?).await
}

/// What [`keep_own`] kept on the leader of now is what `follower` has.
pub(super) async fn take_over(leader: &Place, follower: &Place) -> Result<(), Trouble> {
    match files::read(leader, files::OWN_SCHEMA).await? {
        Some(text) => files::write(follower, FILE, &text).await,
        None => Ok(()),
    }
}

pub(super) async fn write_down(follower: &Place, schema: &Schema) -> Result<(), Trouble> {
    put(follower, FILE, schema).await
}

async fn put(place: &Place, file: &str, schema: &Schema) -> Result<(), Trouble> {
    let text =
        serde_json::to_vec(schema).map_err(|error| Trouble::bug("a schema does not become text").because(error))?;
    files::write(place, file, &text).await
}

/// Nothing on a follower that was the leader before: its schema is its own.
pub(super) async fn written_down(follower: &Place) -> Result<Option<Schema>, Trouble> {
    let Some(text) = files::read(follower, FILE).await? else { return Ok(None) };
    let schema = serde_json::from_slice(&text);
    schema.map(Some).map_err(|error| Trouble::failed("what was copied cannot be read").because(error))
}

/// One object that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) database: String,
    /// As in `table public.shops`.
    pub(super) object: String,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    Added,
    Changed,
    Removed,
}

pub(super) fn changes(then: &Schema, now: &Schema) -> Vec<Change> {
    let empty = BTreeMap::new();
    let mut changes = Vec::new();
    for database in then.keys().chain(now.keys().filter(|name| !then.contains_key(*name))) {
        let (old, new) = (then.get(database).unwrap_or(&empty), now.get(database).unwrap_or(&empty));
        let mut note = |object: &String, how| {
            changes.push(Change { database: database.clone(), object: object.clone(), how });
        };
        for (object, hash) in new {
            match old.get(object) {
                None => note(object, How::Added),
                Some(was) if was != hash => note(object, How::Changed),
                Some(_) => {}
            }
        }
        old.keys().filter(|object| !new.contains_key(*object)).for_each(|object| note(object, How::Removed));
    }
    changes
}

/// The leader's schema is still what V2 has. `all`: sessions in the leader's databases.
pub(super) async fn refuse_changed(follower: &Place, leader: &Place, all: &[Open]) -> Result<(), Trouble> {
    let Some(then) = written_down(follower).await? else { return Ok(()) };
    let changes = changes(&then, &look(leader, all).await?);
    if changes.is_empty() {
        return Ok(());
    }
    Err(changed(&changes))
}

pub(super) fn changed(changes: &[Change]) -> Trouble {
    Trouble::not_ready(format!("V1's schema is not what was copied any more: {}", told(changes)))
        .hint("`switchover abort`, then run again: what was changed would be missing on V2")
        .hint("or take the change back on V1, and `switchover resume`")
}

/// A few of them, then how many more.
pub(super) fn told(changes: &[Change]) -> String {
    const SHOWN: usize = 6;
    let one = |change: &Change| {
        let how = match change.how {
            How::Added => "added",
            How::Changed => "changed",
            How::Removed => "removed",
        };
        let within = if change.database.is_empty() { String::new() } else { format!(" in {}", change.database) };
        format!("{}{within} ({how})", change.object).escape_debug().to_string()
    };
    let mut text = changes.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(", ");
    if changes.len() > SHOWN {
        text.push_str(&format!(" and {} more", changes.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Schema {
        let objects = pairs.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned())).collect();
        Schema::from([("shop".to_owned(), objects)])
    }

    #[test]
    fn what_was_added_changed_and_removed_is_named() {
        let then = of(&[("table a", "1"), ("table b", "1"), ("table c", "1")]);
        let now = of(&[("table a", "1"), ("table b", "2"), ("table d", "1")]);
        let changes = changes(&then, &now);
        assert_eq!(told(&changes), "table b in shop (changed), table d in shop (added), table c in shop (removed)");
        assert!(super::changes(&then, &then).is_empty());
    }
}
