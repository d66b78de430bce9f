#!/bin/sh
# export-env.sh prints the path of a Python that has deploy/export/requirements.txt, making an environment for it in the cache the first time (some
# gigabytes, with PyTorch). PYTHON, when set, is taken as it is.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

if [ -n "${PYTHON:-}" ]; then
	command -v "$PYTHON" || die "PYTHON: there is no $PYTHON; set it to a Python that has deploy/export/requirements.txt"
	exit
fi
# shellcheck disable=SC2154 # root is set by lib.sh
pins=$root/deploy/export/requirements.txt
cache=$(cache_dir)
folder=$cache/export/$(sha256 "$pins" | cut -c1-12)
if [ ! -f "$folder/whole" ]; then
	mkdir -p -- "$cache/export"
	lock "$cache/export/.lock"
fi
if [ ! -f "$folder/whole" ]; then
	have python3 || die "there is no python3; install it (3.11 or newer), or set PYTHON"
	room "$cache" 9000
	say "installing what the export needs (PyTorch and its like: some gigabytes, once) …"
	rm -rf -- "$folder"
	if ! python3 -m venv "$folder" || ! "$folder/bin/pip" install --quiet --no-cache-dir --requirement "$pins" >&2; then
		die "the packages could not be installed (see above); behind a mirror, configure pip for it, or set PYTHON to a Python that has them"
	fi
	: >"$folder/whole"
fi
printf '%s\n' "$folder/bin/python"
