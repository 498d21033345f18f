//! DDL on the leader while V2 follows: tables and partitions that were added, and columns, are added on V2, too; anything
//! else is named, and the run waits for a person. Never a silent difference.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::columns::add_columns;
use super::databases::{self, Open};
use super::schema::{self, Change, How};
use super::{follow, found, publish, triggers};
use crate::engine::Place;
use crate::engine::postgres::before::Before;
use crate::engine::postgres::names::{self, ident, literal};
use crate::engine::postgres::session::Timeouts;
use crate::engine::postgres::{connect, standby};
use crate::runtime::{File, HelperSpec};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// V2 has the leader's schema of now. `follower`: sessions in its databases.
pub(super) async fn ensure_carried(place: &Place, follower: &[Open]) -> Result<(), Trouble> {
    let Some(then) = schema::written_down(place).await? else { return Ok(()) };
    let leader = Place { side: place.side.other(), ..place.clone() };
    let sessions = databases::open(&leader, "switchover", Timeouts::short(place.plan.limits.statement.0)).await?;
    let now = schema::look(&leader, &sessions).await?;
    let changes = schema::changes(&then, &now);
    if changes.is_empty() {
        return Ok(());
    }
    let news = News::of(&changes);
    if !news.unknown.is_empty() {
        return Err(schema::changed(&news.unknown));
    }
    for (from, to) in sessions.iter().zip(follower) {
        let tables = news.tables(&from.name, true);
        refuse_keyless(place, from, &tables).await?;
        let mut carried: Vec<String> = tables.iter().cloned().collect();
        // Columns first: a new partition has its parent's.
        for table in parents_first(from, news.tables(&from.name, false)).await? {
            carried.extend(add_columns(place, from, to, &table).await?);
        }
        add_tables(place, &leader, from, to, &tables).await?;
        if !tables.is_empty() {
            triggers::ensure_off(place, follower).await?;
            fill(place, &leader, from, to).await?;
        }
        if !carried.is_empty() {
            place.tell.warning(format!(
                "V1's schema was changed in {}; V2 has been given the same: {}",
                from.name.escape_debug(),
                carried.join(", ").escape_debug()
            ));
        }
    }
    // What was looked at before it was carried: what has come since shows at the next look.
    schema::write_down(place, &now).await
}

/// What the changes come to.
struct News {
    /// (database, table)
    added: BTreeSet<(String, String)>,
    /// Tables with other columns than before, and nothing else.
    columns: BTreeSet<(String, String)>,
    unknown: Vec<Change>,
}

impl News {
    fn of(changes: &[Change]) -> News {
        let tables = |kind: &str, how: How| -> BTreeSet<(String, String)> {
            let of_kind = changes.iter().filter(|change| change.how == how && !change.database.is_empty());
            of_kind
                .filter_map(|change| Some((change.database.clone(), change.object.strip_prefix(kind)?.to_owned())))
                .collect()
        };
        let (added, columns) = (tables("table ", How::Added), tables("columns of ", How::Changed));
        let known = |change: &Change| {
            let tables = added.iter().filter(|(database, _)| *database == change.database);
            match change.how {
                How::Added => tables.into_iter().any(|(_, table)| comes_with(&change.object, table)),
                How::Changed => change.object.starts_with("columns of "),
                How::Removed => false,
            }
        };
        let unknown = changes.iter().filter(|change| !known(change)).cloned().collect();
        News { added, columns, unknown }
    }

    fn tables(&self, database: &str, added: bool) -> BTreeSet<String> {
        let of = if added { &self.added } else { &self.columns };
        of.iter().filter(|(name, _)| name == database).map(|(_, table)| table.clone()).collect()
    }
}

/// The table itself, or what a dump of it brings: its own indexes, constraints, triggers, sequences and comments. Never those
/// of another table that was there before.
fn comes_with(object: &str, table: &str) -> bool {
    let of_it = |kind: &str, link: &str| {
        object.starts_with(kind) && object.strip_suffix(table).is_some_and(|rest| rest.ends_with(link))
    };
    object == format!("table {table}")
        || object == format!("columns of {table}")
        || object.starts_with(&format!("sequence of {table} "))
        || of_it("index ", " on ")
        || of_it("trigger ", " on ")
        || of_it("constraint ", " of ")
        || of_it("comment on ", "table ")
}

