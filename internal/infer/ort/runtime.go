// Package ort runs Stable Diffusion pipelines on ONNX Runtime. It is the only importer of onnxruntime_go: it alone knows sessions, providers and tensors.
//
// Rules that measurements taught: the uploader that ONNX Runtime has since 1.29 is switched off before the library loads; threads follow GOMAXPROCS and do not spin;
// all sessions share one capped arena; and every tensor belongs to a frame that outlives the native call (tensor.go), because the binding keeps C pointers only and
// the collector would free what Go no longer mentions.
package ort

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	native "github.com/yalue/onnxruntime_go"
)

// Options sets the runtime up. The zero value is the CPU with the library beside the executable.
type Options struct {
	Library    string // path of libonnxruntime; "" looks beside the executable
	Provider   string // cpu (default), cuda, tensorrt
	Device     int    // for cuda and tensorrt
	Threads    int    // of one call on the CPU; 0 means GOMAXPROCS
	ArenaLimit int64  // bytes that all sessions together may use for activations on the CPU; 0 means three quarters of the memory there is
	TileSize   int    // pixels, each way, of the largest square that the VAE decodes at once: larger pictures are decoded in tiles; 0 means 1024 or the model's own size
	Logger     *slog.Logger

	ProviderOptions map[string]string // by ONNX Runtime's names, from ParseProviderOptions
	EngineCache     string            // tensorrt: folder that engines are kept in
	EngineSides     [2]int            // tensorrt: shortest and longest side of pictures, in pixels; zero is the model's own size
	MaxRows         int               // tensorrt: most UNet rows in one call; 0 is 1
}

// Runtime is ONNX Runtime, loaded. There is one a process.
type Runtime struct {
	opts      Options
	inspected Inspection // zero on a CPU
}

var (
	// tested are the library versions that the goldens were checked with.
	tested = []string{"1.28.0"}

	// opened guards the process's one environment.
	opened sync.Mutex
)

// ErrLibrary says that ONNX Runtime's library is missing or unusable.
var ErrLibrary = errors.New("no usable ONNX Runtime library")

// LibraryName is the file that Open looks for beside the executable.
func LibraryName() string {
	switch runtime.GOOS {
	case "darwin":
		return "libonnxruntime.dylib"
	case "windows":
		return "onnxruntime.dll"
	default:
		return "libonnxruntime.so"
	}
}

// Open loads the library and makes the environment. Errors wrap [ErrLibrary] and say how to get one.
func Open(o Options) (*Runtime, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Provider == "" {
		o.Provider = providerCPU
	}
	library, found, err := o.check()
	if err != nil {
		return nil, err
	}
	opened.Lock()
	defer opened.Unlock()
	if native.IsInitialized() {
		return nil, errors.New("ONNX Runtime is open already: there is one environment a process")
	}
	// Before the library loads: later is too late for the uploader of 1.29 and newer.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return nil, err
	}
	native.SetSharedLibraryPath(library)
	// Every failure comes back as an error; the library's own lines on stderr, in colour, would only say it twice.
	if err := native.InitializeEnvironment(native.WithLogLevelFatal()); err != nil {
		return nil, libraryError(library, err)
	}
	if v := native.GetVersion(); !slices.Contains(tested, v) {
		o.Logger.Warn("this version of ONNX Runtime was never checked against the reference pictures", slog.String("version", v), slog.Any("checked", tested))
	}
	r := &Runtime{opts: o, inspected: found}
	if err := r.shareArena(); err != nil {
		return nil, errors.Join(err, native.DestroyEnvironment())
	}
	return r, nil
}

// Check reports what Open would refuse of o, as far as can be said without loading ONNX Runtime. It is for whoever has much to do before that, such as to
// download models.
func Check(o Options) error {
	o.Provider = cmp.Or(o.Provider, providerCPU)
	_, _, err := o.check()
	return err
}

