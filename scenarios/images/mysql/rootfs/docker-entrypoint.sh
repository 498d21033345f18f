#!/usr/bin/env bash
# Written to the contract of the official mysql image, so that what is tested on this one holds for that one.
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

# All that the server would run with, and the check that it would run at all, before anything is touched.
read_configuration() {
  # The index elsewhere: even to be asked for help, a server run by root makes it, as root's.
  local ask=("$@" --verbose --help --log-bin-index="$(mktemp --dry-run)")
  configuration=$("${ask[@]}" 2>/dev/null) || fail "the server refuses its configuration: $("${ask[@]}" 2>&1 >/dev/null || true)"
}
configured() { awk -v name="$1" '$1 == name && /^[^ ]/ { sub(/^[^ ]+ +/, ""); print; exit }' <<<"$configuration"; }

prepare_directories() {
  local name directory directories=("$datadir")
  for name in socket pid-file general-log-file slow-query-log-file secure-file-priv; do
    directory=$(configured "$name")
    [[ $name == secure-file-priv ]] || directory=$(dirname "$directory")
    [[ $directory != /?* ]] || directories+=("$directory")
  done
  mkdir -p "${directories[@]}"
  # Only what is not his yet: a large data directory is not walked through twice.
  [[ $(id -u) != 0 ]] || find "${directories[@]}" ! -user mysql -exec chown --no-dereference mysql '{}' +
}

# Oracle's packages have the socket in the data directory; who copies a volume of theirs meets this link.
link_socket() { [[ $datadir/mysql.sock == "$socket" ]] || ln -sfT "$socket" "$datadir/mysql.sock" || true; }

refuse_unusable_settings() {
  [[ -n $MYSQL_ROOT_PASSWORD || -n ${MYSQL_ALLOW_EMPTY_PASSWORD-} || -n ${MYSQL_RANDOM_ROOT_PASSWORD-} ]] ||
    fail 'Database is uninitialized and password option is not specified: set one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD, MYSQL_RANDOM_ROOT_PASSWORD'
  [[ $MYSQL_USER != root ]] || fail 'MYSQL_USER is for a user other than root'
  [[ -z $MYSQL_USER || -n $MYSQL_PASSWORD ]] || log Warn 'MYSQL_USER specified, but missing MYSQL_PASSWORD; MYSQL_USER will not be created' >&2
  # Unreadable is better known now than with half a database made.
  ls /docker-entrypoint-initdb.d/ >/dev/null
}

# docker_process_sql is the name that scripts in /docker-entrypoint-initdb.d know.
docker_process_sql() {
  local options=''
  if [[ ${1-} == --dont-use-mysql-root-password ]]; then
    shift
  elif [[ -n $MYSQL_ROOT_PASSWORD ]]; then
    options=$(printf '[client]\npassword="%s"\n' "${MYSQL_ROOT_PASSWORD//\\/\\\\}")
  fi
  mysql --defaults-extra-file=<(echo "$options") --protocol=socket --user=root --host=localhost --socket="$socket" \
    --comments ${MYSQL_DATABASE:+"--database=$MYSQL_DATABASE"} "$@"
}

quoted() {
  local text=${1//\\/\\\\} quote=\'
  echo "'${text//$quote/$quote$quote}'"
}

make_accounts() {
  if [[ -n ${MYSQL_RANDOM_ROOT_PASSWORD-} ]]; then
    MYSQL_ROOT_PASSWORD=$(openssl rand -base64 24)
    log Note "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
  fi
  local password remote=''
  password=$(quoted "$MYSQL_ROOT_PASSWORD")
  if [[ $MYSQL_ROOT_HOST != localhost ]]; then
    remote="CREATE USER 'root'@'$MYSQL_ROOT_HOST' IDENTIFIED BY $password; GRANT ALL ON *.* TO 'root'@'$MYSQL_ROOT_HOST' WITH GRANT OPTION;"
  fi
  # Root is this server's own, and not in its binlog; what is made below is.
  docker_process_sql --dont-use-mysql-root-password --database=mysql <<SQL
    SET autocommit = 1;
    SET @@SESSION.SQL_LOG_BIN = 0;
    ALTER USER 'root'@'localhost' IDENTIFIED BY $password;
    GRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION;
    FLUSH PRIVILEGES;
    $remote
    DROP DATABASE IF EXISTS test;
SQL

  [[ -z $MYSQL_DATABASE ]] || docker_process_sql --database=mysql <<<"CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"
  if [[ -n $MYSQL_USER && -n $MYSQL_PASSWORD ]]; then
    docker_process_sql --database=mysql <<<"CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY $(quoted "$MYSQL_PASSWORD");"
    # An underscore stands for any character here, unless it is escaped.
    [[ -z $MYSQL_DATABASE ]] ||
      docker_process_sql --database=mysql <<<"GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO '$MYSQL_USER'@'%';"
  fi
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
      *.sql.bz2) log Note "$0: running $file"; bunzip2 -c "$file" | docker_process_sql ;;
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
  "$@" --initialize-insecure --default-time-zone=SYSTEM --autocommit=1

  log Note 'Starting temporary server'
  # Reachable over its socket only: nobody may take it for the server that is to come.
  "$@" --daemonize --skip-networking --default-time-zone=SYSTEM --socket="$socket" || fail 'Unable to start server.'
  link_socket
  if [[ -z ${MYSQL_INITDB_SKIP_TZINFO-} ]]; then
    # One file there holds this sentence where an abbreviation is expected.
    mysql_tzinfo_to_sql /usr/share/zoneinfo | sed 's/Local time zone must be set--see zic manual page/FCTY/' |
      docker_process_sql --dont-use-mysql-root-password --database=mysql
  fi
  make_accounts
  run_init_files
  [[ -z ${MYSQL_ONETIME_PASSWORD-} ]] || docker_process_sql --database=mysql <<<"ALTER USER 'root'@'%' PASSWORD EXPIRE;"

  log Note 'Stopping temporary server'
  # Over the socket the statement returns; the pid file goes when the server has.
  docker_process_sql --database=mysql <<<'SHUTDOWN'
  local pid_file
  pid_file=$(configured pid-file)
  while [[ -e $pid_file ]]; do sleep 0.1; done
  log Note 'MySQL init process done. Ready for start up.'
}

only_asks() {
  local argument
  for argument; do
    case $argument in '-?' | --help | --print-defaults | -V | --version) return 0 ;; esac
  done
  return 1
}

[[ ${1-} != -* ]] || set -- mysqld "$@"

if [[ ${1-} == mysqld ]] && ! only_asks "$@"; then
  log Note "Entrypoint script for MySQL Server $MYSQL_VERSION started."
  read_configuration "$@"
  datadir=$(configured datadir) socket=$(configured socket)
  prepare_directories
  if [[ $(id -u) == 0 ]]; then
    log Note "Switching to dedicated user 'mysql'"
    exec gosu mysql "${BASH_SOURCE[0]}" "$@"
  fi

  setting MYSQL_ROOT_HOST %
  for name in MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD MYSQL_ROOT_PASSWORD; do setting "$name"; done
  if [[ -d $datadir/mysql ]]; then link_socket; else initialise "$@"; fi
fi

exec "$@"
