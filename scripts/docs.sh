#!/bin/sh
# docs.sh writes the tables of settings in docs/configuration.md anew, from the flags of the programs in bin/.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

cd -- "$root"
page=docs/configuration.md
for program in worker enqueue; do
	table=$(mktemp)
	new=$(mktemp)
	"bin/$program" help --format markdown >"$table"
	awk -v program="$program" -v table="$table" '
		$0 == "<!-- " program ": begin -->" {
			print
			while ((getline line < table) > 0) print line
			print ""
			inside = 1
		}
		$0 == "<!-- " program ": end -->" { inside = 0; found = 1 }
		!inside
		END { if (!found) exit 1 }
	' "$page" >"$new" || die "$page has no part for $program"
	cat -- "$new" >"$page"
	rm -f -- "$table" "$new"
done
