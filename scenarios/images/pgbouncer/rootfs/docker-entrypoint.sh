#!/bin/sh
# There is no official image; like the usual ones it takes a configuration that was mounted, of which it makes its own copy:
# the container may change its file, and the mount stays as it is.
set -e
if [ -d /configuration ] && [ ! -e /etc/pgbouncer/.copied ]; then
  cp /configuration/* /etc/pgbouncer/
  touch /etc/pgbouncer/.copied
fi
exec "$@"
