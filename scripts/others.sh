#!/bin/sh
# others.sh PACKAGE… -- COMMAND… runs COMMAND with the module's packages that were not named (the end-to-end
# stories apart) as further arguments.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

cd -- "$root"
named=
while [ "$1" != -- ]; do
	named="$named $1"
	shift
done
shift
# shellcheck disable=SC2086 # a list of packages
skip=$(go list $named ./e2e)
others=$(go list ./... | grep -vxF "$skip")
# shellcheck disable=SC2086 # a list of packages
exec "$@" $others
