#!/bin/sh
# e2e.sh STORE [FLAG…] runs the end-to-end stories, with FLAGs for go test, on the binaries in bin/ against a
# nats-server and a store: versitygw or minio, processes the stories start and stop themselves, or containers,
# the services of deploy/compose.yaml in a project of their own, which is torn down afterwards.
#
# What the stories are told: E2E_BIN, the folder of the binaries; E2E_NATS_SERVER, E2E_STORE and
# E2E_STORE_SERVER, the kind of store and the programs to start; with containers, instead of the programs,
# NATS_URL, AWS_ENDPOINT_URL, the store's credentials, and E2E_COMPOSE, the command that stops and starts services.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

store=${1:?"e2e.sh versitygw|minio|containers [FLAG…]"}
shift
export E2E_BIN="$root/bin" E2E_STORE="$store"
cd -- "$root"

case $store in
versitygw | minio)
	E2E_NATS_SERVER=$(scripts/build-servers.sh nats-server)
	E2E_STORE_SERVER=$(scripts/build-servers.sh "$store")
	export E2E_NATS_SERVER E2E_STORE_SERVER
	;;
containers)
	if docker compose version >/dev/null 2>&1; then
		engine=docker
	elif podman compose version >/dev/null 2>&1; then
		engine=podman
	else
		die "no container engine with compose here; install docker or podman, or run make e2e, which needs neither"
	fi
	export BROKER_CONF=nats.conf # without users: the stories look at everything
	# The stories stop and start the services by this.
	export E2E_COMPOSE="$engine compose --project-name stipple-e2e --file $root/deploy/compose.yaml"
	compose() { "$engine" compose --project-name stipple-e2e --file "$root/deploy/compose.yaml" "$@"; }
	trap 'compose down --volumes --remove-orphans >&2' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	compose up --build --detach --wait nats minio >&2
	export NATS_URL=nats://127.0.0.1:4222 AWS_ENDPOINT_URL=http://127.0.0.1:9000
	export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=stipple AWS_SECRET_ACCESS_KEY=stipple-secret
	;;
*) die "unknown store $store; known are versitygw, minio, containers" ;;
esac

say "end-to-end stories against nats-server and $store"
# Never a remembered result: the stories run programs, which go test does not know they depend on.
go test -count=1 "$@" ./e2e
