#!/usr/bin/env bash
# Written to the contract of the official mariadb image: the tests named are made in their order, and all have to pass.
set -euo pipefail

datadir=/var/lib/mysql connected=''
defaults=()
# The entrypoint left the healthcheck user's password here.
[[ ! -f $datadir/.my-healthcheck.cnf ]] || defaults=("--defaults-extra-file=$datadir/.my-healthcheck.cnf")

client() { mariadb "${defaults[@]}" --skip-ssl --skip-ssl-verify-server-cert --batch --skip-column-names "$@"; }
ask() { client --protocol=socket --execute="$1"; }

# Whether others can connect: the temporary server during initialisation has no network. Whether this user may is no matter.
connect() {
  local answer
  answer=$(ask 'SELECT @@skip_networking' 2>/dev/null) ||
    answer=$(client --host=localhost --protocol=tcp --execute='SELECT @@skip_networking' 2>&1) || true
  case $answer in
    0 | *'ERROR 1'[0-9][0-9][0-9]' (28000)'* | *'ERROR 1820 '* | *'ERROR 4151 '* | *'ERROR 1226 '*) connected=yes ;;
    *) return 1 ;;
  esac
}

innodb_initialized() {
  [[ $(ask "SELECT 1 FROM information_schema.ENGINES WHERE engine = 'innodb' AND support IN ('YES', 'DEFAULT', 'ENABLED')") == 1 ]]
}

innodb_buffer_pool_loaded() {
  [[ $(ask "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_load_status'") == *'load completed'* ]]
}

# mariadb-upgrade holds a lock on this file while it runs.
mariadbupgrade() {
  local file
  for file in "$datadir"/{mariadb,mysql}_upgrade_info; do
    [[ ! -r $file ]] || flock --exclusive --nonblock 9 9<"$file" || return 1
  done
}

(($#)) || { echo 'At least one argument required' >&2; exit 1; }
while (($#)); do
  case $1 in
    --su-mysql) exec gosu mysql "${BASH_SOURCE[0]}" "${@:2}" ;;
    --su=*) exec gosu "${1#*=}" "${BASH_SOURCE[0]}" "${@:2}" ;;
    --datadir=*) datadir=${1#*=} ;;
    --no-defaults | --defaults-file=* | --defaults-extra-file=* | --defaults-group-suffix=*) defaults=("$1") ;;
    --connect | --innodb_initialized | --innodb_buffer_pool_loaded | --mariadbupgrade)
      "${1#--}" || { echo "healthcheck ${1#--} failed" >&2; exit 1; } ;;
    *) echo "Unknown healthcheck option $1" >&2; exit 1 ;;
  esac
  shift
done
# Success without a network would be the temporary server's.
[[ -n $connected ]] || connect
