package main

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/local/hubd"
)

// hub has the small model.
func hub(t *testing.T) *hubd.Hub {
	t.Helper()
	files := map[string]string{}
	dir := os.DirFS(filepath.FromSlash(shipped))
	err := fs.WalkDir(dir, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(dir, name)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h := hubd.Start(strings.Repeat("a", 40), files)
	t.Cleanup(h.Stop)
	return h
}

// runWith runs dev with variables, and ONNX Runtime.
func runWith(ctx context.Context, t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	env["ONNXRUNTIME_LIB"] = library(t)
	var out, log bytes.Buffer
	code = run(ctx, process{args: args, getenv: func(name string) string { return env[name] }, stdout: &out, stderr: &log})
	return code, out.String(), log.String()
}

// TestDemoByURL: a model of a hub is downloaded, drawn with, and there for the next time without the hub.
func TestDemoByURL(t *testing.T) {
	inRepository(t)
	h := hub(t)
	h.Token = "hf_sesame"
	env := map[string]string{"HF_ENDPOINT": h.URL(), "HF_TOKEN": h.Token, "STIPPLE_MODEL_CACHE": t.TempDir(), "MODELS": "hf://acme/toy"}
	demo := []string{"demo", "--json", "--out", filepath.Join(t.TempDir(), "demo"), "a cat"}
	code, stdout, stderr := runWith(t.Context(), t, env, demo...)
	if code != 0 || !strings.Contains(stdout, `"pictures":1,"failed":0`) || !strings.Contains(stderr, "downloading a model") || !strings.Contains(stderr, "hf://acme/toy@main") {
		t.Fatalf("exit code %d: %s\n%s", code, stdout, stderr)
	}
	if leaked := h.Leaked(); len(leaked) > 0 {
		t.Errorf("the token was shown to %q", leaked)
	}

	h.Stop()
	env["HF_HUB_OFFLINE"], env["HF_TOKEN"] = "true", ""
	code, stdout, stderr = runWith(t.Context(), t, env, demo...)
	if code != 0 || !strings.Contains(stdout, `"pictures":1,"failed":0`) || strings.Contains(stderr, "downloading a model") {
		t.Errorf("offline: exit code %d: %s\n%s", code, stdout, stderr)
	}
}

func TestModelThatCannotBeFetched(t *testing.T) {
	inRepository(t)
	h := hub(t)
	h.Token = "hf_sesame"
	env := map[string]string{"HF_ENDPOINT": h.URL(), "HF_TOKEN": "wrong", "STIPPLE_MODEL_CACHE": t.TempDir(), "MODELS": "hf://acme/toy", "DEV_DATA": t.TempDir(), "DEMO_OUT": filepath.Join(t.TempDir(), "demo")}
	for _, command := range [][]string{nil, {"demo"}} {
		code, stdout, stderr := runWith(t.Context(), t, env, command...)
		if code != exitConfig || stdout != "" || !strings.Contains(stderr, "HF_TOKEN is not valid") {
			t.Errorf("%q: exit code %d, want %d: %s\n%s", command, code, exitConfig, stdout, stderr)
		}
	}
}

// TestInterruptedDownload ends as everything that is interrupted does.
func TestInterruptedDownload(t *testing.T) {
	inRepository(t)
	h := hub(t)
	env := map[string]string{"HF_ENDPOINT": h.URL(), "STIPPLE_MODEL_CACHE": t.TempDir(), "MODELS": "hf://acme/toy", "DEV_DATA": t.TempDir(), "DEMO_OUT": filepath.Join(t.TempDir(), "demo")}
	for want, command := range map[int][]string{0: nil, exitInterrupted: {"demo"}} {
		ctx, interrupt := context.WithCancel(t.Context())
		h.Refuse = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.Path, "/resolve/") {
				interrupt()
				<-r.Context().Done()
			}
			return false
		}
		if code, stdout, stderr := runWith(ctx, t, env, command...); code != want || stdout != "" || strings.Contains(stderr, "dev:") {
			t.Errorf("%q: exit code %d, want %d: %s\n%s", command, code, want, stdout, stderr)
		}
		interrupt()
	}
}

// TestStoresAreForgottenAfterTheDownload: the bucket that models come from is the environment's, that of the pictures is not.
func TestStoresAreForgottenAfterTheDownload(t *testing.T) {
	inRepository(t)
	asked := make(chan string, 1)
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer bucket.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": bucket.URL, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "here", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
	env := map[string]string{"STIPPLE_MODEL_CACHE": t.TempDir(), "MODELS": "s3://models/sdxl", "DEV_DATA": t.TempDir()}
	code, _, stderr := runWith(t.Context(), t, env)
	if code != exitConfig || len(asked) == 0 || !strings.HasPrefix(<-asked, "/models") {
		t.Errorf("exit code %d, and the bucket of the models was not asked: %s", code, stderr)
	}
	c := &config{models: shipped, library: library(t), level: "warn"}
	if err := c.finish(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if err := c.fetch(t.Context(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if left := os.Getenv("AWS_ENDPOINT_URL_S3"); left != "" {
		t.Errorf("AWS_ENDPOINT_URL_S3 is still %s", left)
	}
}
