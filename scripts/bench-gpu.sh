#!/bin/sh
# bench-gpu.sh measures stipple beside PyTorch diffusers on one card: deploy/export/gpubench.py, docs/gpu.md.
#
#	make bench-gpu                          # SD 1.5 at 512², SDXL at 1024², Turbo at 512² (needs an NVIDIA GPU)
#	make bench-gpu DEVICE=cpu SIZE=tiny     # tiny models on a CPU: that it works, not how fast it is
#
# Python's packages (deploy/export/requirements.txt, some gigabytes with PyTorch) go into an environment in the cache, once; PYTHON, when set, is used as it
# is. More flags of gpubench.py go behind: make bench-gpu BENCHGPU='--models turbo --rows 8,16'.
set -eu
# shellcheck source=scripts/lib.sh
. "$(dirname -- "$0")/lib.sh"

device=${DEVICE:-cuda}
size=${SIZE:-full}
# shellcheck disable=SC2154 # root is set by lib.sh
python=$("$root/scripts/export-env.sh")
cache=$(cache_dir)
case $device in
cuda)
	have nvidia-smi || die "there is no nvidia-smi, and so no NVIDIA GPU here; make bench-gpu DEVICE=cpu SIZE=tiny shows that the rest works"
	ONNXRUNTIME_LIB=${ONNXRUNTIME_LIB:-$("$root/scripts/fetch-ort-cuda.sh")}
	;;
cpu) ONNXRUNTIME_LIB=${ONNXRUNTIME_LIB:-$("$root/scripts/fetch-ort.sh")} ;;
*) die "DEVICE is $device; want cuda or cpu" ;;
esac
export ONNXRUNTIME_LIB
unset DEVICE SIZE # a DEVICE of the worker's is a number
bin=$cache/bench-gpu/bin
mkdir -p -- "$bin"
(cd -- "$root" && go build -o "$bin/worker" ./cmd/worker)
few=
[ "$size" = full ] || few="--models sd15,turbo --seconds 2 --images 3 --rows 4"
# shellcheck disable=SC2086 # words
exec "$python" "$root/deploy/export/gpubench.py" --worker "$bin/worker" --device "$device" --size "$size" --out "$cache/bench-gpu" $few "$@"
