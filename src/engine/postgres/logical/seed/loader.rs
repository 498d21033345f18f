//! The helper that V2's cluster is made and filled in: a server of V2's image on V2's volumes, and the client programs
//! beside it. It takes one order a line and answers each with `done`, or `failed` and why.

use std::time::Duration;

use secrecy::ExposeSecret;

use crate::engine::Place;
use crate::engine::postgres::before::{Before, Logical};
use crate::engine::postgres::names::{self, ident, literal};
use crate::engine::postgres::seed::copy::mounts;
use crate::engine::postgres::session::{Login, Session, Timeouts};
use crate::engine::postgres::wire::Wire;
use crate::engine::postgres::{connect, said, standby};
use crate::runtime::{File, Helper, HelperSpec, Stream};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// `$1` data directory, `$2` owner, `$3` log directory or nothing, `$4` the first superuser, `$5` the leader's host, `$6` its
/// port, `$7` our role, `$8` jobs; then words for initdb, `--`, words for the server, `--`, directories of tablespaces.
/// Names of databases are in files, as they may hold anything.
const LOADER: &str = r#"
data=$1 owner=$2 log=$3 super=$4 host=$5 port=$6 role=$7 jobs=$8; shift 8
LC_MESSAGES=C HOME=/tmp PGPASSFILE=/switchover.pass PGGSSENCMODE=disable PGCONNECT_TIMEOUT=10
export LC_MESSAGES HOME PGPASSFILE PGGSSENCMODE PGCONNECT_TIMEOUT
command -v initdb >/dev/null || PATH=$PATH:$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | head -n 1)")
id "${owner%:*}" >/dev/null 2>&1 || echo "owner:x:${owner%:*}:${owner#*:}::/tmp:/bin/sh" >> /etc/passwd
as_owner() {
  if command -v gosu >/dev/null; then gosu "$owner" "$@"
  elif command -v su-exec >/dev/null; then su-exec "$owner" "$@"
  elif command -v setpriv >/dev/null && setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups true 2>/dev/null; then
    setpriv --reuid="${owner%:*}" --regid="${owner#*:}" --clear-groups "$@"
  else chroot --userspec="$owner" / "$@"
  fi
}
failed() { printf 'failed %s\n' "$(tail -n 6 /tmp/why 2>/dev/null | tr '\n' ' ')"; }
answer() { if "$@" 2>/tmp/why; then echo done; else failed; fi; }
leader() { PGDATABASE=$name PGHOST=$host PGPORT=$port PGUSER=$role PGOPTIONS='-c statement_timeout=0' "$@"; }
here() { PGDATABASE=$name PGHOST=/tmp PGUSER=$super PGOPTIONS='-c client_min_messages=warning' "$@"; }
# A name may end in newlines: those a substitution would drop.
name_of() { name=$(cat "/switchover.database-$1"; echo .); name=${name%.}; }

empty() {
  for dir; do
    mkdir -p "$dir"
    find "$dir" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
    chown "$owner" "$dir"
    chmod 700 "$dir"
  done
}
make() { empty "$data" ${log:+"$log"} && as_owner initdb -D "$data" -U "$super" ${log:+--waldir="$log"} "$@" >/tmp/said; }
next=/tmp/init
: > /tmp/init; : > /tmp/server; : > /tmp/spaces
for word; do
  case $word$next in
    --/tmp/init) next=/tmp/server ;;
    --/tmp/server) next=/tmp/spaces ;;
    *) printf '%s\n' "$word" >> "$next" ;;
  esac
