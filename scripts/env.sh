#!/bin/sh
# env.sh [--ort] [--chromium] COMMAND… runs COMMAND with STIPPLE_CACHE set, with folders for the Go tool's own caches
# where the home directory offers none, with --ort with ONNXRUNTIME_LIB set, and with --chromium with E2E_CHROMIUM set
# (both fetched if need be).
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

STIPPLE_CACHE=$(cache_dir)
export STIPPLE_CACHE

if [ "${1:-}" = --ort ]; then
	shift
	ONNXRUNTIME_LIB=$("$root/scripts/fetch-ort.sh")
	export ONNXRUNTIME_LIB
fi

if [ "${1:-}" = --chromium ]; then
	shift
	E2E_CHROMIUM=$("$root/scripts/fetch-chromium.sh")
	export E2E_CHROMIUM
fi

have go || die "no Go in PATH; install Go 1.26 or newer"

# Without a home the Go tool answers "off" or nothing here, and would stop.
build=$(go env GOCACHE)
case $build in
/*) usable "$build" || build= ;;
*) build= ;;
esac
if [ -z "$build" ]; then
	export GOCACHE="$STIPPLE_CACHE/go-build"
fi
modules=$(go env GOMODCACHE)
case $modules in
/*) usable "$modules" || modules= ;;
*) modules= ;;
esac
if [ -z "$modules" ]; then
	export GOMODCACHE="$STIPPLE_CACHE/go-mod"
	[ -n "$(go env GOPATH)" ] || export GOPATH="$STIPPLE_CACHE/go"
fi

exec "$@"
