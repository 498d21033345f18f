#!/usr/bin/env bash
# Written to the contract of the official postgres image, so that what is tested on this one holds for that one.
set -euo pipefail

fail() { printf 'Error: %s\n' "$1" >&2; shift; (($# == 0)) || printf '       %s\n' "$@" >&2; exit 1; }

# NAME or the content of the file NAME_FILE, never both.
setting() {
  local name=$1 file_name=$1_FILE
  if [[ -n ${!name-} && -n ${!file_name-} ]]; then fail "both $name and $file_name are set, but one excludes the other"; fi
  if [[ -n ${!file_name-} ]]; then export "$name=$(<"${!file_name}")"; else export "$name=${!name:-${2-}}"; fi
  unset "$file_name"
}

# Runs again as the server's user; whoever came with --user is that user already.
step_down() {
  mkdir -p "$PGDATA" /run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
  chmod 700 "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} || true
  chmod 3777 /run/postgresql || true
  # Only what is not his yet: a large data directory is not walked through twice.
  find "$PGDATA" /run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} ! -user postgres -exec chown postgres '{}' +
  exec gosu postgres "${BASH_SOURCE[0]}" "$@"
}

refuse_without_password() {
  [[ -z $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD-} != trust ]] || return 0
  fail 'the data directory is empty, and no password for the superuser is given.' \
    'Set POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) to a value that is not empty.' \
    'POSTGRES_HOST_AUTH_METHOD=trust lets everyone in without a password; do not use it where others can connect.'
}

# From 18 on the data directory lies one level deeper: an old mount point would silently get an empty database beside it.
refuse_misplaced_data() {
  ((PG_MAJOR >= 18)) || return 0
  if [[ -s /var/lib/postgresql/data/PG_VERSION ]] || grep -q ' /var/lib/postgresql/data ' /proc/self/mountinfo; then
    fail "in 18 and later the data directory is $PGDATA: mount the volume at /var/lib/postgresql, not at /var/lib/postgresql/data"
  fi
}

make_data_directory() {
  # initdb asks for the name of its user, which a uid given by --user need not have.
  if ! getent passwd "$(id -u)" >/dev/null; then
    local wrapper
    wrapper=$(find /usr/lib -name libnss_wrapper.so -print -quit)
    NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
    export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
    echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
  fi

  local arguments=()
  eval "arguments=($POSTGRES_INITDB_ARGS)"
  [[ -z ${POSTGRES_INITDB_WALDIR-} ]] || arguments+=("--waldir=$POSTGRES_INITDB_WALDIR")
  initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"

  if [[ -n ${NSS_WRAPPER_PASSWD-} ]]; then
    rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  fi

  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "$@")}" >>"$PGDATA/pg_hba.conf"
}

# docker_process_sql is the name that scripts in /docker-entrypoint-initdb.d know.
docker_process_sql() {
  local database=()
  [[ -z ${POSTGRES_DB-} ]] || database=(--dbname "$POSTGRES_DB")
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" "${database[@]}" "$@"
}

make_database() {
  local exists
  exists=$(docker_process_sql --dbname postgres -v db="$POSTGRES_DB" --tuples-only --no-align <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
  [[ -n $exists ]] || docker_process_sql --dbname postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
}

run_init_files() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) if [[ -x $file ]]; then echo "$0: running $file"; "$file"; else echo "$0: sourcing $file"; . "$file"; fi ;;
      *.sql) echo "$0: running $file"; docker_process_sql -f "$file" ;;
      *.sql.gz) echo "$0: running $file"; gunzip -c "$file" | docker_process_sql ;;
      *.sql.xz) echo "$0: running $file"; xzcat "$file" | docker_process_sql ;;
      *.sql.zst) echo "$0: running $file"; zstd -dc "$file" | docker_process_sql ;;
      '/docker-entrypoint-initdb.d/*') ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
}

initialise() {
  setting POSTGRES_PASSWORD
  setting POSTGRES_USER postgres
  setting POSTGRES_DB "$POSTGRES_USER"
  setting POSTGRES_INITDB_ARGS
  refuse_without_password
  refuse_misplaced_data
  # Unreadable to others even where the volume came with the mode of its mount point.
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA" || true
  make_data_directory "$@"

  # Reachable over its socket only: nobody may take it for the server that is to come.
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  local arguments
  arguments=$(printf '%q ' "$@" -c listen_addresses= -p "${PGPORT:-5432}")
  NOTIFY_SOCKET='' PGUSER="${PGUSER:-$POSTGRES_USER}" pg_ctl -D "$PGDATA" -o "$arguments" -w start
  make_database
  run_init_files
  PGUSER="${PGUSER:-$POSTGRES_USER}" pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

only_asks() {
  local argument
  for argument; do
    case $argument in '-?' | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

[[ ${1-} != -* ]] || set -- postgres "$@"

if [[ ${1-} == postgres ]] && ! only_asks "$@"; then
  [[ $(id -u) != 0 ]] || step_down "$@"
  if [[ -s $PGDATA/PG_VERSION ]]; then
    printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
  else
    initialise "${@:2}"
  fi
fi

exec "$@"
