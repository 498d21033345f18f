//! What V1 holds that a newer version may not take, or not take alike: found before anything is copied. As MySQL Shell's upgrade
//! checker and the manuals of each version ("Changes in …") name it.

use super::said::OWN_SCHEMAS;
use crate::engine::Check;
use crate::engine::check::{noted, passed, refused, some};
use crate::engine::mysql_wire::session::Session;
use crate::trouble::Trouble;

/// Of V1. Every entry names its object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Doubtful {
    /// Foreign keys that point at columns which are no key of their own. MySQL alone knows which those are.
    pub(in crate::engine) loose_keys: Vec<String>,
    /// Columns whose default is a date that is none.
    pub(in crate::engine) zero_dates: Vec<String>,
    /// Views, routines, triggers and events whose definer does not exist.
    pub(in crate::engine) orphans: Vec<String>,
    /// Generated columns and defaults with functions that are gone from MySQL 9.
    pub(in crate::engine) digests: Vec<String>,
    /// Routines, triggers, events and views with them.
    pub(in crate::engine) digesting: Vec<String>,
    /// Schemas, tables, columns and routines that are called by a word of [`RESERVED`].
    pub(in crate::engine) words: Vec<String>,
}

/// Words that V1's statements may use as names and V2's may not, by the version that reserved them. (MySQL 8.4, "What Is New";
/// 9.7, `information_schema.keywords`; MariaDB, "Reserved Words")
const RESERVED: [&str; 8] =
    ["library", "manual", "offset", "parallel", "qualify", "row_number", "tablesample", "vector"];

const DIGESTS: &str = "'(md5|sha1|sha)[[:space:]]*[(]'";

pub(in crate::engine) async fn doubtful(session: &Session) -> Result<Doubtful, Trouble> {
    let mut found = Doubtful {
        zero_dates: session.list(&zero_dates()).await?,
        orphans: session.list(&orphans()).await?,
        words: session.list(&words()).await?,
        ..Doubtful::default()
    };
    if !session.is_mariadb() {
        found.loose_keys = session.list(&loose_keys()).await?;
        found.digests = session.list(&digests()).await?;
        found.digesting = session.list(&digesting()).await?;
    }
    Ok(found)
}

fn loose_keys() -> String {
    format!(
        "SELECT CONCAT(constraint_schema, '.', constraint_name) FROM information_schema.referential_constraints \
         WHERE unique_constraint_name IS NULL AND constraint_schema NOT IN ({OWN_SCHEMAS}) ORDER BY 1"
    )
}

fn zero_dates() -> String {
    format!(
        "SELECT CONCAT(table_schema, '.', table_name, '.', column_name) FROM information_schema.columns \
         WHERE data_type IN ('date', 'datetime', 'timestamp') AND column_default LIKE '%0000-00-00%' \
         AND table_schema NOT IN ({OWN_SCHEMAS}) ORDER BY 1"
    )
}

/// What has a definer, by kind: where it is listed, its schema and its name.
const DEFINED: [(&str, &str, &str, &str); 4] = [
    ("view", "views", "table_schema", "table_name"),
    ("routine", "routines", "routine_schema", "routine_name"),
    ("trigger", "triggers", "trigger_schema", "trigger_name"),
    ("event", "events", "event_schema", "event_name"),
];

/// A role may be one, too, and stands without a host.
fn orphans() -> String {
    each(|(kind, table, schema, name)| {
        format!(
            "SELECT CONCAT('{kind} ', {schema}, '.', {name}) FROM information_schema.{table} \
             WHERE {schema} NOT IN ({OWN_SCHEMAS}) \
             AND definer NOT IN (SELECT CONCAT(user, '@', host) FROM mysql.user) \
             AND definer NOT IN (SELECT user FROM mysql.user)"
        )
    })
}

fn digests() -> String {
    format!(
        "SELECT CONCAT(table_schema, '.', table_name, '.', column_name) FROM information_schema.columns \
         WHERE (LOWER(generation_expression) REGEXP {DIGESTS} \
         OR extra LIKE '%DEFAULT_GENERATED%' AND LOWER(column_default) REGEXP {DIGESTS}) \
         AND table_schema NOT IN ({OWN_SCHEMAS}) ORDER BY 1"
    )
}

