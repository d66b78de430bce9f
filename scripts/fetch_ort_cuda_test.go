package scripts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cudaHarness is a harness whose fetch-ort-cuda.sh finds the pins, and whose pip "installs" what the wheels have.
func cudaHarness(t *testing.T, install string) harness {
	t.Helper()
	h := newHarness(t)
	pins, err := os.ReadFile(filepath.Join("..", "deploy", "image", "cuda.txt"))
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, filepath.Join(h.tree, "deploy", "image", "cuda.txt"), string(pins))
	h.stub(t, "uname", `case $1 in -s) echo Linux ;; *) echo x86_64 ;; esac`)
	h.stub(t, "df", `echo head; echo disk 1 1 99999999 1 /`)
	h.stub(t, "python3", `
[ "$3" = --version ] && exit 0
while [ "$1" != --target ]; do shift; done
wheels=$2
`+install)
	for _, tool := range []string{"sed", "find"} {
		link(t, h, tool)
	}
	return h
}

// link puts a tool of this system into the harness's PATH.
func link(t *testing.T, h harness, tool string) {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if path := filepath.Join(dir, tool); exists(path) {
			if err := os.Symlink(path, filepath.Join(h.bin, tool)); err != nil && !os.IsExist(err) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("there is no %s", tool)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

const cudaWheels = `
capi=$wheels/onnxruntime/capi
mkdir -p "$capi" "$wheels/nvidia/cu13/lib" "$wheels/nvidia_cublas-13.dist-info"
for name in libonnxruntime.so.1.28.0 libonnxruntime_providers_shared.so libonnxruntime_providers_cuda.so libonnxruntime_providers_tensorrt.so; do
	echo "$name" >"$capi/$name"
done
echo licence >"$wheels/onnxruntime/LICENSE"
echo notices >"$wheels/onnxruntime/ThirdPartyNotices.txt"
echo cublas >"$wheels/nvidia/cu13/lib/libcublas.so.13"
`

// TestFetchCUDA: all that CUDA's provider needs comes to lie where the worker looks, once.
func TestFetchCUDA(t *testing.T) {
	h := cudaHarness(t, cudaWheels)
	first := h.run(t, nil, "fetch-ort-cuda.sh")
	if first.code != 0 || filepath.Base(first.stdout) != "libonnxruntime.so.1.28.0" {
		t.Fatalf("exit code %d, %q, %s", first.code, first.stdout, first.stderr)
	}
	dir := filepath.Dir(first.stdout)
	for _, name := range []string{"libonnxruntime.so", "libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so", "cuda/libcublas.so.13", "LICENSE", "licenses/nvidia_cublas-13.dist-info"} {
		if !exists(filepath.Join(dir, name)) {
			t.Errorf("there is no %s", name)
		}
	}
	h.stub(t, "python3", "exit 9")
	h.run(t, nil, "fetch-ort-cuda.sh").prints(t, first.stdout)
}

// TestFetchCUDAFails: what cannot be had is said, and nothing is left.
func TestFetchCUDAFails(t *testing.T) {
	for name, tt := range map[string]struct {
		install, uname, says string
	}{
		"pip":      {"exit 1", "x86_64", "could not be fetched"},
		"platform": {cudaWheels, "aarch64", "pinned for Linux on x86_64 alone"},
		"wheel":    {strings.ReplaceAll(cudaWheels, "libonnxruntime_providers_cuda.so ", ""), "x86_64", "has no libonnxruntime_providers_cuda.so"},
	} {
		t.Run(name, func(t *testing.T) {
			h := cudaHarness(t, tt.install)
			h.stub(t, "uname", `case $1 in -s) echo Linux ;; *) echo `+tt.uname+` ;; esac`)
			h.run(t, nil, "fetch-ort-cuda.sh").fails(t, tt.says)
			if left, _ := filepath.Glob(filepath.Join(h.cache, "onnxruntime-cuda", "*[0-9a-f]")); len(left) > 0 { // all but the lock
				t.Errorf("left over: %q", left)
			}
		})
	}
}
