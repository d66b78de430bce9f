#!/bin/sh
# chaos.sh [FLAG…] runs e2e/chaos on the binaries in bin/, with FLAGs for it (-h lists them), against a nats-server
# and the store that --store names: minio, unless it says otherwise, or versitygw.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

store=minio
previous=
for flag; do
	case $previous in --store) store=$flag ;; esac
	case $flag in --store=*) store=${flag#--store=} ;; esac
	previous=$flag
done
case $store in
minio | versitygw) ;;
*) die "unknown store $store; known are minio and versitygw" ;;
esac

cd -- "$root"
broker=$(scripts/build-servers.sh nats-server)
server=$(scripts/build-servers.sh "$store")
# As a program of its own, so that a signal reaches it and its exit code comes back.
program=$(mktemp)
trap 'rm -f "$program"' EXIT
go build -o "$program" ./e2e/chaos
"$program" --bin bin --nats-server "$broker" --store-server "$server" "$@"
