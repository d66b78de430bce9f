#!/bin/sh
# fetch-ort.sh [--into DIR] prints the path of the ONNX Runtime library, fetching it into the cache the
# first time. With --into it also puts the library into DIR, under the name the binaries look for beside
# themselves: libonnxruntime.so (libonnxruntime.dylib on macOS).
#
# Version 1.28.0 is the last whose Linux and macOS builds contain no telemetry uploader. It comes out of
# the Python wheel, through pip, which needs no Python environment; where there is no pip, out of the npm
# package, whose only 1.28.0 is a preview built a month before the release. Whichever way it comes, its
# SHA-256 must be the one pinned here.
#
# ONNXRUNTIME_LIB, when set, is used as it is and nothing is fetched. ORT_PLATFORM, such as Linux-aarch64, fetches the
# library of another platform, for a release.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

version=1.28.0
npm_version=1.28.0-dev.20260624-ba45260eed

into=
case ${1:-} in
'') ;;
--into) into=${2:?"--into needs a folder"} ;;
*) die "unknown argument $1; usage: fetch-ort.sh [--into DIR]" ;;
esac

# For each platform: the wheel's platform tag and SHA-256, the library's name in it, the library's SHA-256;
# the library's path in the npm package and its SHA-256.
platform=${ORT_PLATFORM:-$(uname -s)-$(uname -m)}
name=libonnxruntime.so.$version
link=libonnxruntime.so
case $platform in
Linux-x86_64)
	wheel_tag=manylinux_2_27_x86_64
	wheel_sum=0a83bdb70d143cede762b677789bf2a7acca54b3fb82565601d5c30695aa933c
	sum=aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083
	npm_path=linux/x64/libonnxruntime.so.1
	npm_sum=444b9551a372fd4b7a0512f0cf2c7e4af626736689b4d1b35c0141e3ae43f445
	;;
Linux-aarch64 | Linux-arm64)
	wheel_tag=manylinux_2_27_aarch64
	wheel_sum=4e81a23df16e7acb9d51b06d30cc098e49315ef9180f97bc2221d167b4b04d9c
	sum=23a37c2994bc273e1d59a4f49af6cba5bf1cfbc29f04907ec27df375aba50a7d
	npm_path=linux/arm64/libonnxruntime.so.1
	npm_sum=8fb2ee185182ce0e14e61ac02ec82addcd18742c9b027cce337ce9bcd5fbc2fd
	;;
Darwin-arm64)
	name=libonnxruntime.$version.dylib
	link=libonnxruntime.dylib
	wheel_tag=macosx_14_0_arm64
	wheel_sum=26ff0fdd06efb6c155bae95387a09db1a2be89c7a03e4d0bffd5a171cc2826da
	sum=cadd9517e089d197e5d381bc31813875eb8addce8712bac501645fea8008800c
	npm_path=darwin/arm64/libonnxruntime.1.dylib
	npm_sum=6ba58a081f18b963ac6a95da9b3d6d85db718b16f80425407bea542c4fd184cb
	;;
*) wheel_tag= ;;
esac

# find_pip prints a command line that runs pip, if there is one that works.
find_pip() {
	for pip in "python3 -m pip" "python -m pip" pip3 pip; do
		# shellcheck disable=SC2086 # the words of the command
		if $pip --version >/dev/null 2>&1; then
			printf '%s\n' "$pip"
			return
		fi
	done
	return 1
}

# unpack ARCHIVE MEMBER FILE writes one member of a zip archive to FILE.
unpack() {
	if have unzip; then
		unzip -p "$1" "$2" >"$3"
	else
		python3 -c 'import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as src, open(sys.argv[3], "wb") as dst:
    shutil.copyfileobj(src, dst)' "$1" "$2" "$3"
	fi
}

# from_pip PIP and from_npm leave the library in $stage/library, and its licence beside it where it comes along.
from_pip() {
	printf 'onnxruntime==%s --hash=sha256:%s\n' "$version" "$wheel_sum" >"$stage/requirements.txt"
	# shellcheck disable=SC2086 # the words of the command
	$1 download --quiet --no-cache-dir --no-deps --only-binary=:all: --require-hashes \
		--implementation cp --python-version 3.12 --abi cp312 --platform "$wheel_tag" \
		--dest "$stage" --requirement "$stage/requirements.txt" >&2 &&
		unpack "$stage"/onnxruntime-*.whl "onnxruntime/capi/$name" "$stage/library" &&
		unpack "$stage"/onnxruntime-*.whl onnxruntime/LICENSE "$stage/LICENSE" &&
		unpack "$stage"/onnxruntime-*.whl onnxruntime/ThirdPartyNotices.txt "$stage/ThirdPartyNotices.txt"
}

