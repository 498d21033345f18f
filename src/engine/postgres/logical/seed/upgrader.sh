# Shared libraries that the leader's programs need and this image lacks. All of them would break this image's own programs.
lacking() {
  for program in postgres pg_ctl pg_dump; do ldd "$old/$program" 2>&1; done |
    sed -n -e 's/^[[:space:]]*\(.*\) => not found.*/\1/p' -e 's/^Error loading shared library \([^:]*\):.*/\1/p' | sort -u
}
libraries() {
  old=$programs$(cat "$programs/bin") || return
  [ ! -d "$programs/lacking" ] || return 0
  empty "$programs/lacking" && chmod 755 "$programs" "$programs/lacking" || return
  more=yes
  while [ -n "$more" ]; do
    more=
    for library in $(lacking); do
      if [ ! -e "$programs/lacking/$library" ] && [ -e "$programs/libraries/$library" ]; then
        cp "$programs/libraries/$library" "$programs/lacking" || return
        more=yes
      fi
    done
  done
  "$old/postgres" --version >/tmp/said || { echo "V1's programs do not run in V2's image" >&2; return 1; }
}
# Made once and used twice, as long as all of it is in one place.
first() { [ -n "$log" ] || { empty "$new-first" && with /tmp/init as_owner initdb -D "$new-first" -U "$super" >/tmp/said; }; }
fresh() {
  empty "$new" || return
  if [ -z "$log" ]; then cp -a "$new-first/." "$new/"
  else empty "$log" && with /tmp/init as_owner initdb -D "$new" -U "$super" --waldir="$log" >/tmp/said; fi
}
# Files of the one cluster can be the other's: nothing is copied then.
mode() {
  : > "$copy/switchover.link"
  if [ -n "$swap" ]; then echo --swap
  elif ln "$copy/switchover.link" "$new/switchover.link" 2>/dev/null; then echo --link
  else echo --copy; fi
  rm -f "$copy/switchover.link" "$new/switchover.link"
}
why() {
  grep -iE 'fail|fatal|error|could not|refuse|must|cannot' /tmp/upgraded | tail -n 2 >&2
  find "$new" /tmp/upgrade -name '*.log' -exec grep -hE 'ERROR|FATAL|PANIC|No space left' {} + 2>/dev/null | tail -n 3 >&2
  find "$new/pg_upgrade_output.d" /tmp/upgrade -name '*.txt' -exec head -n 5 {} \; 2>/dev/null | tail -n 4 >&2
  return 1
}
upgrade() {
  (
    LD_LIBRARY_PATH=$programs/lacking
    export LD_LIBRARY_PATH
    libraries && fresh || exit
    cat /switchover.conf > "$new/postgresql.auto.conf"
    empty /tmp/upgrade && cd /tmp/upgrade || exit
    unset PGPASSFILE
    as_owner pg_upgrade -b "$old" -B "$(dirname "$(readlink -f "$(command -v postgres)")")" -d "$copy" -D "$new" -U "$super" \
      --socketdir=/tmp --jobs="$jobs" "$(mode)" $nosync >/tmp/upgraded 2>&1 || why
  )
}
# The new cluster takes its place, and nothing of the old one stays.
place() {
  major=$(cat "$copy/PG_VERSION") && rm -rf "$copy" "$programs" "$new-first" || return
  while IFS= read -r space; do [ "$major" = "$(cat "$new/PG_VERSION")" ] || rm -rf "$space/PG_${major}_"*; done < /tmp/spaces
  mkdir -p "$data" && find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$data" \; && rmdir "$new" && rm -rf "$data"/pg_upgrade_output.d &&
    chown "$owner" "$data" && chmod 700 "$data"
}
interrupt() { read -r pid < "$data/postmaster.pid" && kill -INT "$pid" && wait "$server"; }
server=
echo started
while read -r order; do
  case $order in
    first) answer first ;;
    upgrade) answer upgrade ;;
    serve)
      serve() { place && cat /switchover.hba > "$data/pg_hba.conf" && { with /tmp/server as_owner postgres -D "$data" >/tmp/log 2>&1 & server=$!; }; }
      answer serve ;;
    stop)
      stop() { interrupt && as_owner initdb --sync-only -D "$data" >/tmp/said; }
      answer stop; exit 0 ;;
  esac
done
[ -z "$server" ] || interrupt 2>/dev/null
