#!/bin/sh
# vulncheck.sh [PACKAGE…] looks for known vulnerabilities in what the programs call, Go's library included, with
# govulncheck at the version pinned here. Its database comes from vuln.go.dev, or from $GOVULNDB; where it cannot be
# reached nothing was checked, which is said, and is a failure.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

version=v1.9.0

cd -- "$root"
[ $# -gt 0 ] || set -- ./cmd/...
database=${GOVULNDB:-https://vuln.go.dev}
case $database in
file://*) ;;
*)
	# Asked beforehand, so that no network and a vulnerability cannot be taken for each other.
	if have curl && ! curl --silent --show-error --fail --location --max-time 20 --output /dev/null "$database/index/db.json"; then
		die "NOTHING WAS CHECKED: the vulnerability database at $database cannot be reached from here; try again with a network, or set GOVULNDB to a copy (file:///path)"
	fi
	;;
esac

folder=$(cache_dir)/programs
program=$folder/govulncheck-$version-$(go env GOVERSION)
if [ ! -x "$program" ]; then
	mkdir -p -- "$folder"
	say "building govulncheck $version (once) …"
	stage=$(mktemp -d)
	trap 'rm -rf -- "$stage"' EXIT
	GOBIN=$stage GOFLAGS=-mod=mod go install "golang.org/x/vuln/cmd/govulncheck@$version" ||
		die "govulncheck could not be built (see above); it needs the Go module proxy"
	mv -f -- "$stage/govulncheck" "$program"
fi
"$program" -db "$database" "$@"