from_npm() {
	(cd "$stage" && npm_config_cache="$stage/npm" npm pack --silent "onnxruntime-node@$npm_version" >/dev/null) &&
		tar -xOzf "$stage/onnxruntime-node-$npm_version.tgz" "package/bin/napi-v6/$npm_path" >"$stage/library"
}

# fetch TARGET SUM COMMAND… has COMMAND leave the library in the staging folder and, if its SHA-256 is SUM,
# renames it to TARGET. It returns false when COMMAND failed, so that another way can be tried.
fetch() {
	target=$1 want=$2
	shift 2
	# Everything temporary lies beside the result, so that one file system has to have the room.
	stage=$cache/onnxruntime/.fetch.$$
	trap 'rm -rf -- "$stage"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir -p -- "$stage" "$(dirname -- "$target")" || die "cannot write to $cache"
	if ! TMPDIR=$stage "$@"; then
		rm -rf -- "$stage"
		room "$cache" 200
		return 1
	fi
	got=$(sha256 "$stage/library")
	[ "$got" = "$want" ] ||
		die "the fetched library's SHA-256 is $got, pinned is $want; nothing was installed: check the package index or mirror in use"
	chmod 755 "$stage/library"
	for notice in LICENSE ThirdPartyNotices.txt; do
		[ ! -f "$stage/$notice" ] || mv -f -- "$stage/$notice" "$(dirname -- "$target")/$notice"
	done
	# The library comes last: where it is, all of it is.
	mv -f -- "$stage/library" "$target" || die "cannot write $target"
	rm -rf -- "$stage"
}

# locate sets $library, fetching it if the cache has none.
locate() {
	cache=$(cache_dir)
	wheel=$cache/onnxruntime/$version-$platform/$name
	preview=$cache/onnxruntime/$npm_version-$platform/$name
	library=$wheel
	[ ! -f "$wheel" ] || return 0
	[ -n "$wheel_tag" ] ||
		die "no ONNX Runtime $version is published for $platform; build it and set ONNXRUNTIME_LIB to the library"
	pip=$(find_pip) || pip=
	if [ -z "$pip" ] && [ -f "$preview" ]; then
		library=$preview
		return 0
	fi
	if have ldd && ldd --version 2>&1 | grep -q musl; then
		die "the published ONNX Runtime needs glibc 2.27 or newer and this system has musl; build it and set ONNXRUNTIME_LIB to the library"
	fi

	mkdir -p -- "$cache/onnxruntime" || die "cannot write to $cache; set STIPPLE_CACHE to a folder that can"
	lock "$cache/onnxruntime/.lock"
	[ ! -f "$wheel" ] || return 0
	room "$cache" 60
	if [ -n "$pip" ]; then
		say "fetching ONNX Runtime $version with $pip (19 MB, once) …"
		if fetch "$wheel" "$sum" from_pip "$pip"; then
			return 0
		fi
	fi
	library=$preview
	[ ! -f "$preview" ] || return 0
	if have npm; then
		room "$cache" 300
		say "fetching ONNX Runtime $npm_version with npm (102 MB, once) …"
		if fetch "$preview" "$npm_sum" from_npm; then
			return 0
		fi
	fi
	if [ -z "$pip" ] && ! have npm; then
		die "ONNX Runtime comes through pip or npm and neither is here; install one (python3-pip, say), or set ONNXRUNTIME_LIB to a library of version $version"
	fi
	die "ONNX Runtime could not be fetched (see above). Without a network, copy libonnxruntime of version $version here and set ONNXRUNTIME_LIB to it; behind a mirror, configure pip or npm for it"
}

# place DIR makes DIR/$link lead to $library: to a copy beside it when the library is ours; to the library
# itself when it was given, since its execution providers lie beside that one. A rename puts each name in
# place, so a process that has the old library open keeps it.
place() {
	mkdir -p -- "$1"
	if [ -n "${ONNXRUNTIME_LIB:-}" ]; then
		ln -sf -- "$library" "$1/.$link.$$"
	else
		if ! cmp -s -- "$library" "$1/$name"; then
			cp -- "$library" "$1/.$name.$$"
			mv -f -- "$1/.$name.$$" "$1/$name"
		fi
		ln -sf -- "$name" "$1/.$link.$$"
	fi
	mv -f -- "$1/.$link.$$" "$1/$link"
}

if [ -n "${ONNXRUNTIME_LIB:-}" ]; then
	[ -f "$ONNXRUNTIME_LIB" ] ||
		die "ONNXRUNTIME_LIB: $ONNXRUNTIME_LIB is no file; set it to the path of libonnxruntime, or unset it to have $version fetched"
	library=$(CDPATH='' cd -- "$(dirname -- "$ONNXRUNTIME_LIB")" && pwd)/${ONNXRUNTIME_LIB##*/}
else
	locate
fi
[ -z "$into" ] || place "$into"
printf '%s\n' "$library"
