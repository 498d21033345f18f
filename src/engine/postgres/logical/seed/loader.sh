make() { empty "$data" ${log:+"$log"} && as_owner initdb -D "$data" -U "$super" ${log:+--waldir="$log"} "$@" >/tmp/said; }
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
    statistics)
      statistics() {
        name_of "$number"
        pg_dump --help | grep -q -- --statistics-only || return 0
        # Of V1 as it is now, which may have more than the copy: what cannot be had is analysed later.
        leader pg_dump --statistics-only --lock-wait-timeout=60s --no-sync -f "/tmp/$number.statistics" &&
          here psql -X -q -f "/tmp/$number.statistics" >/tmp/said
        rm -f "/tmp/$number.statistics"
      }
      answer statistics ;;
    stop)
      stop() { interrupt && as_owner initdb --sync-only -D "$data" >/tmp/said; }
      answer stop; exit 0 ;;
  esac
done
interrupt 2>/dev/null
