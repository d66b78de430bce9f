#!/bin/sh
# fuzz.sh DURATION [REGEXP] runs every fuzzer of the module, or those whose name matches REGEXP, for DURATION
# each. An input that fails one is left in the package's testdata/fuzz: commit it with the fix.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

duration=${1:?"fuzz.sh DURATION [REGEXP]"}
cd -- "$root"
# shellcheck disable=SC2016 # awk's $2, not the shell's
found=$(find . -name '.?*' -prune -o -path ./e2e/servers -prune -o -name '*_test.go' -print | sort |
	xargs awk -v want="${2:-.}" '/^func Fuzz[A-Za-z0-9_]*\(f \*testing\.F\)/ {
		name = substr($2, 1, index($2, "(") - 1)
		dir = FILENAME
		sub("/[^/]*$", "", dir)
		if (name ~ want) print dir, name
	}' | sort -s -k 1,1)
[ -n "$found" ] || die "no fuzzer found"

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
log=$scratch/log
corpora=$(go env GOCACHE)/fuzz
failed=
built=
while read -r package name; do
	say "$package $name"
	# One program for all fuzzers of a package: `go test -fuzz` would link it for each.
	if [ "$package" != "$built" ]; then
		go test -c -fuzz . -o "$scratch/fuzzers" "$package" </dev/null
		built=$package
		corpus=$corpora/$(go list "$package")
	fi
	# Minimizing an input that is only interesting may otherwise take all of the time.
	if (cd -- "$package" && exec "$scratch/fuzzers" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$duration" -test.fuzzminimizetime 10x \
		-test.fuzzcachedir "$corpus" -test.paniconexit0) >"$log" 2>&1 </dev/null; then
		tail -n 2 "$log"
	# The time ending while an input is minimized is told as a failure, but there is no failing input.
	elif grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		say "its time ended while an input was minimized: no failure"
	else
		cat "$log"
		failed="$failed $package:$name"
	fi
done <<LIST
$found
LIST
[ -z "$failed" ] || die "failing:$failed"
