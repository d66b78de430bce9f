package ort

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/infer/onnx"
)

func TestParseProviderOptions(t *testing.T) {
	got, err := ParseProviderOptions(" gpu_mem_limit=20GiB, use_tf32=true,cudnn_conv_algo_search=EXHAUSTIVE,trt_auxiliary_streams=-1, ")
	want := map[string]string{"gpu_mem_limit": "21474836480", "use_tf32": "1", "cudnn_conv_algo_search": "EXHAUSTIVE", "trt_auxiliary_streams": "-1"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for in, says := range map[string]string{
		"gpu_mem_limit":                      "not name=value",
		"gpu_mem_limit=4GB":                  "20GiB",
		"gpu_mem_limit=1":                    "at least 64 MiB",
		"gpu_mem_limit=99999999999GiB":       "20GiB",
		"cudnn_conv_algo_search=exhaustive":  "must be one of HEURISTIC, EXHAUSTIVE, DEFAULT",
		"use_tf32=2":                         "must be one of 0, 1",
		"trt_builder_optimization_level=6":   "must be 0 to 5",
		"sdpa_kernel=flash":                  "must be 0 to 255",
		"no_such_key=1":                      `"no_such_key" is no option`,
		"enable_cuda_graph=1":                "tensors in the host's memory",
		"device_id=1":                        "--device",
		"use_tf32=1,use_tf32=0":              "stands twice",
		"a=1,trt_engine_cache_path=/x,b=2,c": "ENGINE_CACHE",
	} {
		if _, err := ParseProviderOptions(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", in, err, says)
		}
	}
	if err := CheckProviderOptions("cuda", map[string]string{"trt_fp16_enable": "1", "use_tf32": "1"}); err == nil || !strings.Contains(err.Error(), "trt_fp16_enable is no option of provider cuda") {
		t.Errorf("got %v", err)
	}
	if err := CheckProviderOptions("tensorrt", map[string]string{"trt_fp16_enable": "1", "use_tf32": "1"}); err != nil {
		t.Error(err)
	}
}

func FuzzParseProviderOptions(f *testing.F) {
	f.Add("gpu_mem_limit=20GiB,use_tf32=true")
	f.Fuzz(func(t *testing.T, s string) {
		options, err := ParseProviderOptions(s)
		if err != nil {
			return
		}
		for name, value := range options {
			if again, err := checkOption(name, value); err != nil || again != value {
				t.Errorf("%s=%s is not what it is read as: %s, %v", name, value, again, err)
			}
		}
	})
}

// TestChoose: what was said goes before what is standard here, and what neither names is ONNX Runtime's own.
func TestChoose(t *testing.T) {
	want := map[string]string{"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "DEFAULT", "use_tf32": "0", "gpu_mem_limit": "1"}
	if diff := cmp.Diff(want, choose(cudaOptions, map[string]string{"cudnn_conv_algo_search": "DEFAULT", "gpu_mem_limit": "1", "trt_fp16_enable": "1"})); diff != "" {
		t.Error(diff)
	}
	half := []onnx.Value{{Name: "sample", Elem: onnx.Float16}}
	if o := tensorRTOptionsOf(half, nil); o["trt_fp16_enable"] != "1" || o["trt_layer_norm_fp32_fallback"] != "1" {
		t.Errorf("of a graph in float16: %v", o)
	}
	if o := tensorRTOptionsOf(half, map[string]string{"trt_fp16_enable": "0"}); o["trt_fp16_enable"] != "0" || o["trt_layer_norm_fp32_fallback"] != "" {
		t.Errorf("where float16 was forbidden: %v", o)
	}
}

// TestEngineKey: an engine for anything else lies elsewhere.
func TestEngineKey(t *testing.T) {
	p, err := plan(t, tiny())
	if err != nil {
		t.Fatal(err)
	}
	base := &Runtime{opts: Options{EngineCache: "/cache", MaxRows: 8}}
	folders := map[string]string{}
	add := func(name string, r *Runtime, tensorRT string, d DeviceFacts, digest string) {
		p.digest = digest
		if err := r.planEngines(p, tensorRT, d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, s := range p.sessions() {
			dir := s.engine.folder()
			if other, taken := folders[dir]; taken {
				t.Errorf("%s and %s share the folder %s", name, other, dir)
			}
			if !strings.HasPrefix(dir, "/cache/") {
				t.Errorf("%s lies in %s", name, dir)
			}
			folders[dir] = name
		}
	}
	card := DeviceFacts{Name: "NVIDIA H200", Capability: "9.0", Driver: "580.65"}
	add("base", base, "10.13", card, "d1")
	add("model", base, "10.13", card, "d2")
	add("tensorrt", base, "10.14", card, "d1")
	add("card", base, "10.13", DeviceFacts{Name: "NVIDIA L4", Capability: "8.9", Driver: "580.65"}, "d1")
	add("driver", base, "10.13", DeviceFacts{Name: "NVIDIA H200", Capability: "9.0", Driver: "590.1"}, "d1")
	add("options", &Runtime{opts: Options{EngineCache: "/cache", MaxRows: 8, ProviderOptions: map[string]string{"trt_fp16_enable": "1"}}}, "10.13", card, "d1")

	for change, r := range map[string]*Runtime{
		"rows":  {opts: Options{EngineCache: "/cache", MaxRows: 4}},
		"sides": {opts: Options{EngineCache: "/cache", MaxRows: 8, EngineSides: [2]int{64, 256}}},
	} {
		p.digest = "d1"
		if err := r.planEngines(p, "10.13", card); err != nil {
			t.Fatal(err)
		}
		if dir := p.unet.session.engine.folder(); folders[dir] != "" {
			t.Errorf("with other %s the UNet's engine is that of %s", change, folders[dir])
		}
	}
	p.digest = "d1"
	if err := base.planEngines(p, "10.13", card); err != nil {
		t.Fatal(err)
	}
	if dir := p.unet.session.engine.folder(); folders[dir] != "base" {
		t.Errorf("the same again lies in %s", dir)
	}
}

// plan reads a pipeline without loading it.
func plan(t *testing.T, dir string) (*Pipeline, error) {
	t.Helper()
	f, err := readFolder(dir)
	if err != nil {
		return nil, err
	}
	return f.pipeline(0)
}

// TestProfile: engines are for all rows up to MAX_ROWS, and for the sizes that were asked for.
func TestProfile(t *testing.T) {
	p, err := plan(t, tiny())
	if err != nil {
		t.Fatal(err)
	}
	r := &Runtime{opts: Options{EngineCache: t.TempDir(), MaxRows: 8, EngineSides: [2]int{64, 256}}}
	if err := r.planEngines(p, "10.13", DeviceFacts{}); err != nil {
		t.Fatal(err)
	}
	side := p.folder.unet.sampleW
	got := p.unet.session.engine.key.Profile
	for _, tt := range []struct {
		shapes string
		rows   string
		side   int
	}{{got.Min, "1", 64 / p.folder.factor()}, {got.Opt, "8", side}, {got.Max, "8", 256 / p.folder.factor()}} {
		for _, want := range []string{"sample:" + tt.rows + "x", "timestep:" + tt.rows + ",", "encoder_hidden_states:" + tt.rows + "x32x"} {
			if !strings.Contains(tt.shapes+",", want) {
				t.Errorf("%q lacks %q", tt.shapes, want)
			}
		}
		if want := strings.Repeat("x"+strconv.Itoa(tt.side), 2) + ","; !strings.Contains(tt.shapes, want) {
			t.Errorf("%q lacks the size %s", tt.shapes, want)
		}
	}
	if text := p.text[0].session.engine.key.Profile; text.Min != "input_ids:1x32" || text.Max != text.Min {
		t.Errorf("the text encoder's profile is %+v", text)
	}
	if info := p.Info(); info.MinSide != 64 || info.MaxSide != 256 {
		t.Errorf("pictures may be %d to %d", info.MinSide, info.MaxSide)
	}
	e := p.unet.session.engine
	if e.built() {
		t.Error("an engine is there before it was built")
	}
	if err := e.prepare(); err != nil {
		t.Fatal(err)
	}
	o := e.options()
	if o["trt_engine_cache_path"] != e.folder() || o["trt_timing_cache_path"] != r.opts.EngineCache || o["trt_profile_max_shapes"] != got.Max || o["trt_engine_cache_enable"] != "1" {
		t.Errorf("options %v", o)
	}
	if err := os.WriteFile(filepath.Join(e.folder(), "x_sm90.engine"), nil, 0o600); err != nil || !e.built() {
		t.Errorf("an engine that is there is not seen (%v)", err)
	}
	if err := errors.Join(os.Remove(filepath.Join(e.folder(), "about.json")), e.prepare()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(e.folder(), "about.json")); err == nil {
		t.Error("beside an engine that is there something is written")
	}
	own := side * p.folder.factor()
	for _, sides := range [][2]int{{own - 1, own}, {own, own + 1}, {2 * own, 4 * own}, {own / 4, own / 2}} {
		r.opts.EngineSides = sides
		if err := r.planEngines(p, "", DeviceFacts{}); err == nil || !strings.Contains(err.Error(), "ENGINE_SIDES") {
			t.Errorf("%v: %v", sides, err)
		}
	}
}

// TestProfileHoldsEveryPicture: whatever picture the worker takes, no decoding of it, whole or in tiles, is of a shape that the engine was not built for.
func TestProfileHoldsEveryPicture(t *testing.T) {
	for _, c := range []struct {
		tile  int // pixels
		sides [2]int
		own   infer.Size // latents
	}{
		{0, [2]int{64, 256}, infer.Size{Width: 16, Height: 16}},
		{128, [2]int{64, 512}, infer.Size{Width: 16, Height: 16}},  // 64 × 256 is as large as a tile, and longer
		{64, [2]int{96, 512}, infer.Size{Width: 16, Height: 16}},   // tiles are smaller than the smallest picture
		{64, [2]int{128, 256}, infer.Size{Width: 16, Height: 16}},  // and so is every picture's
		{128, [2]int{}, infer.Size{Width: 12, Height: 20}},         // the model's own size, longer than a tile
		{128, [2]int{64, 1024}, infer.Size{Width: 12, Height: 20}}, // the same, and others
	} {
		p, err := plan(t, tiny())
		if err != nil {
			t.Fatal(err)
		}
		factor := p.folder.factor()
		p.folder.unet.sampleW, p.folder.unet.sampleH = c.own.Width, c.own.Height
		p.vae.tiles = newTiling(c.tile, factor, c.own)
		r := &Runtime{opts: Options{EngineCache: t.TempDir(), EngineSides: c.sides}}
		if err := r.planEngines(p, "10.13", DeviceFacts{}); err != nil {
			t.Fatal(err)
		}
		profile := p.vae.session.engine.key.Profile
		if whole := p.vae.tiles.tile(c.own); whole != c.own {
			t.Errorf("%+v: the model's own size is decoded in tiles of %v", c, whole)
		}
		least, own, most := shapeOf(t, profile.Min), shapeOf(t, profile.Opt), shapeOf(t, profile.Max)
		if own != c.own || own.Width < least.Width || own.Height < least.Height || own.Width > most.Width || own.Height > most.Height {
			t.Errorf("%+v: the engine is for %v to %v, at its best with %v", c, least, most, own)
		}
		info := p.Info()
		for w := info.MinSide; w <= info.MaxSide; w += info.SizeMultiple {
			for h := info.MinSide; h <= info.MaxSide; h += info.SizeMultiple {
				s := p.vae.tiles.tile(infer.Size{Width: w / factor, Height: h / factor})
				if s.Width < least.Width || s.Height < least.Height || s.Width > most.Width || s.Height > most.Height {
					t.Errorf("%+v: %d × %d is decoded by calls of %v, and the engine is for %v to %v", c, w, h, s, least, most)
				}
			}
		}
	}
}

// shapeOf reads the size of the latents in a decoder's shapes.
func shapeOf(t *testing.T, shapes string) (s infer.Size) {
	t.Helper()
	var rows, channels int
	_, dims, _ := strings.Cut(shapes, ":")
	if _, err := fmt.Sscanf(dims, "%dx%dx%dx%d", &rows, &channels, &s.Height, &s.Width); err != nil {
		t.Fatalf("%q: %v", shapes, err)
	}
	return s
}

// TestProviderHint: ONNX Runtime's words become what to do.
func TestProviderHint(t *testing.T) {
	for text, want := range map[string]string{
		`Unknown provider option: "no_such_key"`:                        "PROVIDER_OPTIONS",
		"CUDA failure 35: CUDA driver version is insufficient for CUDA": "580",
		"CUDA failure 101: invalid device ordinal":                      "DEVICE",
		"something else": "make ort-cuda",
	} {
		r := &Runtime{opts: Options{Provider: "cuda"}}
		if err := r.providerError(errors.New(text)); !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// build makes a shared library out of C.
func build(t *testing.T, name, source string, flags ...string) {
	t.Helper()
	c := filepath.Join(t.TempDir(), "stub.c")
	if err := os.WriteFile(c, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-shared", "-fPIC", "-Wl,-soname," + filepath.Base(name), "-o", name, c}, flags...)
	if out, err := exec.CommandContext(t.Context(), "cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
