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

failed=
while read -r package name; do
	say "$package $name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$duration" "$package" </dev/null || failed="$failed $package:$name"
done <<LIST
$found
LIST
[ -z "$failed" ] || die "failing:$failed"
