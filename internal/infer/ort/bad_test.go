package ort

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// subprocess runs one test of this binary in a process of its own.
func subprocess(t *testing.T, test string, env ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Logf("%v", err)
	}
	return string(out)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		o    Options
		want []string
	}{
		{"missing library", Options{Library: filepath.Join(dir, "none.so")}, []string{"none.so", "ONNXRUNTIME_LIB", "make ort"}},
		{"no library beside the executable", Options{}, []string{LibraryName(), "make build", "ONNXRUNTIME_LIB"}},
		{"small tiles", Options{TileSize: 32}, []string{"TILE_SIZE", "32", "at least 64"}},
		{"unknown provider", Options{Provider: "tpu"}, []string{`"tpu"`, "cpu, cuda, tensorrt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Open(c.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
	t.Run("not a library", func(t *testing.T) {
		out := subprocess(t, "TestBadLibraryChild", "STIPPLE_BAD_LIBRARY="+text)
		if !strings.Contains(out, "make ort") || !strings.Contains(out, "text.so") || !strings.Contains(out, "--- PASS") {
			t.Errorf("got %s", out)
		}
	})
	t.Run("second environment", func(t *testing.T) {
		if _, err := Open(Options{Library: os.Getenv("ONNXRUNTIME_LIB")}); err == nil {
			t.Error("a second environment was opened")
		}
	})
}

// TestBadLibraryChild is a child of TestOpenRefuses.
func TestBadLibraryChild(t *testing.T) {
	path := os.Getenv("STIPPLE_BAD_LIBRARY")
	if path == "" {
		return
	}
	if err := shared.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Library: path})
	if !errors.Is(err, ErrLibrary) {
		t.Fatalf("got %v, want ErrLibrary", err)
	}
	t.Log(err)
	if shared, err = Open(Options{Library: os.Getenv("ONNXRUNTIME_LIB"), Logger: quiet()}); err != nil {
		t.Fatal(err)
	}
}

// TestNoGPU: a provider that is not there is an error that says what it needs, never a silent way back to the CPU.
func TestNoGPU(t *testing.T) {
	for _, provider := range []string{"cuda", "tensorrt"} {
		r := &Runtime{opts: Options{Provider: provider, Threads: 1, EngineCache: t.TempDir(), Logger: quiet()}}
		_, err := r.Load(context.Background(), tiny())
		if !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), provider) || !strings.Contains(err.Error(), "driver") {
			t.Errorf("%s: got %v", provider, err)
		}
	}
}

// TestTelemetryIsOff: ONNX Runtime from 1.29 on uploads what it learns of the machine unless this is set before it loads.
func TestTelemetryIsOff(t *testing.T) {
	if got := os.Getenv("ORT_DISABLE_TELEMETRY"); got != "1" {
		t.Errorf("ORT_DISABLE_TELEMETRY is %q after Open, want 1", got)
	}
}

// copyModel copies the model that ships, so that a test can spoil it.
func copyModel(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spoilt")
	if err := os.CopyFS(dir, os.DirFS(tiny())); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestLoadRefuses(t *testing.T) {
	replace := func(name, old, with string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			replaceIn(t, filepath.Join(dir, name), old, with)
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			remove(t, dir, name)
		}
	}
	truncate := func(name string, size int64) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Truncate(filepath.Join(dir, name), size); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(*testing.T, string)
		want  []string
	}{
		{"no folder", remove("."), []string{"is not there", "MODELS"}},
		{"no index", remove("model_index.json"), []string{"model_index.json is missing"}},
		{"broken index", replace("model_index.json", "{", "["), []string{"model_index.json"}},
		{"foreign class", replace("model_index.json", "StableDiffusionPipeline", "FluxPipeline"), []string{"FluxPipeline", "Stable Diffusion"}},
		{"no unet", remove("unet/model.onnx"), []string{"model.onnx"}},
		{"no unet config", remove("unet/config.json"), []string{"config.json is missing"}},
		{"truncated unet", truncate("unet/model.onnx", 1<<20), []string{"unet", "truncated"}},
		{"empty vae", truncate("vae_decoder/model.onnx", 0), []string{"vae_decoder"}},
		{"inpainting", replace("unet/config.json", `"in_channels": 8`, `"in_channels": 9`), []string{"in_channels is 9", "inpainting"}},
		{"bad scaling", replace("vae_decoder/config.json", "0.805781", "-1"), []string{"scaling_factor"}},
		{"bad steps", replace("stipple.json", "20", "2000"), []string{"stipple.json", "num_inference_steps is 2000"}},
		{"no tokenizer", remove("tokenizer"), []string{"tokenizer"}},
		{"unknown scheduler", replace("scheduler/scheduler_config.json", "EulerDiscreteScheduler", "MagicScheduler"), []string{"scheduler_config.json", "MagicScheduler", "known are"}},
		{"unknown scheduler in the index", replace("model_index.json", "EulerDiscreteScheduler", "MagicScheduler"), []string{"scheduler_config.json", "model_index.json", "MagicScheduler"}},
		{"another text encoder", replace("text_encoder/config.json", `"hidden_size": 128`, `"hidden_size": 64`), []string{"128 wide", "64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyModel(t)
			c.spoil(t, dir)
			refused(t, dir, append(c.want, dir)...)
		})
	}
}

// TestDigest: it is the same for the same files and another for a changed one.
func TestDigest(t *testing.T) {
	p := load(t, tiny())
	dir := copyModel(t)
	if q := load(t, dir); q.Digest() != p.Digest() || len(p.Digest()) != 64 {
		t.Errorf("a copy has digest %s, the model %s", q.Digest(), p.Digest())
	}
	if err := os.WriteFile(filepath.Join(dir, "stipple.json"), []byte(`{"num_inference_steps": 21}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if q := load(t, dir); q.Digest() == p.Digest() || q.Defaults().Steps != 21 {
		t.Errorf("the digest does not see that stipple.json changed (defaults %+v)", q.Defaults())
	}
}
