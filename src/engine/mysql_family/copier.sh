# Given: data (V1's files, where V1 has them), copy, owner, log (the name of V1's binary log), and in "$@" what a server is started
# with. One order a line. Orders that take long go on by themselves; `ended` asks after them, and `copied` how far they are, too. Shell and tools of the images that
# have glibc.
LC_ALL=C HOME=/tmp
export LC_ALL HOME
user=${owner%:*}
reflink=
if cp --help 2>&1 | grep -q -- --reflink; then reflink=--reflink=auto; fi
failed() { printf 'failed %s\n' "$(tail -n 6 /tmp/why 2>/dev/null | tr '\n' ' ')"; }
answer() { if "$@" 2>/tmp/why; then echo done; else failed; fi; }
size() { du -sk "$copy" 2>/dev/null | { read -r kib _ && echo "$kib"; }; }
empty() { mkdir -p "$copy" && find "$copy" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; }

# What is one server's own, what is made anew at every start, and logs: a copy of files at rest needs none.
is_left_out() {
  case $1 in '#innodb_temp'|lost+found) return 0 ;; esac
  # A schema may be called anything.
  [ ! -d "$1" ] || return 1
  case $1 in
    auto.cnf|mysqld-auto.cnf*|master*.info|relay-log*.info|multi-master.info|*.pid|*.sock|*.sock.lock|ibtmp*) ;;
    "$log".[0-9]*|"$log".index|"$log".state|*relay-bin*|switchover.*|core|core.*|*.err) ;;
    *) return 1 ;;
  esac
}
# Calls a function with the names of all there is.
with_all() {
  all=$1; shift
  cd "$data" || return
  for entry in * .[!.]*; do
    if is_left_out "$entry" || ! { [ -e "$entry" ] || [ -L "$entry" ]; }; then continue; fi
    set -- "$@" "./$entry"
  done
  "$all" "$@"
}
# Two seconds early: a file that is written to once more within one tick of the clock looks as it did before.
begin() { touch -d "@$(($(date +%s) - 2))" "$1"; }

# What leads out of V1's data directory is not in the copy, and V2 would find V1's own files there.
all_here() {
  [ -d "$data/mysql" ] || { echo "no data of a server in $data" >&2; return 1; }
  out=$(find "$data" \( -type l ! -name '*.sock' -o -name '*.isl' \) | head -n 1)
  [ -z "$out" ] || { echo "$out leads out of V1's data directory" >&2; return 1; }
}

# While V1 writes. What goes away under our hands is no error; a full disk is.
like() { cp -a $reflink -t "$copy" "$@" 2>/tmp/errors || true; }
files() {
  all_here && empty && begin /tmp/since && with_all like || return
  if grep -v ': No such file or directory$' /tmp/errors >&2; then return 1; fi
}
# While V1 rests: what was written to or renamed since the last time, and what is not there any more.
newer() {
  find "$@" -type f \( -newer /tmp/since -o -cnewer /tmp/since \) -exec cp -a $reflink --parents -t "$copy" {} + && cp -a -u $reflink -t "$copy" "$@"
}
gone() {
  cd "$copy" || return
  find . -mindepth 1 -depth | while IFS= read -r file; do
    [ -e "$data/$file" ] || [ -L "$data/$file" ] || rm -rf "$file" || return
  done
}
again() { begin /tmp/next && gone && with_all newer && mv /tmp/next /tmp/since; }

# By V1's own program, which keeps what is written meanwhile.
backup_tool() { command -v mariadb-backup || command -v mariabackup; }
backup() {
  all_here && empty && tool=$(backup_tool) && "$tool" --defaults-file=/switchover.cnf --backup --datadir="$data" --target-dir="$copy" "$@" || return
  if [ -e "$data/ib_buffer_pool" ]; then cp -a "$data/ib_buffer_pool" "$copy/"; fi
}
prepare() {
  tool=$(backup_tool) && "$tool" --prepare --target-dir="$copy" --use-memory=256M || return
  cat "$copy"/*_binlog_info > /tmp/position && rm -f "$copy"/xtrabackup_* "$copy"/mariadb_backup_* "$copy/backup-my.cnf"
}

# V1's server on the copy: it mends what was not in files yet, and ends. In a folder of its own: another's file in /tmp may not be
# written to, not even by root (fs.protected_regular).
serve() {
  rm -rf /tmp/server && mkdir /tmp/server && chown "$owner" /tmp/server && chown -R "$owner" "$copy" || return
  server=$(command -v mariadbd || command -v mysqld) || { echo 'no server in V1'"'"'s image' >&2; return 1; }
  "$server" "$@" >/tmp/said 2>&1 & pid=$!
}
stop() { kill -TERM "$pid" && wait "$pid"; }
# The mode of the folder is what its server gives one that it makes.
synced() { chown -R "$owner" "$copy" && chmod 750 "$copy" && sync -f "$copy"; }

at_work=
echo started
while read -r order words; do
  case $order in
    # The words are numbers and options of ours.
    files|again|backup|prepare|synced) { "$order" $words >/tmp/said 2>/tmp/why; } & at_work=$!; echo done ;;
    ended|copied)
      if kill -0 "$at_work" 2>/dev/null; then
        # To add them up takes its time where there are many files.
        if [ "$order" = copied ]; then printf 'at %s\n' "$(size)"; else echo 'at work'; fi
      elif wait "$at_work"; then echo done
      else failed; fi ;;
    position) if [ -s /tmp/position ]; then printf 'at %s\n' "$(tr '\t\n' '  ' < /tmp/position)"; else failed; fi ;;
    serve) answer serve "$@" ;;
    serves)
      if ! kill -0 "$pid" 2>/dev/null; then cat /tmp/said /tmp/server/log.err 2>/dev/null | tail -n 6 > /tmp/why; failed
      elif grep -q 'ready for connections' /tmp/server/log.err 2>/dev/null; then echo done
      else printf 'not yet: %s\n' "$(tail -n 1 /tmp/server/log.err 2>/dev/null)"; fi ;;
    stop) answer stop ;;
  esac
done
[ -z "$at_work" ] || kill "$at_work" 2>/dev/null