// check finds the library, and what the provider needs.
func (o *Options) check() (library string, found Inspection, err error) {
	if !slices.Contains(Providers, o.Provider) {
		return "", found, fmt.Errorf("provider is %q: must be one of %s", o.Provider, strings.Join(Providers, ", "))
	}
	if o.TileSize != 0 && o.TileSize < leastTile {
		return "", found, fmt.Errorf("TILE_SIZE (--tile-size) is %d: must be at least %d pixels", o.TileSize, leastTile)
	}
	if err := CheckProviderOptions(o.Provider, o.ProviderOptions); err != nil {
		return "", found, fmt.Errorf("PROVIDER_OPTIONS (--provider-options): %w", err)
	}
	if o.Provider == providerTensorRT && o.EngineCache == "" {
		return "", found, errors.New("no folder to keep engines in: set ENGINE_CACHE (--engine-cache)")
	}
	if library, err = findLibrary(o.Library); err != nil {
		return "", found, err
	}
	found, err = Inspect(*o)
	return library, found, err
}

// Version returns ONNX Runtime's version.
func (r *Runtime) Version() string { return native.GetVersion() }

// Provider returns the execution provider in use.
func (r *Runtime) Provider() string { return r.opts.Provider }

// Device is where models run, as PyTorch writes it: cpu, or cuda:0.
func (r *Runtime) Device() string {
	if r.opts.Provider == "cpu" {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d", r.opts.Device)
}

// WithThreads returns r with another number of threads a call, for the pipelines that it loads; Close is still r's.
func (r *Runtime) WithThreads(n int) *Runtime {
	other := *r
	other.opts.Threads = n
	return &other
}

// Close ends the environment; every pipeline must be closed.
func (r *Runtime) Close() error {
	opened.Lock()
	defer opened.Unlock()
	return native.DestroyEnvironment()
}

func findLibrary(path string) (string, error) {
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%w: %w: ONNXRUNTIME_LIB (--onnxruntime-lib) must name libonnxruntime's file; `make ort` fetches one", ErrLibrary, err)
		}
		return filepath.EvalSymlinks(path) // ONNX Runtime looks for its providers beside the name by which it was loaded
	}
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("%w: finding the executable: %w", ErrLibrary, err)
	}
	path = filepath.Join(filepath.Dir(exe), LibraryName())
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: %s is not there: `make build` puts it beside the binaries, or set ONNXRUNTIME_LIB (--onnxruntime-lib) to one; `make ort` fetches it", ErrLibrary, path)
	}
	return filepath.EvalSymlinks(path)
}

// libraryError says what a failure to load means; the binding tells a too old library only by a number.
func libraryError(library string, err error) error {
	hint := "is it a shared library for this system? `make ort` fetches the right one"
	if strings.Contains(err.Error(), "Error setting ORT API base") {
		hint = "it is too old: 1.24 is the oldest that works and 1.28.0 the one to take; `make ort` fetches it"
	}
	return fmt.Errorf("%w: loading %s: %s: %s", ErrLibrary, library, oneLine(err), hint)
}

// shareArena makes one arena for the CPU activations of all sessions, so that they share one limit and do not each keep their own peak.
func (r *Runtime) shareArena() error {
	limit := r.opts.ArenaLimit
	if limit == 0 {
		limit = memoryLimit() / 4 * 3
	}
	const sameAsRequested = 1 // grow by what is asked, not by powers of two: the limit is met later and less lies idle
	arena, err := native.NewArenaCfg(int(limit), sameAsRequested, -1, -1)
	if err != nil {
		return fmt.Errorf("making ONNX Runtime's arena: %w", err)
	}
	defer arena.Destroy()
	info, err := native.GetMemoryInfo()
	if err != nil {
		return fmt.Errorf("making ONNX Runtime's arena: %w", err)
	}
	if err := native.CreateAndRegisterAllocator(info, arena); err != nil {
		return fmt.Errorf("making ONNX Runtime's arena: %w", err)
	}
	return nil
}
