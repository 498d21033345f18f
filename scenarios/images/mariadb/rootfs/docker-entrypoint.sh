#!/usr/bin/env bash
# Written to the contract of the official mariadb image, so that what is tested on this one holds for that one.
set -euo pipefail
shopt -s nullglob

log() { printf '%s [%s] [Entrypoint]: %s\n' "$(date --rfc-3339=seconds)" "$1" "$2"; }
fail() { log ERROR "$1" >&2; exit 1; }

# NAME or the content of the file NAME_FILE, never both.
setting() {
  local name=$1 file_name=$1_FILE
  if [[ -n ${!name-} && -n ${!file_name-} ]]; then fail "both $name and $file_name are set, but one excludes the other"; fi
  if [[ -n ${!file_name-} ]]; then export "$name=$(<"${!file_name}")"; else export "$name=${!name:-${2-}}"; fi
  unset "$file_name"
}

# Under either name, MARIADB_ first; scripts find it under both.
setting_of_either() {
  local old=MYSQL_$1 new=MARIADB_$1
  setting "$old" "${2-}"
  setting "$new" "${!old}"
  export "$old=${!new}"
}

# All that the server would run with, and the check that it would run at all, before anything is touched.
read_configuration() {
  configuration=$("$@" --verbose --help 2>/dev/null) ||
    fail "the server refuses its configuration: $("$@" --verbose --help 2>&1 >/dev/null || true)"
}
configured() { awk -v name="$1" '$1 == name && /^[^ ]/ { sub(/^[^ ]+ +/, ""); print; exit }' <<<"$configuration"; }

prepare_directories() {
  mkdir -p "$datadir"
  [[ $(id -u) == 0 ]] || return 0
  # Only what is not his yet: a large data directory is not walked through twice.
  find "$datadir" ! -user mysql -exec chown mysql: '{}' +
  find "$(dirname "$socket")" -maxdepth 0 ! -user mysql -exec chown mysql: '{}' +
}

read_settings() {
  local name
  setting_of_either ROOT_HOST %
  for name in DATABASE USER PASSWORD ROOT_PASSWORD; do setting_of_either "$name"; done
  export MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=${MARIADB_ALLOW_EMPTY_ROOT_PASSWORD:-${MYSQL_ALLOW_EMPTY_PASSWORD-}}
  export MARIADB_RANDOM_ROOT_PASSWORD=${MARIADB_RANDOM_ROOT_PASSWORD:-${MYSQL_RANDOM_ROOT_PASSWORD-}}
  export MARIADB_INITDB_SKIP_TZINFO=${MARIADB_INITDB_SKIP_TZINFO:-${MYSQL_INITDB_SKIP_TZINFO-}}
}

refuse_unusable_settings() {
  [[ -n $MARIADB_ROOT_PASSWORD || -n $MARIADB_ALLOW_EMPTY_ROOT_PASSWORD || -n $MARIADB_RANDOM_ROOT_PASSWORD ]] ||
    fail 'Database is uninitialized and password option is not specified: set one of MARIADB_ROOT_PASSWORD, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD, MARIADB_RANDOM_ROOT_PASSWORD'
  # Unreadable is better known now than with half a database made.
  ls /docker-entrypoint-initdb.d/ >/dev/null
}

# docker_process_sql is the name that scripts in /docker-entrypoint-initdb.d know.
docker_process_sql() {
  local password=$MARIADB_ROOT_PASSWORD
  if [[ ${1-} == --dont-use-mysql-root-password ]]; then shift; password=''; fi
  MYSQL_PWD=$password mariadb --protocol=socket --user=root --host=localhost --socket="$socket" \
    ${MARIADB_DATABASE:+"--database=$MARIADB_DATABASE"} "$@"
}

# Reachable over its socket only: nobody may take it for the server that is to come.
start_temporary() {
  log Note 'Starting temporary server'
  "$@" --skip-networking --default-time-zone=SYSTEM --socket="$socket" --wsrep_on=OFF --expire-logs-days=0 \
    --loose-innodb_buffer_pool_load_at_startup=0 &
  temporary=$!
  until docker_process_sql --dont-use-mysql-root-password --database=mysql <<<'SELECT 1' >/dev/null 2>&1; do
    kill -0 "$temporary" 2>/dev/null || fail 'Unable to start server.'
    sleep 0.1
  done
}

stop_temporary() {
  log Note 'Stopping temporary server'
  kill "$temporary"
  wait "$temporary"
}

