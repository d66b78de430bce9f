#!/bin/sh
# tenant.sh NAME prints permissions.conf for the queue with QUEUE_PREFIX=NAME: NAME_ENQUEUE and NAME_WORKER, for users NAME-enqueue and
# NAME-worker, with that queue's streams, subjects, buckets and inboxes.
set -eu
case ${1-} in
"" | *[!A-Za-z0-9_-]*)
	echo "tenant.sh: give it a queue prefix: letters, digits, _ and -" >&2
	exit 2
	;;
esac
variable=$(printf %s "$1" | tr 'a-z-' 'A-Z_')
sed -E \
	-e '/^ *#/d' -e '/^ADMIN/,/^}/d' \
	-e "s/^(ENQUEUE|WORKER)/${variable}_\1/" \
	-e "s/\.(JOBS|RESULTS|DEAD)([.\"])/.$1_\1\2/g" \
	-e "s/KV_(batches|attempts|models)/KV_$1_\1/g" \
	-e "s/\\\$KV\.(batches|attempts|models)/\$KV.$1_\1/g" \
	-e "s/([.\"])(jobs|results|dead|progress|status)\./\1$1.\2./g" \
	-e "s/_INBOX_/_INBOX_$1-/g" \
	"$(dirname -- "$0")/permissions.conf"
