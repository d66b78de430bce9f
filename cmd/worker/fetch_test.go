package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/local/hubd"
)

// anyHub is a hub whose pipeline nothing can read, and the variables that lead to it.
func anyHub(t *testing.T) (*hubd.Hub, map[string]string) {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"model_index.json", "scheduler/scheduler_config.json", "unet/model.onnx", "vae_decoder/model.onnx", "text_encoder/model.onnx"} {
		files[name] = "{}"
	}
	h := hubd.Start(strings.Repeat("a", 40), files)
	t.Cleanup(h.Stop)
	return h, map[string]string{"MODELS": "hf://acme/toy", "HF_ENDPOINT": h.URL(), "STIPPLE_MODEL_CACHE": t.TempDir(), "S3_BUCKET": "b", "ENGINE_CACHE": t.TempDir(), "HTTP_ADDR": ""}
}

// TestNothingIsDownloadedInVain: what a worker lacks for drawing it says before it downloads gigabytes.
func TestNothingIsDownloadedInVain(t *testing.T) {
	for name, tt := range map[string]struct {
		variable, value, says string
	}{
		"no driver":   {"PROVIDER", "cuda", "libcuda.so.1"},
		"no TensorRT": {"PROVIDER", "tensorrt", "libnvinfer.so.10"},
		"no library":  {"ONNXRUNTIME_LIB", filepath.Join(t.TempDir(), "none"), "make ort"},
		"no option":   {"PROVIDER_OPTIONS", "use_tf32=1", "use_tf32"},
	} {
		t.Run(name, func(t *testing.T) {
			h, env := anyHub(t)
			env[tt.variable] = tt.value
			for _, command := range [][]string{nil, {"warm"}, {"bench"}} {
				code, _, stderr := runWarm(t, env, command...)
				if asked := h.Asked(""); code != exitConfig || !strings.Contains(stderr, tt.says) || len(asked) > 0 {
					t.Errorf("worker %q: exit code %d, the hub was asked for %q: %s", command, code, asked, stderr)
				}
			}
			// On a machine without the worker's GPU, that is another's matter.
			code, _, stderr := runWarm(t, env, "warm", "--download")
			if asked := h.Asked("/resolve/"); code != exitConfig || len(asked) == 0 || strings.Contains(stderr, tt.says) {
				t.Errorf("warm --download: exit code %d, the hub was asked for %q: %s", code, asked, stderr)
			}
		})
	}
}

// TestInterruptedDownload: an end from outside is no setting that cannot work.
func TestInterruptedDownload(t *testing.T) {
	for name, want := range map[string]int{"": 0, "warm": exitBroken, "warm --download": exitBroken, "bench": exitBroken} {
		h, env := anyHub(t)
		env["ONNXRUNTIME_LIB"] = os.Getenv("ONNXRUNTIME_LIB")
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		h.Refuse = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/resolve/") {
				interrupt()
				<-r.Context().Done()
			}
			return false
		}
		var out, log bytes.Buffer
		code := run(ctx, func() {}, strings.Fields(name), func(name string) string { return env[name] }, &out, &log)
		if code != want || strings.Contains(log.String(), "context canceled") || (want != 0 && !strings.Contains(log.String(), "interrupted: ")) {
			t.Errorf("worker %s: exit code %d, want %d: %s", name, code, want, &log)
		}
	}
}
