#!/bin/sh
# release.sh [--check] [PLATFORM…] builds the programs for PLATFORMs (linux_amd64 linux_arm64 darwin_arm64 darwin_amd64
# unless some are named), and packs each with ONNX Runtime, the licences of all that is linked, and a bill of materials:
# dist/stipple_<version>_<platform>.tar.gz, and dist/SHA256SUMS. With --check it does that twice, from empty caches of
# what it builds, and fails unless both make the same bytes.
#
# The version is $VERSION, else the tag of the commit, else one made of the commit. enqueue is pure Go and is built for all of
# them. worker and dev hold C (the binding of ONNX Runtime, which loads the library when it starts, and libwebp): for
# Linux it is compiled by zig, from the Python package index, against glibc 2.28, so that it runs wherever ONNX Runtime
# does. For macOS they are built on macOS alone, by its own compiler: Apple's frameworks may not be given away. There is
# no ONNX Runtime for Macs with Intel processors; their archive has enqueue.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

# zig's wheels: Linux on x86-64 and arm64, macOS likewise.
zig_version=0.15.2
zig_sums="806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130
edc0aa60ec964a4cf462d40f68d7de242ddf37fd9a80f2afaee6397059463230
47af4f85e3e59bd672126cc026d3a01b516cad24b9a9ea075abfe8532f4c6bc1
acae2a9ce67ed249ad68d42c21bc73b5f9d51a33ba5ea42f609f78683e8d9bb7"

check=
if [ "${1:-}" = --check ]; then
	check=1
	shift
fi
[ $# -gt 0 ] || set -- linux_amd64 linux_arm64 darwin_arm64 darwin_amd64
cd -- "$root"
cache=$(cache_dir)
dist=$root/dist
host=$(go env GOHOSTOS)_$(go env GOHOSTARCH)

commit=$(git rev-parse HEAD 2>/dev/null) || commit=
if [ -z "${VERSION:-}" ]; then
	[ -n "$commit" ] || die "no version control here: say which version this is, as in VERSION=v0.1.0"
	VERSION=$(git describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null) ||
		VERSION=v0.0.0-$(TZ=UTC git log -1 --date=format-local:%Y%m%d%H%M%S --format=%cd)-$(git rev-parse --short=12 HEAD)
	[ -z "$(git status --porcelain --untracked-files=no)" ] || VERSION=$VERSION+dirty
fi
info=github.com/stipple-ai/stipple/internal/buildinfo

# zig prints the program, which it fetches once with pip.
zig() {
	folder=$cache/zig/$zig_version-$(uname -s)-$(uname -m)
	if [ ! -x "$folder/ziglang/zig" ]; then
		python3 -m pip --version >/dev/null 2>&1 || die "compiling C for $1 takes zig, which comes through pip; install python3-pip, or name platforms that need none"
		room "$cache" 600
		say "fetching zig $zig_version with pip (80 MB, once) …"
		mkdir -p -- "$cache/zig"
		rm -rf -- "$folder.$$"
		{
			printf 'ziglang==%s' "$zig_version"
			for sum in $zig_sums; do printf ' --hash=sha256:%s' "$sum"; done
		} >"$cache/zig/requirements.txt"
		python3 -m pip install --quiet --no-cache-dir --no-deps --only-binary=:all: --require-hashes --root-user-action=ignore \
			--target "$folder.$$" --requirement "$cache/zig/requirements.txt" >&2 || die "zig could not be fetched (see above)"
		mv -f -- "$folder.$$" "$folder"
	fi
	printf '%s\n' "$folder/ziglang/zig"
}

# compile PLATFORM CGO PROGRAM… builds programs into $built/PLATFORM.
compile() {
	platform=$1 cgo=$2
	shift 2
	for program; do
		GOOS=${platform%_*} GOARCH=${platform#*_} CGO_ENABLED=$cgo go build -trimpath -buildvcs=false \
			-ldflags "-s -w -buildid= ${strip:-} -X $info.version=$VERSION -X $info.commit=$commit" \
			-o "$built/$platform/$program" "./cmd/$program"
	done
}

# runtime PLATFORM UNAME puts ONNX Runtime beside the programs.
runtime() {
	(
		unset ONNXRUNTIME_LIB
		ORT_PLATFORM=$2 scripts/fetch-ort.sh --into "$built/$1" >"$built/.library"
	)
	folder=$(dirname -- "$(cat -- "$built/.library")")
	rm -f -- "$built/.library"
	mkdir -p -- "$built/$1/onnxruntime"
	for notice in LICENSE ThirdPartyNotices.txt; do
		[ -f "$folder/$notice" ] || die "ONNX Runtime came without its $notice; a release takes it from the Python wheel: install pip"
		cp -- "$folder/$notice" "$built/$1/onnxruntime/$notice"
	done
}

# native PLATFORM builds what holds C, if this machine can, and says so if not.
native() {
	case $1 in
	linux_*)
		arch=x86_64
		[ "$1" = linux_amd64 ] || arch=aarch64
		zig=$(zig "$1")
		ZIG_GLOBAL_CACHE_DIR=${zigcache:-$cache/zig/cache} ZIG_LOCAL_CACHE_DIR=${zigcache:-$cache/zig/cache}
		export ZIG_GLOBAL_CACHE_DIR ZIG_LOCAL_CACHE_DIR
		# zig's own parts of the C library name folders of this machine in what is for debuggers; Go's -s leaves that there.
		strip="-extldflags=-Wl,--strip-all" CC="$zig cc -target $arch-linux-gnu.2.28" CGO_CFLAGS="-O2 -g0" compile "$1" 1 worker dev
		runtime "$1" "Linux-$arch"
		;;
	darwin_arm64)
		if [ "$host" != darwin_arm64 ]; then
			say "$1: worker and dev are built on a Mac alone; this archive has enqueue"
			return
		fi
		CGO_CFLAGS="-O2 -g0" compile "$1" 1 worker dev
		runtime "$1" Darwin-arm64
		;;
	darwin_amd64) say "$1: there is no ONNX Runtime for it; this archive has enqueue" ;;
	*) die "unknown platform $1; known are linux_amd64, linux_arm64, darwin_arm64, darwin_amd64" ;;
	esac
}

# release DIR PLATFORM… builds and packs everything into DIR.
release() {
	out=$1 built=$1/.built
	shift
	rm -rf -- "$out"
	for platform; do
		mkdir -p -- "$built/$platform"
		say "building $VERSION for $platform …"
		compile "$platform" 0 enqueue
		native "$platform"
		if [ -e "$built/$platform/dev" ]; then # which draws with it
			mkdir -p -- "$built/$platform/models"
			cp -R -- models/tiny-emoji "$built/$platform/models/"
			rm -rf -- "$built/$platform/models/tiny-emoji/train"
		fi
	done
	go run ./scripts/release pack --version "$VERSION" --built "$built" --out "$out" >&2
	rm -rf -- "$built"
}

release "$dist" "$@"
if [ -n "$check" ]; then
	again=$(mktemp -d)
	trap 'rm -rf -- "$again"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	GOCACHE=$again/go zigcache=$again/zig
	export GOCACHE
	say "building all of it again, from nothing …"
	release "$again/dist" "$@"
	cmp -- "$dist/SHA256SUMS" "$again/dist/SHA256SUMS" || die "two builds of the same tree differ: see the sums above"
	say "both builds are the same"
fi
say "the archives and SHA256SUMS lie in $dist"
