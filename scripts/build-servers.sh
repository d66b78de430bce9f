#!/bin/sh
# build-servers.sh NAME… builds the servers that the end-to-end stories run against and prints the path of each,
# one a line. NAME is nats-server, versitygw or minio; go.mod and go.sum under e2e/servers pin their versions.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

[ $# -gt 0 ] || die "name the servers to build: nats-server, versitygw, minio"
for name; do
	case $name in
	nats-server) built "$name" e2e/servers github.com/nats-io/nats-server/v2 500 "half a minute" ;;
	versitygw) built "$name" e2e/servers github.com/versity/versitygw/cmd/versitygw 1000 "a minute" ;;
	minio) built "$name" e2e/servers/minio github.com/minio/minio 1500 "three minutes" ;;
	*) die "unknown server $name; known are nats-server, versitygw, minio" ;;
	esac
done