quoted() {
  local text=${1//\\/\\\\} quote=\'
  echo "'${text//$quote/$quote$quote}'"
}

# The statements that make the user of healthcheck.sh, whose password stays in the data directory.
healthcheck_users() {
  local password host
  password=$(pwgen --numerals --capitalize --symbols --remove-chars="=#'\\" -1 32)
  for host in 127.0.0.1 ::1 localhost; do
    echo "CREATE USER IF NOT EXISTS healthcheck@'$host' IDENTIFIED BY '$password';"
    echo "SET PASSWORD FOR healthcheck@'$host' = PASSWORD('$password');"
    echo "GRANT ${MARIADB_HEALTHCHECK_GRANTS:-USAGE} ON *.* TO healthcheck@'$host';"
  done
  (umask 077; printf '[mariadb-client]\nport=%s\nsocket=%s\nuser=healthcheck\npassword=%s\nprotocol=tcp\n' \
    "$(configured port)" "$socket" "$password" >"$datadir/.my-healthcheck.cnf")
}

make_accounts() {
  if [[ -n $MARIADB_RANDOM_ROOT_PASSWORD ]]; then
    MARIADB_ROOT_PASSWORD=$(pwgen --numerals --capitalize --symbols --remove-chars="'\\" -1 32)
    export MYSQL_ROOT_PASSWORD=$MARIADB_ROOT_PASSWORD
    log Note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
  fi
  local password remote='' database='' user=''
  password=$(quoted "$MARIADB_ROOT_PASSWORD")
  if [[ $MARIADB_ROOT_HOST != localhost ]]; then
    remote="CREATE USER 'root'@'$MARIADB_ROOT_HOST' IDENTIFIED BY $password;
      GRANT ALL ON *.* TO 'root'@'$MARIADB_ROOT_HOST' WITH GRANT OPTION;
      GRANT PROXY ON ''@'%' TO 'root'@'$MARIADB_ROOT_HOST' WITH GRANT OPTION;"
  fi
  [[ -z $MARIADB_DATABASE ]] || database="CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;"
  if [[ -n $MARIADB_USER && -n $MARIADB_PASSWORD ]]; then
    user="CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY $(quoted "$MARIADB_PASSWORD");"
    # An underscore stands for any character here, unless it is escaped.
    [[ -z $MARIADB_DATABASE ]] || user+="GRANT ALL ON \`${MARIADB_DATABASE//_/\\_}\`.* TO '$MARIADB_USER'@'%';"
  fi

  # Root and the healthcheck are this server's own, and not in its binlog; the rest is.
  docker_process_sql --dont-use-mysql-root-password --database=mysql --binary-mode <<SQL
    SET @sql_log_bin = @@SESSION.SQL_LOG_BIN;
    SET @@SESSION.SQL_LOG_BIN = 0;
    SET @@SESSION.SQL_MODE = REPLACE(@@SESSION.SQL_MODE, 'NO_BACKSLASH_ESCAPES', '');
    DROP USER IF EXISTS root@'127.0.0.1', root@'::1';
    EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@\'', @@hostname, '\'');
    SET PASSWORD FOR 'root'@'localhost' = PASSWORD($password);
    $remote
    $(healthcheck_users)
    SET @@SESSION.SQL_LOG_BIN = @sql_log_bin;
    $database
    $user
SQL
}

run_init_files() {
  local file mysql=(docker_process_sql)
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        if [[ -x $file ]]; then
          log Note "$0: running $file"; "$file"
        else
          # The official entrypoint runs without nounset, and so do the scripts written for it.
          log Note "$0: sourcing $file"; set +u; . "$file"; set -u
        fi ;;
      *.sql) log Note "$0: running $file"; docker_process_sql <"$file" ;;
      *.sql.gz) log Note "$0: running $file"; gunzip -c "$file" | docker_process_sql ;;
      *.sql.xz) log Note "$0: running $file"; xzcat "$file" | docker_process_sql ;;
      *.sql.zst) log Note "$0: running $file"; zstd -dc "$file" | docker_process_sql ;;
      *) log Warn "$0: ignoring $file" >&2 ;;
    esac
  done
}

