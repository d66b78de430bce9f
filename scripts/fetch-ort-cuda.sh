#!/bin/sh
# fetch-ort-cuda.sh prints the path of ONNX Runtime's library for CUDA, fetching it, its providers and NVIDIA's libraries into
# the cache the first time:
#
#	ONNXRUNTIME_LIB=$(make -s ort-cuda) PROVIDER=cuda bin/worker
#
# Versions and SHA-256 sums are those of the image (deploy/image/cuda.txt); pip checks them. NVIDIA's libraries lie in cuda/
# beside ONNX Runtime's, where the worker looks for them, so no LD_LIBRARY_PATH is needed. The driver is the host's own:
# 580 or newer. TensorRT is not among them: install it as NVIDIA says, where the system's search for libraries finds it.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

[ $# -eq 0 ] || die "unknown argument $1; usage: fetch-ort-cuda.sh"
pins=$root/deploy/image/cuda.txt
version=$(sed -n 's/^onnxruntime-gpu==\([^ ]*\).*/\1/p' "$pins")
[ -n "$version" ] || die "$pins pins no onnxruntime-gpu"
platform=$(uname -s)-$(uname -m)
[ "$platform" = Linux-x86_64 ] ||
	die "ONNX Runtime's build for CUDA is pinned for Linux on x86_64 alone, and this is $platform; build it and set ONNXRUNTIME_LIB to the library"

cache=$(cache_dir)
target=$cache/onnxruntime-cuda/$version-$(sha256 "$pins" | cut -c1-12)
library=$target/libonnxruntime.so.$version
if [ -f "$library" ]; then
	printf '%s\n' "$library"
	exit
fi

for python in python3 python; do
	! $python -m pip --version >/dev/null 2>&1 || break
	python=
done
[ -n "$python" ] || die "the libraries come through pip, and there is none; install it (python3-pip, say), or set ONNXRUNTIME_LIB to a library of your own"

mkdir -p -- "$cache/onnxruntime-cuda" || die "cannot write to $cache; set STIPPLE_CACHE to a folder that can"
lock "$cache/onnxruntime-cuda/.lock"
if [ -f "$library" ]; then # by who had the lock before
	printf '%s\n' "$library"
	exit
fi
room "$cache" 9000
# Everything temporary lies beside the result, so that one file system has to have the room.
stage=$cache/onnxruntime-cuda/.fetch.$$
trap 'rm -rf -- "$stage"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p -- "$stage/out/cuda"
say "fetching ONNX Runtime $version for CUDA, and NVIDIA's libraries (about 2 GB, once) …"
TMPDIR=$stage $python -m pip install --quiet --no-cache-dir --no-deps --no-compile --only-binary=:all: --require-hashes \
	--implementation cp --python-version 3.13 --abi cp313 --abi abi3 --abi none \
	--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 --platform manylinux1_x86_64 \
	--target "$stage/wheels" --requirement "$pins" >&2 ||
	die "the libraries could not be fetched (see above); behind a mirror, configure pip for it"

capi=$stage/wheels/onnxruntime/capi
for file in "libonnxruntime.so.$version" libonnxruntime_providers_shared.so libonnxruntime_providers_cuda.so libonnxruntime_providers_tensorrt.so; do
	mv -- "$capi/$file" "$stage/out/" || die "the wheel of ONNX Runtime $version has no $file"
done
ln -s "libonnxruntime.so.$version" "$stage/out/libonnxruntime.so"
for notice in LICENSE ThirdPartyNotices.txt; do
	mv -- "$stage/wheels/onnxruntime/$notice" "$stage/out/"
done
find "$stage/wheels/nvidia" -name '*.so.*' -exec mv -- {} "$stage/out/cuda/" ';'
mkdir -p -- "$stage/out/licenses"
for info in "$stage"/wheels/nvidia_*.dist-info; do
	[ ! -d "$info" ] || mv -- "$info" "$stage/out/licenses/"
done
# The folder's name comes last: where it is, all of it is.
rm -rf -- "$target"
mv -- "$stage/out" "$target"
printf '%s\n' "$library"