done
# Out of a dump, with its database. Those that every cluster has are made anew, by their own properties.
create() {
  number=$1 first=template1; shift
  case $name in
    postgres) here psql -X -q -d template1 -c 'DROP DATABASE IF EXISTS postgres' || return ;;
    template1) first=postgres
      here psql -X -q -d postgres -c "UPDATE pg_database SET datistemplate = false WHERE datname = 'template1'" \
        -c 'DROP DATABASE template1' || return ;;
  esac
  # Some point releases keep a mark of their own in a column's options, and others' dumps take it for the user's.
  pg_restore "$@" --create -f "/tmp/$number.sql" "/tmp/$number.dump" &&
    sed -i '/^ALTER TABLE ONLY .* ALTER COLUMN .* SET (pg_attver=[0-9]*);$/d' "/tmp/$number.sql" &&
    here psql -X -q -v ON_ERROR_STOP=1 -d "$first" -f "/tmp/$number.sql" >/tmp/said && rm -f "/tmp/$number.sql"
}
with() { file=$1; shift; while IFS= read -r word; do set -- "$@" "$word"; done < "$file"; "$@"; }
begin() {
  with /tmp/init make && with /tmp/spaces empty &&
    as_owner postgres --single -D "$data" template1 < /switchover.roles >/tmp/said && cat /switchover.hba > "$data/pg_hba.conf"
}
if ! begin 2>/tmp/why; then failed; exit 1; fi
with /tmp/server as_owner postgres -D "$data" >/tmp/log 2>&1 &
server=$!
# A shell lets its background ignore SIGINT: the server is told itself.
interrupt() { read -r pid < "$data/postmaster.pid" && kill -INT "$pid" && wait "$server"; }
echo started
while read -r order number snapshot; do
  case $order in
    globals)
      globals() {
        name=postgres
        leader pg_dumpall --globals-only -l postgres -f /tmp/globals && : > /tmp/refused &&
          { here psql -X -q -d template1 -f /tmp/globals 2>/tmp/refused >/tmp/said || true; } &&
          ! grep -E 'ERROR|FATAL|could not' /tmp/refused | grep -vE 'role ".*" already exists|unrecognized configuration parameter' >&2
      }
      answer globals
      sed -n 's/.*ERROR: *\(unrecognized configuration parameter.*\)/note \1/p' /tmp/refused; rm -f /tmp/globals; echo end ;;
    schema)
      schema() {
        name_of "$number"
        leader pg_dump --snapshot="$snapshot" --lock-wait-timeout=60s -Fc -Z0 --section=pre-data --section=post-data \
          --no-subscriptions --no-sync -f "/tmp/$number.dump" && create "$number" --section=pre-data
      }
      answer schema ;;
    template)
      template() {
        name_of "$number"
        leader pg_dump --lock-wait-timeout=60s -Fc -Z0 --no-subscriptions --no-sync -f "/tmp/$number.dump" && create "$number"
        set -- $?; rm -f "/tmp/$number.dump"; return "$1"
      }
      answer template ;;
    large)
      large() {
        name_of "$number"
        leader pg_dump --snapshot="$snapshot" --lock-wait-timeout=60s -Fc -Z0 --section=data -b --exclude-table-data='*.*' \
          --no-sync -f "/tmp/$number.large" || return
        here pg_restore --exit-on-error -d '' "/tmp/$number.large" || return
        rm -f "/tmp/$number.large"
      }
      answer large ;;
    indexes)
      indexes() {
        name_of "$number"
        here pg_restore --exit-on-error --section=post-data -j "$jobs" -d '' "/tmp/$number.dump" || return
        rm -f "/tmp/$number.dump"
      }
      answer indexes ;;
    stop)
      stop() { interrupt && as_owner initdb --sync-only -D "$data" >/tmp/said; }
      answer stop; exit 0 ;;
  esac
done
interrupt 2>/dev/null
"#;

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

pub(in super::super) struct Loader {
    place: Place,
    helper: Box<dyn Helper>,
}

/// The helper's name.
pub(super) fn name(place: &Place) -> String {
    format!("switchover-{}-seed", place.plan.tag())
}

/// One that an earlier process began goes, with all it was about to do.
pub(super) async fn ensure_none(place: &Place) -> Result<(), Trouble> {
    place.runtime.ensure_no_container(&name(place), &place.plan.run).await
}

impl Loader {
    /// A new and empty cluster, like the leader's, and its server.
    pub(super) async fn start(place: &Place) -> Result<Loader, Trouble> {
        let helper = place.runtime.helper(&spec(place).await?).await?;
        let mut loader = Loader { place: place.clone(), helper };
        loader.answer("V2's new cluster", "started", Duration::from_secs(300)).await?;
        let wait = Wait {
            what: "the server that V2's data is copied by",
            limit: Limit { name: "limits.statement", value: Duration::from_secs(60) },
            every: Duration::from_millis(50),
            kind: Kind::Failed,
        };
        wait::until(wait, &place.tell, async || match loader.session("template1").await {
            Ok(_) => Ok(Look::Done(())),
            Err(trouble) => Ok(Look::NotYet(trouble.one_line())),
        })
        .await?;
        Ok(loader)
    }

    /// Roles with their passwords and memberships, and tablespaces.
    pub(super) async fn globals(&mut self) -> Result<(), Trouble> {
        self.order("globals", "V1's roles and tablespaces").await?;
        while let Some(line) = self.helper.line().await?.filter(|line| line != "end") {
            if let Some(note) = line.strip_prefix("note ") {
                self.place.tell.warning(format!("a role's setting is not known to V2: {note}"));
            }
        }
        Ok(())
    }

    /// A database that others are made from, with all that is in it.
    pub(super) async fn template(&mut self, number: usize) -> Result<(), Trouble> {
        self.order(&format!("template {number}"), "V1's templates").await
    }

    /// The database, and everything in it that rows need.
    pub(super) async fn schema(&mut self, database: usize, snapshot: &str) -> Result<(), Trouble> {
        self.order(&format!("schema {database} {snapshot}"), "V1's schema").await
    }

    pub(super) async fn large_objects(&mut self, database: usize, snapshot: &str) -> Result<(), Trouble> {
        self.order(&format!("large {database} {snapshot}"), "V1's large objects").await
    }

    /// Indexes, constraints, triggers, materialised views.
    pub(super) async fn indexes(&mut self, database: usize) -> Result<(), Trouble> {
        self.order(&format!("indexes {database}"), "indexes and constraints").await
    }

