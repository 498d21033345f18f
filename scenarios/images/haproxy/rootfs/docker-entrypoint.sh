#!/bin/sh
# Written to the contract of the official haproxy image: in the foreground, with a master process that SIGUSR2 reloads.
set -e
case ${1-} in -*) set -- haproxy "$@" ;; esac
if [ "${1-}" = haproxy ]; then
  shift
  set -- haproxy -W -db "$@"
fi
exec "$@"