fn digesting() -> String {
    let body = |kind: &str| match kind {
        "view" => "view_definition",
        "routine" => "routine_definition",
        "trigger" => "action_statement",
        _ => "event_definition",
    };
    each(|(kind, table, schema, name)| {
        format!(
            "SELECT CONCAT('{kind} ', {schema}, '.', {name}) FROM information_schema.{table} \
             WHERE {schema} NOT IN ({OWN_SCHEMAS}) AND LOWER({}) REGEXP {DIGESTS}",
            body(kind)
        )
    })
}

fn each(one: impl Fn((&str, &str, &str, &str)) -> String) -> String {
    format!("{} ORDER BY 1", DEFINED.map(one).join(" UNION ALL "))
}

fn words() -> String {
    let words = RESERVED.map(|word| format!("'{word}'")).join(", ");
    format!(
        "SELECT CONCAT('schema ', schema_name) FROM information_schema.schemata WHERE LOWER(schema_name) IN ({words}) \
         UNION ALL SELECT CONCAT('table ', table_schema, '.', table_name) FROM information_schema.tables \
         WHERE LOWER(table_name) IN ({words}) AND table_schema NOT IN ({OWN_SCHEMAS}) \
         UNION ALL SELECT CONCAT('column ', table_schema, '.', table_name, '.', column_name) FROM information_schema.columns \
         WHERE LOWER(column_name) IN ({words}) AND table_schema NOT IN ({OWN_SCHEMAS}) \
         UNION ALL SELECT CONCAT('routine ', routine_schema, '.', routine_name) FROM information_schema.routines \
         WHERE LOWER(routine_name) IN ({words}) AND routine_schema NOT IN ({OWN_SCHEMAS}) ORDER BY 1"
    )
}

/// What is asked of V2: how far it is from V1.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Leap {
    /// V2 is of a newer series.
    pub(in crate::engine) newer: bool,
    /// V2 wants that foreign keys point at keys, unless told otherwise. (MySQL 8.4)
    pub(in crate::engine) strict_keys: bool,
    /// V2 has no MD5, SHA1 and SHA of its own. (MySQL 9)
    pub(in crate::engine) no_digests: bool,
}

pub(in crate::engine) fn checks(v1: &Doubtful, leap: Leap) -> Vec<Check> {
    if !leap.newer {
        return vec![passed("upgrade", "V2 is of V1's series")];
    }
    let id = "upgrade";
    let mut checks = Vec::new();
    let mut note = |what: &[String], found: &str| {
        if !what.is_empty() {
            checks.push(noted(id, format!("{found}: {}", some(what))));
        }
    };
    note(&v1.zero_dates, "defaults that are no date, which V2 refuses for new tables where its sql_mode says so");
    note(&v1.orphans, "their definer is no account, and using them fails on V1 and on V2 alike");
    note(&v1.words, "their name may be a reserved word on V2, which applications must quote");
    if leap.strict_keys {
        note(&v1.loose_keys, "foreign keys on columns that are no key, which V2 refuses for new tables");
    }
    if leap.no_digests {
        let hint = "V2 needs INSTALL COMPONENT 'file://component_classic_hashing' for these, which call MD5 or SHA1";
        note(&v1.digesting, hint);
        if !v1.digests.is_empty() {
            let found = format!(
                "generated columns and defaults with MD5 or SHA1, which V2 does not take: {}",
                some(&v1.digests)
            );
            checks.push(refused("upgrade-digests", found, "make them ordinary columns, or use SHA2()"));
        }
    }
    if checks.is_empty() {
        checks.push(passed(id, "nothing was found on V1 that V2's version takes otherwise"));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Verdict;

    #[test]
    fn only_a_newer_series_takes_things_otherwise() {
        let one = |name: &str| vec![name.to_owned()];
        let v1 = Doubtful { digests: one("a.t.sum"), loose_keys: one("a.fk"), ..Doubtful::default() };
        let verdicts = |leap| checks(&v1, leap).into_iter().map(|check| check.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(Leap::default()), [Verdict::Passed]);
        assert_eq!(verdicts(Leap { newer: true, ..Leap::default() }), [Verdict::Passed], "MariaDB has its digests");
        let all = Leap { newer: true, strict_keys: true, no_digests: true };
        assert_eq!(verdicts(all), [Verdict::Noted, Verdict::Refused]);
    }
}