    /// The server has stopped and everything is on disk.
    pub(super) async fn stop(mut self) -> Result<(), Trouble> {
        self.order("stop", "the end of the copy").await?;
        self.helper.end().await.map(drop)
    }

    async fn order(&mut self, order: &str, what: &str) -> Result<(), Trouble> {
        self.place.tell.waiting(what, "V2's server and client programs are at it");
        self.helper.send(order).await?;
        self.answer(what, "done", self.place.plan.limits.total.0).await
    }

    async fn answer(&mut self, what: &str, good: &str, value: Duration) -> Result<(), Trouble> {
        let limit = Limit { name: "limits.total", value };
        let line = wait::within(limit, what, self.helper.line()).await?;
        match line.as_deref() {
            Some(line) if line == good => Ok(()),
            Some(line) => {
                let why = line.strip_prefix("failed ").unwrap_or(line).trim();
                Err(failed(what, why))
            }
            None => Err(Trouble::failed(format!("{what}: the helper that copies V1's data ended by itself"))),
        }
    }

    pub(in super::super) async fn session(&self, database: &str) -> Result<Session, Trouble> {
        let password = self.place.secrets.secret(names::ADMIN_SECRET)?;
        let user = names::admin(&self.place.plan);
        let login = Login { user: &user, password: Some(&password), database, application: "switchover seed" };
        Session::open(self.stream().await?, &login, Timeouts::NONE).await
    }

    pub(super) async fn wire(&self, database: &str) -> Result<Wire, Trouble> {
        connect::wire(&self.place, self.stream().await?, database, "switchover seed", false).await
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, Trouble> {
        let port = connect::port(&self.place);
        self.place.runtime.dial(&name(&self.place), &self.place.plan.private_network, port).await
    }
}

fn failed(what: &str, why: &str) -> Trouble {
    let trouble = Trouble::failed(format!("{what}: not copied")).because(Trouble::failed(why));
    if why.contains("No space left") {
        return trouble.hint("V2's disk is full: make room, or let V2's volume be elsewhere");
    }
    trouble.hint("run again: the copy begins anew")
}

async fn spec(place: &Place) -> Result<HelperSpec, Trouble> {
    let (plan, before) = (&place.plan, Before::of(&place.plan)?);
    let logical = Before::logical(plan)?;
    let leader = Place { side: place.side.other(), ..place.clone() };
    let short = Timeouts::short(plan.limits.statement.0);
    let preload = said::preload(&connect::admin(&leader, "switchover", short).await?).await?;
    let (uid, gid) = before.owners[1];
    let user = names::admin(plan);
    let mut argv: Vec<String> = ["sh", "-c", LOADER, "sh", connect::data(place)].map(str::to_owned).to_vec();
    argv.push(format!("{uid}:{gid}"));
    argv.push(before.wal_directory.clone().unwrap_or_default());
    argv.push(logical.cluster.superuser.clone());
    argv.push(standby::host_of_other(place).await?);
    argv.push(connect::port(&leader).to_string());
    argv.push(user.clone());
    argv.push(jobs().to_string());
    argv.extend(initdb(&logical));
    argv.push("--".into());
    argv.extend(SERVER.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
    argv.extend(["-c".to_owned(), format!("port={}", connect::port(place))]);
    argv.extend(["-c".to_owned(), format!("shared_preload_libraries={preload}")]);
    argv.push("--".into());
    argv.extend(before.tablespaces);
    Ok(HelperSpec {
        name: name(place),
        image: plan.v2.image_id.clone(),
        entrypoint: argv,
        user: Some("0:0".into()),
        network: Some(plan.private_network.clone()),
        mounts: mounts(place),
        files: files(place, &logical, &user)?,
        labels: plan.labels("V2"),
        ..HelperSpec::default()
    })
}

/// How much is done beside each other.
pub(in super::super) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).clamp(2, 8)
}

fn files(place: &Place, logical: &Logical, user: &str) -> Result<Vec<File>, Trouble> {
    let password = place.secrets.secret(names::ADMIN_SECRET)?;
    let verifier = postgres_protocol::password::scram_sha_256(password.expose_secret().as_bytes());
    let role = format!("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {};\n", ident(user), literal(&verifier));
    // Its socket is in the helper itself.
    let rules = format!("local all all trust\nhost all {} all scram-sha-256\n", ident(user));
    let file =
        |path: String, content: String| File { path, content: content.into_bytes(), mode: 0o600, uid: 0, gid: 0 };
    let mut files = vec![
        file("/switchover.pass".into(), standby::pass_line(user, password.expose_secret())),
        file("/switchover.roles".into(), role),
        file("/switchover.hba".into(), rules),
    ];
    let names = logical.databases.iter().map(|it| &it.name).chain(&logical.templates).enumerate();
    files.extend(names.map(|(number, name)| file(format!("/switchover.database-{number}"), name.clone())));
    Ok(files)
}

/// As the leader's cluster was made. A word that a version does not know is given only where it is needed.
fn initdb(logical: &Logical) -> Vec<String> {
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
    if cluster.checksums {
        words.push("--data-checksums".into());
    }
    words
}
