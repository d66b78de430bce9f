package ort

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Part is a library, driver or device that a GPU's provider needs.
type Part struct {
	Name    string // a file's name, or what it is
	Version string // "" where it does not say
	Path    string // where it was found, "" where the system's search found it
	Err     error  // why it cannot be used
	Mend    string // what to do then
}

// Inspection is what a provider needs and has.
type Inspection struct {
	Parts  []Part
	Device DeviceFacts // of Options.Device, where the driver tells
}

// Err joins what is wrong.
func (i Inspection) Err() error {
	var errs []error
	for _, p := range i.Parts {
		if p.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w: %s", p.Name, p.Err, p.Mend))
		}
	}
	return errors.Join(errs...)
}

// version is a part's version, "" where it has none.
func (i Inspection) version(name string) string {
	for _, p := range i.Parts {
		if strings.HasPrefix(p.Name, name) {
			return p.Version
		}
	}
	return ""
}

// suppliers say where a library comes from, by the beginning of its name.
var suppliers = []struct{ prefix, from string }{
	{"libonnxruntime_providers_tensorrt", "ONNX Runtime's GPU build (`make ort-cuda`)"},
	{"libonnxruntime_providers", "ONNX Runtime's GPU build (`make ort-cuda`, or the image for CUDA)"},
	{"libcuda.so", "NVIDIA's driver (install it on the host, and give the container the GPU by --gpus or the device plugin)"},
	{"libcudart.so", "the CUDA runtime (pip install nvidia-cuda-runtime)"},
	{"libcublas", "cuBLAS (pip install nvidia-cublas)"},
	{"libcurand.so", "cuRAND (pip install nvidia-curand)"},
	{"libcufft.so", "cuFFT (pip install nvidia-cufft)"},
	{"libnvrtc.so", "NVRTC (pip install nvidia-cuda-nvrtc)"},
	{"libcudnn", "cuDNN (pip install nvidia-cudnn-cu13)"},
	{"libnvinfer.so", "TensorRT 10 (pip install tensorrt-cu13-libs)"},
	{"libnvonnxparser.so", "TensorRT 10 (pip install tensorrt-cu13-libs)"},
}

// supplier says where a library comes from.
func supplier(name string) string {
	for _, s := range suppliers {
		if strings.HasPrefix(name, s.prefix) {
			return "it comes with " + s.from
		}
	}
	return "install it where the system's search for libraries finds it"
}

// gpuLibrary are those of NVIDIA that a provider is linked with; the C library and its like are not looked for.
var gpuLibrary = regexp.MustCompile(`^lib(cu|nv)[A-Za-z0-9_]*\.so`)

// preloadOrder has libraries before those that need them.
var preloadOrder = []string{"libcuda.so", "libcudart.so", "libnvrtc.so", "libcublasLt.so", "libcublas.so", "libcurand.so", "libcufft.so", "libcudnn", "libnvinfer.so", "libnvonnxparser.so"}

// needsOf lists the libraries that the provider's file is linked with, and those that it loads by itself when it comes to a convolution or an engine.
func needsOf(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("it is no shared library: %w", err)
	}
	defer f.Close()
	linked, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	var needs []string
	for _, name := range linked {
		if gpuLibrary.MatchString(name) {
			needs = append(needs, name)
		}
	}
	return needs, nil
}

// plan lists what a provider needs: its own files beside ONNX Runtime's, and NVIDIA's in the order in which they are to be loaded.
func planProvider(library, provider string) (own []Part, needs []string) {
	files := []string{"libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"}
	if provider == providerTensorRT {
		files = append(files, "libonnxruntime_providers_tensorrt.so")
		needs = append(needs, "libnvinfer.so.10", "libnvonnxparser.so.10")
	}
	needs = append(needs, "libcuda.so.1", "libcudnn.so.9", "libcudnn_graph.so.9") // the second is but a door to others, which it opens at the first convolution
	for _, name := range files {
		p := Part{Name: name, Path: filepath.Join(filepath.Dir(library), name), Mend: supplier(name)}
		if _, err := os.Stat(p.Path); err != nil {
			p.Err = fmt.Errorf("it is not there, beside %s", filepath.Base(library))
		} else if linked, err := needsOf(p.Path); err != nil {
			p.Err = err
		} else {
			needs = append(needs, linked...)
		}
		own = append(own, p)
	}
	slices.Sort(needs)
	needs = slices.Compact(needs)
	rank := func(name string) int {
		i := slices.IndexFunc(preloadOrder, func(p string) bool { return strings.HasPrefix(name, p) })
		if i < 0 {
			return len(preloadOrder)
		}
		return i
	}
	slices.SortStableFunc(needs, func(a, b string) int { return rank(a) - rank(b) })
	return own, needs
}

// beside lists where NVIDIA's libraries may lie without the system knowing: beside ONNX Runtime's, in cuda/ there (`make ort-cuda`), or in the wheels that pip
// has laid beside onnxruntime.
func beside(library, name string) string {
	dir := filepath.Dir(library)
	for _, pattern := range []string{filepath.Join(dir, name), filepath.Join(dir, "cuda", name), filepath.Join(dir, "..", "..", "nvidia", "*", "lib", name), filepath.Join(dir, "..", "..", "tensorrt_libs", name)} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// version is a version from its number: 13000 by 1000 and 10 is 13.0.
func version(n, major, minor int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d", n/major, n%major/minor)
}

// compare finds parts that do not go together.
func (i *Inspection) compare() {
	driver, runtime := i.version("libcuda.so"), i.version("libcudart.so")
	var have, want int
	if n, _ := fmt.Sscan(strings.Split(driver, ".")[0], &have); n == 0 {
		return
	}
	if n, _ := fmt.Sscan(strings.Split(runtime, ".")[0], &want); n == 0 || have >= want {
		return
	}
	at := slices.IndexFunc(i.Parts, func(p Part) bool { return strings.HasPrefix(p.Name, "libcuda.so") })
	if i.Parts[at].Err == nil {
		i.Parts[at].Err = fmt.Errorf("the driver goes up to CUDA %s, and the libraries are of CUDA %s", driver, runtime)
		i.Parts[at].Mend = "update the driver (CUDA 13 needs 580 or newer)"
	}
}

// Inspect looks at what o's provider needs, and at its device: libraries are loaded, ONNX Runtime is not. A CPU needs nothing; that a name is no provider's is for
// Open to say.
func Inspect(o Options) (Inspection, error) {
	if o.Provider != providerCUDA && o.Provider != providerTensorRT {
		return Inspection{}, nil
	}
	library, err := findLibrary(o.Library)
	if err != nil {
		return Inspection{}, err
	}
	i := inspect(library, o.Provider, o.Device)
	if err := i.Err(); err != nil {
		return i, fmt.Errorf("%w: PROVIDER=%s cannot work: %s", ErrLibrary, o.Provider, strings.Join(strings.Split(err.Error(), "\n"), "; "))
	}
	return i, nil
}