initialise() {
  refuse_unusable_settings
  log Note 'Initializing database files'
  # mariadb-install-db cannot take what has a space in it.
  local argument arguments=()
  for argument in "${@:2}"; do [[ $argument == *[[:space:]]* ]] || arguments+=("$argument"); done
  # Debian's default is a root that only the system's root can be; the official image's has a password.
  mariadb-install-db --datadir="$datadir" --rpm --auth-root-authentication-method=normal "${arguments[@]}" \
    --skip-test-db --default-time-zone=SYSTEM --enforce-storage-engine= --skip-log-bin --expire-logs-days=0 \
    --loose-innodb_buffer_pool_load_at_startup=0 --loose-innodb_buffer_pool_dump_at_shutdown=0

  start_temporary "$@"
  if [[ -z $MARIADB_INITDB_SKIP_TZINFO ]]; then
    mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo | docker_process_sql --dont-use-mysql-root-password --database=mysql
  fi
  make_accounts
  run_init_files
  stop_temporary
  log Note 'MariaDB init process done. Ready for start up.'
}

# Says which version's the data is. It got its present name in 11.0, so data from before has none of that name.
upgrade_info() {
  if [[ $MARIADB_VERSION == *:10.* ]]; then echo "$datadir/mysql_upgrade_info"; else echo "$datadir/mariadb_upgrade_info"; fi
}

# Between patch releases there is nothing to upgrade.
needs_upgrade() {
  local new old
  new=$(cut -d . -f 1,2 <<<"${MARIADB_VERSION#*:}")
  old=$(cut -d . -f 1,2 "$(upgrade_info)" 2>/dev/null) || return 0
  [[ $old != "$new" && $(printf '%s\n' "$old" "$new" | sort --version-sort | head -n 1) == "$old" ]] ||
    [[ ! -f $datadir/.my-healthcheck.cnf ]]
}

upgrade() {
  if [[ ${MARIADB_AUTO_UPGRADE:-0} == 0 ]]; then
    log Note "MariaDB upgrade (mariadb-upgrade or creating healthcheck users) required, but skipped due to \$MARIADB_AUTO_UPGRADE setting"
    return 0
  fi
  # Nobody knows root's password here.
  local arguments=("$@" --skip-grant-tables --loose-innodb_buffer_pool_dump_at_shutdown=0 --skip-slave-start)
  start_temporary "${arguments[@]}"
  if [[ ${MARIADB_DISABLE_UPGRADE_BACKUP-} != 1 ]]; then
    local old
    old=$(cat "$(upgrade_info)" 2>/dev/null) || old=unknown_version
    log Note "Backing up system database to system_mysql_backup_$old.sql.zst"
    mariadb-dump --skip-lock-tables --replace --databases mysql --socket="$socket" | zstd >"$datadir/system_mysql_backup_$old.sql.zst" ||
      fail "Unable backup system database for upgrade from $old."
  fi
  if [[ ! -f $datadir/.my-healthcheck.cnf ]]; then
    log Note 'Creating healthcheck users'
    # With the accounts read again the server asks for passwords, so the upgrade needs another.
    docker_process_sql --dont-use-mysql-root-password --database=mysql --binary-mode <<<"SET @@SESSION.SQL_LOG_BIN = 0; FLUSH PRIVILEGES; $(healthcheck_users)"
    stop_temporary
    needs_upgrade || return 0
    start_temporary "${arguments[@]}"
  fi
  log Note 'Starting mariadb-upgrade'
  mariadb-upgrade --upgrade-system-tables --socket="$socket"
  log Note 'Finished mariadb-upgrade'
  stop_temporary
}

only_asks() {
  local argument
  for argument; do
    case $argument in '-?' | --help | --print-defaults | -V | --version) return 0 ;; esac
  done
  return 1
}

if [[ ${1-} == -* ]]; then
  if [[ $MARIADB_VERSION == *:10.5.* ]]; then set -- mysqld "$@"; else set -- mariadbd "$@"; fi
fi

if [[ ${1-} == mariadbd || ${1-} == mysqld ]] && ! only_asks "$@"; then
  log Note "Entrypoint script for MariaDB Server $MARIADB_VERSION started."
  read_configuration "$@"
  datadir=$(configured datadir) socket=$(configured socket)
  prepare_directories
  if [[ $(id -u) == 0 ]]; then
    log Note "Switching to dedicated user 'mysql'"
    exec gosu mysql "${BASH_SOURCE[0]}" "$@"
  fi

  read_settings
  if [[ ! -d $datadir/mysql ]]; then
    initialise "$@"
  elif needs_upgrade; then
    upgrade "$@"
  fi
fi

exec "$@"
