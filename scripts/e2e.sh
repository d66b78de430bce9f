#!/bin/sh
# e2e.sh STORE [FLAG…] runs the end-to-end stories, with FLAGs for go test, on the binaries in bin/ against a
# nats-server and a store: versitygw or minio, processes the stories start and stop themselves, or containers,
# the services of deploy/e2e.compose.yaml, torn down afterwards. Their images are made of programs built here, FROM
# scratch, so that nothing is pulled. Where there is no container engine, `containers` runs the same stories against
# nats-server and MinIO as processes, and says so; E2E_ENGINE=docker (or podman) makes that a failure, and
# E2E_ENGINE=none chooses it. The last line says which it was.
#
# What the stories are told: E2E_BIN, the folder of the binaries; E2E_NATS_SERVER, E2E_STORE and
# E2E_STORE_SERVER, the kind of store and the programs to start; with containers, instead of the programs,
# NATS_URL, AWS_ENDPOINT_URL, the store's credentials, and E2E_COMPOSE, the command that stops and starts services.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

store=${1:?"e2e.sh versitygw|minio|containers [FLAG…]"}
shift
export E2E_BIN="$root/bin"
cd -- "$root"

# processes STORE names the programs that the stories start.
processes() {
	E2E_STORE=$1
	E2E_NATS_SERVER=$(scripts/build-servers.sh nats-server)
	E2E_STORE_SERVER=$(scripts/build-servers.sh "$1")
	export E2E_STORE E2E_NATS_SERVER E2E_STORE_SERVER
}

# find_engine prints the engine to use: docker, podman, or none. A client alone is no engine: its daemon has to answer, and it has to
# know compose.
find_engine() {
	case ${E2E_ENGINE:-} in
	none)
		echo none
		return
		;;
	'' | docker | podman) ;;
	*) die "E2E_ENGINE is $E2E_ENGINE; known are docker, podman and none" ;;
	esac
	for candidate in ${E2E_ENGINE:-docker podman}; do
		if "$candidate" info >/dev/null 2>&1 && "$candidate" compose version >/dev/null 2>&1; then
			echo "$candidate"
			return
		fi
	done
	[ -z "${E2E_ENGINE:-}" ] ||
		die "E2E_ENGINE is $E2E_ENGINE, and \`$E2E_ENGINE info\` or \`$E2E_ENGINE compose version\` fails; start it, install compose, or unset E2E_ENGINE"
	echo none
}

# containers starts broker and store, and says how the stories reach, stop and start them.
containers() {
	servers=$(cache_dir)/e2e-servers
	rm -rf -- "$servers"
	mkdir -p -- "$servers/data" "$servers/tmp"
	# Without a C library, for images without one.
	nats=$(CGO_ENABLED=0 built nats-server-static e2e/servers github.com/nats-io/nats-server/v2 500 "half a minute")
	minio=$(CGO_ENABLED=0 built minio-static e2e/servers/minio github.com/minio/minio 1500 "three minutes")
	cp -- "$nats" "$servers/nats-server"
	cp -- "$minio" "$servers/minio"
	cp -- deploy/servers.Dockerfile "$servers/"
	export E2E_STORE=containers E2E_SERVERS="$servers"
	# The stories stop and start the services by this.
	export E2E_COMPOSE="$engine compose --project-name stipple-e2e --file $root/deploy/e2e.compose.yaml"
	compose() { "$engine" compose --project-name stipple-e2e --file "$root/deploy/e2e.compose.yaml" "$@"; }
	trap 'compose down --volumes --remove-orphans >&2' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# Until they answer, the stories wait.
	compose up --build --detach >&2
	export NATS_URL="nats://127.0.0.1:${E2E_NATS_PORT:-4222}" AWS_ENDPOINT_URL="http://127.0.0.1:${E2E_MINIO_PORT:-9000}"
	export AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=stipple AWS_SECRET_ACCESS_KEY=stipple-secret
}

case $store in
versitygw | minio)
	ran="processes: nats-server and $store"
	processes "$store"
	;;
containers)
	engine=$(find_engine)
	if [ "$engine" = none ]; then
		ran="processes, since no container engine with compose runs here: nats-server and minio"
		say "no container engine with compose runs here (docker or podman): the same stories run against processes"
		processes minio
	else
		ran="containers of $engine: nats-server and minio"
		containers
	fi
	;;
*) die "unknown store $store; known are versitygw, minio, containers" ;;
esac

say "end-to-end stories against $ran"
# Never a remembered result: the stories run programs, which go test does not know they depend on.
go test -count=1 "$@" ./e2e
say "the end-to-end stories ran against $ran"