/// A partition gets a column with its parent.
async fn parents_first(from: &Open, tables: BTreeSet<String>) -> Result<Vec<String>, Trouble> {
    let mut all = Vec::new();
    for table in tables {
        let depth = format!(
            "WITH RECURSIVE up(oid, depth) AS (SELECT to_regclass({})::oid, 0 UNION ALL \
             SELECT i.inhparent, up.depth + 1 FROM pg_inherits AS i JOIN up ON up.oid = i.inhrelid) SELECT max(depth) FROM up",
            literal(&table)
        );
        let depth = from.session.text(&depth).await?.and_then(|depth| depth.parse::<u32>().ok());
        all.push((depth.ok_or_else(|| Trouble::bug("a table's parents cannot be counted"))?, table));
    }
    all.sort();
    Ok(all.into_iter().map(|(_, table)| table).collect())
}

/// One without a key is never published: V1 would refuse its clients' updates of it. Before anything is made on V2.
async fn refuse_keyless(place: &Place, from: &Open, tables: &BTreeSet<String>) -> Result<(), Trouble> {
    if tables.is_empty() {
        return Ok(());
    }
    let before = Before::logical(&place.plan)?;
    let known = before.databases.get(from.number).map(|it| it.identities.as_slice()).unwrap_or_default();
    let keyless = found::in_database(&from.session).await?.keyless;
    let strange: Vec<String> = keyless
        .iter()
        .filter(|table| !known.iter().any(|it| it.schema == table.schema && it.table == table.table))
        .map(|table| format!("{}.{}", table.schema, table.table))
        .collect();
    if !strange.is_empty() {
        return Err(Trouble::not_ready(format!("new tables of V1 have no primary key: {}", strange.join(", ")))
            .hint("give them one, then `switchover resume`"));
    }
    if from.session.major().await? < 14 {
        return Err(Trouble::not_ready(
            "tables were added on V1, whose version cannot give their rows to a follower alone",
        )
        .hint("`switchover abort`, then run again"));
    }
    Ok(())
}

/// `$1` and `$2` the leader's host and port, `$3` and `$4` V2's, `$5` our role. The database's name and the tables' are in
/// files.
const ADD: &str = r#"
LC_MESSAGES=C HOME=/tmp PGPASSFILE=/switchover.pass PGGSSENCMODE=disable PGCONNECT_TIMEOUT=10 PGUSER=$5
export LC_MESSAGES HOME PGPASSFILE PGGSSENCMODE PGCONNECT_TIMEOUT PGUSER
PGDATABASE=$(cat /switchover.database; echo .); PGDATABASE=${PGDATABASE%.}; export PGDATABASE
command -v pg_dump >/dev/null || PATH=$PATH:$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_dump | head -n 1)")
set -e
from=$1 from_port=$2 to=$3 to_port=$4
set --
for file in /switchover.table-*; do
  table=$(cat "$file"; echo .); set -- "$@" -t "${table%.}"
done
PGHOST=$from PGPORT=$from_port pg_dump --section=pre-data --section=post-data --no-subscriptions --no-publications \
  --lock-wait-timeout=10s --no-sync -Fc -f /tmp/added "$@"
# A parent that is there already has indexes: a partition is attached when it has its own, or it would get them twice.
kind='^[0-9]+; [0-9]+ [0-9]+ (TABLE|INDEX) ATTACH '
pg_restore -l /tmp/added > /tmp/list
grep -vE "$kind" /tmp/list > /tmp/first
grep -E "$kind" /tmp/list | grep ' TABLE ATTACH ' > /tmp/last || :
pg_restore -L /tmp/first -f /tmp/sql /tmp/added
if [ -s /tmp/last ]; then pg_restore -L /tmp/last -f - /tmp/added >> /tmp/sql; fi
# A mark of some point releases' own, which others' dumps take for the user's.
sed -i '/^ALTER TABLE ONLY .* ALTER COLUMN .* SET (pg_attver=[0-9]*);$/d' /tmp/sql
PGOPTIONS='-c session_replication_role=replica -c client_min_messages=warning' PGHOST=$to PGPORT=$to_port \
  psql -X -q -v ON_ERROR_STOP=1 --single-transaction -f /tmp/sql >/dev/null
"#;

