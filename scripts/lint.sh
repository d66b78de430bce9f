#!/bin/sh
# lint.sh [ARGUMENT…] runs golangci-lint, at the version that tools/go.mod pins, with the arguments given;
# without any it lints the whole tree.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

linter=$(built golangci-lint tools github.com/golangci/golangci-lint/v2/cmd/golangci-lint 1000 "two minutes")
GOLANGCI_LINT_CACHE=${GOLANGCI_LINT_CACHE:-$(cache_dir)/golangci-lint}
export GOLANGCI_LINT_CACHE
cd -- "$root"
[ $# -gt 0 ] || set -- run ./...
exec "$linter" "$@"
