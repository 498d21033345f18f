# What every helper of ours that has PostgreSQL's programs begins with. Given: owner, host, port, role, super, and in "$@"
# the words below. Shell of Debian's and Alpine's images.
LC_MESSAGES=C LC_ALL= HOME=/tmp PGPASSFILE=/switchover.pass PGGSSENCMODE=disable PGCONNECT_TIMEOUT=10
export LC_MESSAGES LC_ALL HOME PGPASSFILE PGGSSENCMODE PGCONNECT_TIMEOUT
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
# Words for initdb, `--`, words for the server, `--`, directories of tablespaces: a file each, one a line.
next=/tmp/init
: > /tmp/init; : > /tmp/server; : > /tmp/spaces
for word; do
  case $word$next in
    --/tmp/init) next=/tmp/server ;;
    --/tmp/server) next=/tmp/spaces ;;
    *) printf '%s\n' "$word" >> "$next" ;;
  esac
done
with() { file=$1; shift; while IFS= read -r word; do set -- "$@" "$word"; done < "$file"; "$@"; }
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
