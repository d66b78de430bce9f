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
	}')
[ -n "$found" ] || die "no fuzzer found"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=
while read -r package name; do
	say "$package $name"
	# Minimizing an input that is only interesting may otherwise take all of the time.
	if go test -run '^$' -fuzz "^$name\$" -fuzztime "$duration" -fuzzminimizetime 10x "$package" >"$log" 2>&1 </dev/null; then
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
