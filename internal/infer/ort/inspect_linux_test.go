package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const driverStub = `
int cuInit(unsigned flags) { return START; }
int cuDriverGetVersion(int *v) { *v = DRIVER; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGetName(char *s, int n, int d) { s[0] = 'H'; s[1] = 0; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 9 : 1; return 0; }
`

// stubs makes a folder with what CUDA's provider needs, by libraries of our own, and returns libonnxruntime's path in it. Every name is its own, as a process
// keeps what it has loaded.
func stubs(t *testing.T, mark, start, driver string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "libonnxruntime.so"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	build(t, filepath.Join(dir, "libcuda.so.1"), driverStub, "-DSTART="+start, "-DDRIVER="+driver)
	build(t, filepath.Join(dir, "libcudart.so."+mark), "int cudaRuntimeGetVersion(int *v) { *v = 13000; return 0; }")
	build(t, filepath.Join(dir, "libcudnn.so.9"), "unsigned long cudnnGetVersion(void) { return 92801; }")
	build(t, filepath.Join(dir, "libcudnn_graph.so.9"), "int graph;", "-Wl,-soname,libcudnn_graph.so."+mark) // so that one that is not here is not found either
	build(t, filepath.Join(dir, "libonnxruntime_providers_shared.so"), "int shared;")
	build(t, filepath.Join(dir, "libonnxruntime_providers_cuda.so"), "int cuda;", "-Wl,--no-as-needed", "-L"+dir, "-l:libcudart.so."+mark)
	return filepath.Join(dir, "libonnxruntime.so")
}

// TestInspect: with all that it needs, a provider's parts tell their versions, and the device what it is.
func TestInspect(t *testing.T) {
	library := stubs(t, "131", "0", "13000")
	found, err := Inspect(Options{Library: library, Provider: "cuda"})
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, p := range found.Parts {
		versions[p.Name] = p.Version
	}
	want := map[string]string{"libonnxruntime_providers_shared.so": "", "libonnxruntime_providers_cuda.so": "", "libcuda.so.1": "13.0", "libcudart.so.131": "13.0", "libcudnn.so.9": "9.28", "libcudnn_graph.so.9": ""}
	if diff := cmp.Diff(want, versions); diff != "" {
		t.Error(diff)
	}
	if d := found.Device; d.Name != "H" || d.Capability != "9.1" {
		t.Errorf("device %+v", d)
	}
	for _, device := range []int{1, 3, -1} {
		if _, err := Inspect(Options{Library: library, Provider: "cuda", Device: device}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("DEVICE (--device) is %d, and there are 1 devices", device)) {
			t.Errorf("device %d: %v", device, err)
		}
	}
}

// TestInspectFails: what is missing is named, with where to get it.
func TestInspectFails(t *testing.T) {
	for name, tt := range map[string]struct {
		library  string
		provider string
		says     []string
	}{
		"a CPU's library":       {os.Getenv("ONNXRUNTIME_LIB"), "cuda", []string{"libonnxruntime_providers_cuda.so: it is not there", "make ort-cuda"}},
		"no GPU":                {stubs(t, "132", "100", "13000"), "cuda", []string{"libcuda.so.1: the driver does not start (CUDA error 100)", "--gpus"}},
		"an old driver":         {stubs(t, "133", "0", "12080"), "cuda", []string{"the driver goes up to CUDA 12.8, and the libraries are of CUDA 13.0: update the driver"}},
		"no runtime":            {without(t, stubs(t, "134", "0", "13000"), "libcudart.so.134"), "cuda", []string{"libcudart.so.134: it cannot be loaded", "pip install nvidia-cuda-runtime"}},
		"half of cuDNN":         {without(t, stubs(t, "137", "0", "13000"), "libcudnn_graph.so.9"), "cuda", []string{"libcudnn_graph.so.9: it cannot be loaded", "pip install nvidia-cudnn-cu13"}},
		"no TensorRT":           {stubs(t, "135", "0", "13000"), "tensorrt", []string{"libnvinfer.so.10", "libonnxruntime_providers_tensorrt.so", "TensorRT 10"}},
		"a provider of nothing": {broken(t, stubs(t, "136", "0", "13000")), "cuda", []string{"libonnxruntime_providers_cuda.so: it is no shared library"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Inspect(Options{Library: tt.library, Provider: tt.provider})
			if !errors.Is(err, ErrLibrary) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v", err)
			}
			for _, want := range append(tt.says, "PROVIDER="+tt.provider) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func without(t *testing.T, library, name string) string {
	t.Helper()
	if err := os.Remove(filepath.Join(filepath.Dir(library), name)); err != nil {
		t.Fatal(err)
	}
	return library
}

func broken(t *testing.T, library string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(library), "libonnxruntime_providers_cuda.so"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	return library
}

func TestKernelDriver(t *testing.T) {
	for text, want := range map[string]string{
		"NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26\nGCC version: x\n":                       "570.124.06",
		"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)  Sun Jul 27\n": "580.65.06",
		"something": "",
	} {
		file := filepath.Join(t.TempDir(), "version")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := kernelDriver(file); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if got := kernelDriver("/nonexistent"); got != "" {
		t.Errorf("got %q", got)
	}
}
