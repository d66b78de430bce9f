#!/bin/sh
# fetch-chromium.sh prints the path of the Chromium that the stories of the page drive, fetching one into the cache
# where the machine has none.
#
# CHROMIUM, when set, is used as it is; else a Chromium or Chrome in PATH; else, on Linux x86-64, a headless one out of
# the npm package @sparticuz/chromium, whose archive must have the SHA-256 pinned here, and which brings the libraries
# and fonts it needs; else Debian's, which apt-get fetches and checks, and which is unpacked into the cache without
# being installed. A browser that does not start is an error: no story is left out for want of one.
# shellcheck disable=SC2317 # fetch runs from_npm and from_apt, by their names
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

version=153.0.0
sum=20e5656fcdcf4118ede85edfb9d6bb9cc1bbb7ffb8b75622fffbcf36a835c3c0

[ $# -eq 0 ] || die "unknown argument $1; usage: fetch-chromium.sh"

# starts FILE holds if FILE is a browser that runs here.
starts() { "$1" --version >/dev/null 2>&1; }

# in_path prints the first browser in PATH that runs: in some systems such a name belongs to an installer.
in_path() {
	for name in chromium chromium-browser google-chrome google-chrome-stable chrome-headless-shell; do
		if file=$(command -v "$name") && starts "$file"; then
			printf '%s\n' "$file"
			return
		fi
	done
	return 1
}

# wrap PROGRAM FOLDER… writes ./chromium, which starts the program with the libraries in the folders, all of them below
# this one, and with the fonts in fonts/, beside those of the system.
wrap() {
	program=$1 libraries=
	shift
	for folder; do
		libraries=$libraries\$dir/$folder:
	done
	cat >fonts.conf <<'END'
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="relative">fonts/.cache</cachedir>
</fontconfig>
END
	cat >chromium <<END
#!/bin/sh
dir=\$(CDPATH='' cd -- "\$(dirname -- "\$0")" && pwd)
export LD_LIBRARY_PATH="${libraries%:}\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" FONTCONFIG_FILE="\$dir/fonts.conf"
exec "\$dir/$program" "\$@"
END
	chmod 755 chromium
}

# from_npm and from_apt leave the browser in the current folder, with ./chromium to start it.
from_npm() {
	npm_config_cache=$PWD/npm npm pack --silent "@sparticuz/chromium@$version" >/dev/null || return 1
	got=$(sha256 "sparticuz-chromium-$version.tgz")
	[ "$got" = "$sum" ] ||
		die "the SHA-256 of @sparticuz/chromium $version is $got, pinned is $sum; nothing was installed: check the package index or mirror in use"
	tar -xzf "sparticuz-chromium-$version.tgz" || return 1
	# Node comes with npm; a brotli of its own few machines have.
	for packed in package/bin/*.br; do
		node -e 'const fs = require("fs");
fs.createReadStream(process.argv[1]).pipe(require("zlib").createBrotliDecompress()).pipe(fs.createWriteStream(process.argv[2]));' \
			"$packed" "${packed%.br}" || return 1
	done
	mkdir browser || return 1
	for archive in package/bin/*.tar; do
		tar --no-same-owner -xf "$archive" -C browser || return 1
	done
	mv package/bin/chromium browser/headless && mv package/LICENSE browser/ || return 1
	chmod 755 browser/headless
	cd browser && wrap headless lib .
}

from_apt() {
	apt-get -qq update >&2 || say "apt-get update failed; going on with the lists that are there"
	mkdir packages browser || return 1
	# All that it needs, but for the C library, which has to be that of the system.
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances chromium |
		grep '^[a-z0-9]' | grep -Ev '^(libc6|libc-bin|libcrypt1|debconf|dpkg|perl-base|xdg-utils)(:|$)' | sort -u >needed
	[ -s needed ] || return 1
	# shellcheck disable=SC2046 # a list of names
	(cd packages && apt-get -qq download $(cat ../needed) >&2) || return 1
	for package in packages/*.deb; do
		dpkg-deb -x "$package" browser || return 1
	done
	mkdir -p browser/fonts
	cd browser || return 1
	triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
	wrap usr/lib/chromium/chromium "usr/lib/$triplet" "lib/$triplet" usr/lib/chromium
}

# fetch TARGET MEGABYTES COMMAND has COMMAND make the browser in a folder and renames that to TARGET. It returns false
# when the command failed, so that another way can be tried.
fetch() {
	target=$1 megabytes=$2
	shift 2
	# Everything temporary lies beside the result, so that one file system has to have the room.
	stage=$cache/.fetch.$$
	trap 'rm -rf -- "$stage"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	room "$cache" "$megabytes"
	mkdir -p -- "$stage" || die "cannot write to $cache"
	if ! made=$(cd -- "$stage" && export TMPDIR="$stage" && "$@" >&2 && pwd); then
		rm -rf -- "$stage"
		return 1
	fi
	starts "$made/chromium" ||
		die "the Chromium that was fetched does not start: $("$made/chromium" --version 2>&1 | tail -n 1); install one, or set CHROMIUM to its path"
	rm -rf -- "$target"
	mv -f -- "$made" "$target" || die "cannot write $target"
	rm -rf -- "$stage"
}

if [ -n "${CHROMIUM:-}" ]; then
	[ -x "$CHROMIUM" ] || die "CHROMIUM: $CHROMIUM is no program; set it to the path of a Chromium or Chrome, or unset it to have one found or fetched"
	starts "$CHROMIUM" || die "CHROMIUM: $CHROMIUM does not start: $("$CHROMIUM" --version 2>&1 | tail -n 1)"
	printf '%s\n' "$CHROMIUM"
	exit
fi
if in_path; then
	exit
fi

cache=$(cache_dir)/chromium
mkdir -p -- "$cache" || die "cannot write to $cache; set STIPPLE_CACHE to a folder that can"
npm_build=$cache/npm-$version
apt_build=$cache/apt
lock "$cache/.lock"
for build in "$npm_build" "$apt_build"; do
	if [ -x "$build/chromium" ]; then
		printf '%s\n' "$build/chromium"
		exit
	fi
done
if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] && have npm && have node; then
	say "fetching Chromium $version with npm (70 MB, once) …"
	if fetch "$npm_build" 700 from_npm; then
		printf '%s\n' "$npm_build/chromium"
		exit
	fi
fi
if have apt-get && have dpkg-deb; then
	say "fetching Debian's Chromium with apt-get (200 MB, once) …"
	if fetch "$apt_build" 1500 from_apt; then
		printf '%s\n' "$apt_build/chromium"
		exit
	fi
fi
die "no Chromium here, and none could be fetched (see above): it comes through npm on Linux x86-64, or through apt-get. Install one, or set CHROMIUM to its path"
