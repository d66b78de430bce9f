#!/bin/sh
# rootfs.sh DIR FILE… makes DIR what an image FROM scratch needs to run FILES: the shared libraries they ask for and the loader, at their paths here;
# root certificates; /tmp; and of each Debian package that something comes from its record, by which scanners find known holes, and its licence.
set -eu
[ $# -ge 2 ] || {
	echo "rootfs.sh: name the folder to make and the programs and libraries that shall run in it" >&2
	exit 2
}
dir=$1
shift
mkdir -p "$dir/tmp" "$dir/etc/ssl/certs" "$dir/var/lib/dpkg/status.d"
chmod 1777 "$dir/tmp"

# package FILE records the package that FILE is of. Debian's records have some paths with the /usr that / leads to, and some without.
package() {
	for path in "$1" "/usr$1" "${1#/usr}"; do
		name=$(dpkg-query --search "$path" 2>/dev/null | head -n 1 | cut -d: -f1) || name=
		[ -z "$name" ] || break
	done
	[ -n "$name" ] || {
		echo "rootfs.sh: $1 is of no package" >&2
		exit 1
	}
	dpkg-query --status "$name" >"$dir/var/lib/dpkg/status.d/$name"
	mkdir -p "$dir/usr/share/doc/$name"
	cp -L "/usr/share/doc/$name/copyright" "$dir/usr/share/doc/$name/"
}

for file; do
	# A program without libraries is fine; one that lacks a library is not.
	needs=$(ldd "$file" 2>&1) || case $needs in
	*"not a dynamic executable"*) continue ;;
	*) needs="$needs not found" ;;
	esac
	case $needs in
	*"not found"*)
		printf 'rootfs.sh: %s cannot run here:\n%s\n' "$file" "$needs" >&2
		exit 1
		;;
	esac
	for library in $(printf '%s\n' "$needs" | grep -o '/[^ ]*'); do
		# Beside the program is where it comes along anyway.
		[ "${library%/*}" != "${file%/*}" ] && [ ! -e "$dir$library" ] || continue
		mkdir -p "$dir${library%/*}"
		cp -L "$library" "$dir$library"
		package "$library"
	done
done

cp -L /etc/ssl/certs/ca-certificates.crt "$dir/etc/ssl/certs/"
package /usr/sbin/update-ca-certificates