async fn add_tables(
    place: &Place,
    leader: &Place,
    from: &Open,
    to: &Open,
    tables: &BTreeSet<String>,
) -> Result<(), Trouble> {
    let mut missing = Vec::new();
    for table in tables {
        let there = format!("SELECT to_regclass({}) IS NOT NULL", literal(table));
        if to.session.text(&there).await?.as_deref() != Some("t") {
            missing.push(table.clone());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let user = names::admin(&place.plan);
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    let (from_host, to_host) = (standby::host_of_other(place).await?, standby::host_of_other(leader).await?);
    let (from_port, to_port) = (connect::port(leader).to_string(), connect::port(place).to_string());
    let file =
        |path: String, content: &str| File { path, content: content.as_bytes().to_vec(), mode: 0o600, uid: 0, gid: 0 };
    let mut files = vec![
        file("/switchover.pass".into(), &standby::pass_line(&user, password.expose_secret())),
        file("/switchover.database".into(), &from.name),
    ];
    files.extend(missing.iter().enumerate().map(|(n, table)| file(format!("/switchover.table-{n}"), table)));
    let spec = HelperSpec {
        name: format!("switchover-{}-ddl", place.plan.tag()),
        image: place.plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", ADD, "sh", &from_host, &from_port, &to_host, &to_port, &user]
            .map(str::to_owned)
            .to_vec(),
        user: Some("0:0".into()),
        network: Some(place.plan.private_network.clone()),
        files,
        labels: place.plan.labels("V2"),
        ..HelperSpec::default()
    };
    let helper = place.runtime.helper(&spec).await?;
    let limit = Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 };
    let output = wait::within(limit, "adding V1's new tables to V2", helper.end()).await?;
    if output.code == 0 {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Trouble::not_ready(format!("new tables of V1 cannot be made on V2: {}", missing.join(", ").escape_debug()))
        .because(Trouble::failed(why))
        .hint("`switchover abort`, then run again"))
}

/// New tables are published, and the server's own first copy brings their rows.
async fn fill(place: &Place, leader: &Place, from: &Open, to: &Open) -> Result<(), Trouble> {
    publish::ensure_publication(from, leader).await?;
    // One that is off cannot be told of more tables; what has stopped it was a column that is there by now.
    follow::ensure_enabled(place, to).await?;
    let name = ident(&names::slot_of(&place.plan, to.number));
    to.session.run(&format!("ALTER SUBSCRIPTION {name} REFRESH PUBLICATION")).await
}

/// First copies of tables that were added are complete.
pub(super) async fn until_filled(
    place: &Place,
    follower: &[Open],
    refuse_stuck: impl AsyncFn() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let wait = Wait {
        what: "the rows of new tables",
        limit: Limit { name: "limits.catch-up", value: place.plan.limits.catch_up.0 },
        every: Duration::from_millis(200),
        kind: Kind::NotReady,
    };
    wait::until(wait, &place.tell, async || {
        for open in follower {
            let sql = "SELECT coalesce(string_agg(srrelid::regclass::text, ', '), '') FROM pg_subscription_rel AS r \
                       JOIN pg_subscription AS s ON s.oid = r.srsubid WHERE r.srsubstate <> 'r' AND s.subname = ";
            let sql = format!("{sql}{}", literal(&names::slot_of(&place.plan, open.number)));
            match open.session.text(&sql).await?.as_deref() {
                Some("") | None => {}
                Some(left) => {
                    refuse_stuck().await?;
                    return Ok(Look::NotYet(format!("not complete: {left}")));
                }
            }
        }
        Ok(Look::Done(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(object: &str, how: How) -> Change {
        Change { database: "shop".into(), object: object.into(), how }
    }

    #[test]
    fn what_comes_with_a_new_table_is_known_and_the_rest_is_not() {
        let changes = [
            change("table public.new", How::Added),
            change("columns of public.new", How::Added),
            change("index public.new_pkey on public.new", How::Added),
            change("constraint new_pkey of public.new", How::Added),
            change("sequence of public.new public.new_n_seq", How::Added),
            change("comment on column n of table public.new", How::Added),
            change("columns of public.old", How::Changed),
        ];
        let news = News::of(&changes);
        assert_eq!(news.unknown, []);
        assert_eq!(news.tables("shop", true), BTreeSet::from(["public.new".to_owned()]));
        assert_eq!(news.tables("shop", false), BTreeSet::from(["public.old".to_owned()]));
        for unknown in [
            change("index public.i on public.old", How::Added),
            change("constraint c of public.old", How::Added),
            change("trigger t on public.old", How::Added),
            change("sequence public.alone", How::Added),
            change("table public.t", How::Removed),
            change("table public.old", How::Changed),
            change("view v", How::Changed),
        ] {
            let all = [&changes[..], std::slice::from_ref(&unknown)].concat();
            assert_eq!(News::of(&all).unknown, [unknown]);
        }
    }
}
