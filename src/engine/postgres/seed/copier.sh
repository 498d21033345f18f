# A configuration of ours, whatever the leader's said.
settle() {
  cat "$1" > "$copy/postgresql.conf" && cat /switchover.hba > "$copy/pg_hba.conf" &&
    : > "$copy/postgresql.auto.conf" && : > "$copy/pg_ident.conf" &&
    chown "$owner" "$copy"/*.conf
}
# A file of another's in /tmp may not be written to, not even by root (fs.protected_regular).
serve() { rm -f /tmp/log; as_owner postgres -D "$copy" >/tmp/log 2>&1 & server=$!; }
stop() { as_owner pg_ctl -D "$copy" -s -w -m fast -t 86400 stop && pg_controldata "$copy" | grep -q 'state: *shut down$'; }

# The server's own programs and what they are linked with, at the same paths below $programs: for another image.
programs() {
  server=$(readlink -f "$(command -v postgres)")
  bin=${server%/*}
  for lib in "$bin/../lib" /usr/local/lib/postgresql /usr/lib/postgresql "$("$bin/pg_config" --pkglibdir 2>/dev/null)"; do
    if [ -n "$lib" ] && [ -e "$lib/plpgsql.so" ]; then break; fi
  done
  major=$("$server" --version | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')
  for share in "/usr/share/postgresql/$major" /usr/local/share/postgresql /usr/share/postgresql "$("$bin/pg_config" --sharedir 2>/dev/null)"; do
    if [ -n "$share" ] && [ -e "$share/postgres.bki" ]; then break; fi
  done
  empty "$programs" && mkdir "$programs/libraries" || return
  for dir in "$bin" "$lib" "$share"; do
    dir=$(cd "$dir" && pwd -P) && mkdir -p "$programs$dir" && cp -aL "$dir/." "$programs$dir" || return
  done
  for program in postgres pg_ctl pg_dump; do ldd "$bin/$program" 2>/dev/null; done | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u > /tmp/libraries
  while read -r library; do cp -L "$library" "$programs/libraries" || return; done < /tmp/libraries
  printf '%s\n' "$bin" > "$programs/bin"
}

# What pg_upgrade would stumble over, on a copy that is ours alone: a mark that some point releases keep in a column's options and
# others take for the user's, and prepared transactions, which come by the slots when they are committed.
clear() {
  number=0
  while [ "$number" -lt "$1" ]; do
    name_of "$number" && echo "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database() \\gexec" |
      here psql -X -q -v ON_ERROR_STOP=1 >/tmp/said && here psql -X -q -v ON_ERROR_STOP=1 -c "UPDATE pg_attribute SET attoptions = nullif(ARRAY(SELECT o \
      FROM unnest(attoptions) AS o WHERE o !~ '^pg_attver='), '{}') WHERE attoptions::text ~ 'pg_attver='" || return
    number=$((number + 1))
  done
}

# A cluster like the leader's, with all that it holds but rows.
rehearse() {
  with /tmp/spaces empty && empty "$copy" && with /tmp/init as_owner initdb -D "$copy" -U "$super" >/tmp/said && settle /switchover.rehearsal || return
  as_owner pg_ctl -D "$copy" -s -w -t 60 -l /tmp/rehearsal.log start || { tail -n 4 /tmp/rehearsal.log >&2; return 1; }
  name=postgres
  leader pg_dumpall --globals-only -l postgres -f /tmp/globals &&
    { here psql -X -q -d template1 -f /tmp/globals 2>/tmp/refused >/tmp/said || true; } &&
    ! grep -E 'ERROR|FATAL|could not' /tmp/refused | grep -vE 'role ".*" already exists' >&2 || return
  number=0
  while [ "$number" -lt "$1" ]; do
    name_of "$number" &&
      leader pg_dump --schema-only --lock-wait-timeout=60s -Fc -Z0 --no-subscriptions --no-sync -f "/tmp/$number.dump" &&
      create "$number" && rm "/tmp/$number.dump" || return
    number=$((number + 1))
  done
  clear "$1" && stop && settle /switchover.conf
}

# Of a running server: files may come, grow and go meanwhile. Its log makes that good, from the beginning of the backup on.
# Left out as by pg_basebackup (PostgreSQL 17 documentation, "Making a Base Backup Using the Low Level API").
like() { cp -a $reflink "$@" 2>>/tmp/errors || true; }
files() {
  from=/leader$data reflink=
  if cp --help 2>&1 | grep -q -- --reflink; then reflink=--reflink=auto; fi
  : > /tmp/errors
  [ -s "$from/PG_VERSION" ] && [ -e "$from/global/pg_control" ] || { echo "no data of a server in $data" >&2; return 1; }
  with /tmp/spaces empty && empty "$copy" || return
  cd "$from" || return
  for entry in * .[!.]*; do
    case $entry in
      postmaster.*|backup_label*|tablespace_map*|switchover.*|*.signal|recovery.conf|lost+found|current_logfiles) ;;
      pg_wal) empty "${log:-$copy/pg_wal}"; [ -z "$log" ] || ln -s "$log" "$copy/pg_wal"
        empty "$copy/pg_wal/archive_status"; [ ! -d pg_wal/summaries ] || empty "$copy/pg_wal/summaries" ;;
      pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans) empty "$copy/$entry" ;;
      *) if [ -e "$entry" ] || [ -L "$entry" ]; then like "$entry" "$copy/"; fi ;;
    esac
  done
  while IFS= read -r space; do
    [ -d "/leader$space" ] || { echo "no tablespace at $space" >&2; return 1; }
    like "/leader$space/." "$space/"
  done < /tmp/spaces
  without() { find "$copy/base" "$copy/global" "$@" \( -name 'pgsql_tmp*' -o -name 'pg_internal.init*' \) -exec rm -rf {} +; }
  with /tmp/spaces without || return
  # What goes away under our hands is no error; a full disk is.
  if grep -v ': No such file or directory$' /tmp/errors >&2; then return 1; fi
  # It is written in place, and could be read half written.
  tries=0
  until cp "$from/global/pg_control" "$copy/global/pg_control" && pg_controldata "$copy" >/tmp/control 2>&1 &&
    ! grep -qi warning /tmp/control; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { echo "pg_control cannot be read whole" >&2; return 1; }
  done
  if [ "$(stat -c %u:%g "$from")" != "$owner" ]; then
    change() { chown -R "$owner" "$@"; }
    with /tmp/spaces change "$copy" || return
  fi
  chown -h "$owner" "$copy"/* && chown "$owner" "$copy/global/pg_control" && chmod 700 "$copy"
}
stream() {
  with /tmp/spaces empty && empty "$copy" && as_owner pg_basebackup -D "$copy" -d "$(cat /switchover.connection)" -X fetch -c fast \
    --no-password --no-manifest --no-sync
}
size() { du -sk "$copy" "$@" 2>/dev/null | { sum=0; while read -r kib _; do sum=$((sum + kib)); done; echo "$sum"; }; }

copying=
echo started
while read -r order word; do
  case $order in
    programs) answer programs ;;
    rehearse) answer rehearse "$word" ;;
    files|stream) { "$order" 2>/tmp/why; } & copying=$!; echo done ;;
    copied)
      if kill -0 "$copying" 2>/dev/null; then printf 'at %s\n' "$(with /tmp/spaces size)"
      elif wait "$copying"; then echo done
      else failed; fi ;;
    synced)
      synced() { as_owner initdb --sync-only -D "$copy" >/tmp/said; }
      answer synced ;;
    recover)
      recover() { settle /switchover.conf && printf "recovery_target_lsn = '%s'\n" "$word" >> "$copy/postgresql.conf" && : > "$copy/standby.signal" &&
        chown "$owner" "$copy/standby.signal" && serve; }
      answer recover ;;
    recovered)
      name=template1
      if ! kill -0 "$server" 2>/dev/null; then tail -n 6 /tmp/log > /tmp/why; failed
      elif [ "$(here psql -X -A -t -c 'SELECT NOT pg_is_in_recovery()' 2>/dev/null)" = t ]; then echo done
      else printf 'not yet: %s\n' "$(tail -n 1 /tmp/log)"; fi ;;
    clear) answer clear "$word" ;;
    stop) answer stop ;;
  esac
done
[ -z "$copying" ] || kill "$copying" 2>/dev/null
stop 2>/dev/null
