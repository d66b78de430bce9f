# shellcheck shell=sh
# Functions the scripts share. Sourced, never run; POSIX sh.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

# say TEXT… tells a person what goes on; standard output stays for results.
say() { printf '%s\n' "$*" >&2; }

# die TEXT… says why nothing more can be done and what would help.
die() {
	say "${0##*/}: $*"
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# usable DIR makes DIR and holds if files can be made in it.
usable() { mkdir -p -- "$1" 2>/dev/null && [ -w "$1" ] && [ -x "$1" ]; }

# cache_dir prints the folder for everything that is fetched or built once: $STIPPLE_CACHE, else
# stipple/ in the user's cache, else (a home that is absent or cannot be written) .cache in the tree.
cache_dir() {
	if [ -n "${STIPPLE_CACHE:-}" ]; then
		case $STIPPLE_CACHE in
		/*) dir=$STIPPLE_CACHE ;;
		*) dir=$root/$STIPPLE_CACHE ;;
		esac
		usable "$dir" || die "STIPPLE_CACHE: cannot write to $dir; set it to a folder that can be written, or unset it"
		printf '%s\n' "$dir"
		return
	fi
	for base in "${XDG_CACHE_HOME:-}" "${HOME:+$HOME/.cache}"; do
		case $base in
		/*) ;;
		*) continue ;;
		esac
		if usable "$base/stipple"; then
			printf '%s\n' "$base/stipple"
			return
		fi
	done
	usable "$root/.cache" ||
		die "no folder to keep fetched files in: neither the home directory nor $root can be written; set STIPPLE_CACHE to a folder that can"
	printf '%s\n' "$root/.cache"
}

# sha256 FILE prints its SHA-256 in hex.
sha256() {
	if have sha256sum; then
		sha256sum -- "$1" | cut -d' ' -f1
	elif have shasum; then
		shasum -a 256 -- "$1" | cut -d' ' -f1
	else
		openssl dgst -sha256 -r "$1" | cut -d' ' -f1
	fi
}

# lock FILE waits until no other process holds FILE; it is let go when the script ends, however it ends.
# Without flock(1), as on macOS, two runs at once do the work twice: each result is put in place by
# a rename, so it is whole either way.
lock() {
	exec 9>"$1" || die "cannot write $1; set STIPPLE_CACHE to a folder that can"
	if have flock; then
		flock 9
	fi
}

# room DIR MEGABYTES fails with a message when the file system of DIR has less than that free.
room() {
	free=$(df -Pk -- "$1" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
	if [ -n "$free" ] && [ "$free" -lt "$2" ]; then
		die "$1 has $free MB free and $2 MB are needed; make room, or set STIPPLE_CACHE to a folder elsewhere"
	fi
}

# built NAME DIR PACKAGE MEGABYTES WAIT prints the path of the program NAME, built from PACKAGE in the Go module
# at $root/DIR. It is built once for each state of the module's pins and each Go release, and kept in the cache;
# MEGABYTES is what building takes, WAIT about how long.
built() {
	dir=$root/$2
	folder=$(cache_dir)/programs
	key=$(
		set -e
		cat -- "$dir/go.mod" "$dir/go.sum"
		go env GOVERSION GOOS GOARCH
	) || die "cannot tell the version of $1; is Go in PATH, and $2 whole?"
	key=$(printf '%s' "$key" | sha256 /dev/stdin | cut -c1-12)
	program=$folder/$1-$key
	if [ ! -x "$program" ]; then
		mkdir -p -- "$folder" || die "cannot write to $folder; set STIPPLE_CACHE to a folder that can"
		(
			lock "$folder/.$1.lock"
			[ ! -x "$program" ] || exit 0
			room "$folder" "$4"
			say "building $1 ($5, once) …"
			if ! (cd -- "$dir" && go build -ldflags '-s -w' -o "$program.$$" "$3"); then
				rm -f -- "$program.$$"
				die "building $1 failed (see above); it needs the Go module proxy, and $4 MB for its binary and the Go build cache"
			fi
			mv -f -- "$program.$$" "$program"
		) || exit 1
	fi
	printf '%s\n' "$program"
}
