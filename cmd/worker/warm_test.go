package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/upload"
)

// runWarm runs `worker warm`, or another command, with env and the library.
func runWarm(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), func() {}, args, func(name string) string {
		if name == "ONNXRUNTIME_LIB" && env[name] == "" {
			return os.Getenv(name)
		}
		return env[name]
	}, &out, &err)
	return code, out.String(), err.String()
}

// absolute is the small pipeline's folder, also when the process's own has changed.
func absolute(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(small)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// modelBucket is a bucket with the small pipeline under toys/sd15/, which the SDK's own variables lead to.
func modelBucket(t *testing.T) {
	t.Helper()
	dir := absolute(t)
	server, err := s3d.Start(s3d.Options{Buckets: []string{"models"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": server.Endpoint(), "AWS_ACCESS_KEY_ID": server.AccessKey(), "AWS_SECRET_ACCESS_KEY": server.SecretKey(), "AWS_REGION": server.Region(),
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	store, err := upload.Open(t.Context(), upload.Config{Bucket: "models"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			_, err = store.Put(t.Context(), path.Join("toys/sd15", filepath.ToSlash(name)), upload.Object{Body: data, ContentType: "application/octet-stream"})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWarmFromBucket: a model in a bucket is downloaded once, checked, loaded and drawn with; then it is there without anybody.
func TestWarmFromBucket(t *testing.T) {
	modelBucket(t)
	cache := t.TempDir()
	env := map[string]string{"MODELS": "s3://models/toys/sd15", "STIPPLE_MODEL_CACHE": cache}

	code, stdout, _ := runWarm(t, env, "doctor")
	if code != exitBroken || !strings.Contains(stdout, "not downloaded yet") || !strings.Contains(stdout, "worker warm") {
		t.Errorf("doctor before: %d, %s", code, stdout)
	}
	code, stdout, stderr := runWarm(t, env, "warm")
	if code != 0 || !strings.Contains(stdout, "sd15 is warm") || !strings.Contains(stdout, "provider cpu") || !strings.Contains(stderr, "downloaded a model") {
		t.Fatalf("warm: %d, %s, %s", code, stdout, stderr)
	}
	if found, err := filepath.Glob(filepath.Join(cache, "*", "*", "expected_0.png")); err != nil || len(found) > 0 {
		t.Errorf("what no worker reads was downloaded: %q, %v", found, err)
	}
	env["HF_HUB_OFFLINE"], env["AWS_ENDPOINT_URL_S3"] = "true", "http://127.0.0.1:1"
	code, stdout, stderr = runWarm(t, env, "warm", "--download")
	if code != 0 || !strings.Contains(stdout, "sd15 is whole") || strings.Contains(stderr, "downloading") {
		t.Errorf("again, offline: %d, %s, %s", code, stdout, stderr)
	}
	code, stdout, _ = runWarm(t, env, "warm", "--download", "--json")
	if code != 0 || !strings.HasPrefix(stdout, `{"type":"warmed","model":"sd15","digest":"`) || !strings.Contains(stdout, `,"seconds":`) {
		t.Errorf("as JSON: %d, %s", code, stdout)
	}
	code, stdout, _ = runWarm(t, env, "doctor")
	if !strings.Contains(stdout, "digest") || strings.Contains(stdout, "not downloaded") {
		t.Errorf("doctor after: %d, %s", code, stdout)
	}
}

func TestWarmRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		says []string
	}{
		"no models":        {nil, []string{"MODELS", "hf://org/repo"}},
		"a scheme":         {map[string]string{"MODELS": "ftp://host/model"}, []string{"ftp://", "hf://"}},
		"offline":          {map[string]string{"MODELS": "hf://acme/toy", "HF_HUB_OFFLINE": "true"}, []string{"acme/toy", "HF_HUB_OFFLINE"}},
		"an endpoint":      {map[string]string{"MODELS": "hf://acme/toy", "HF_ENDPOINT": "nowhere"}, []string{"HF_ENDPOINT"}},
		"a token":          {map[string]string{"MODELS": "hf://acme/toy", "HF_TOKEN": "se same"}, []string{"HF_TOKEN"}},
		"a folder":         {map[string]string{"MODELS": "/nonexistent"}, []string{"/nonexistent"}},
		"row shapes":       {map[string]string{"MODELS": "x=" + absolute(t), "ROW_SHAPES": "a"}, []string{"ROW_SHAPES"}},
		"options":          {map[string]string{"MODELS": "x=" + absolute(t), "PROVIDER_OPTIONS": "no_such_key=1"}, []string{"PROVIDER_OPTIONS", "no_such_key"}},
		"options of a CPU": {map[string]string{"MODELS": "x=" + absolute(t), "PROVIDER_OPTIONS": "use_tf32=1"}, []string{"use_tf32 is no option of provider cpu"}},
		"sides":            {map[string]string{"MODELS": "x=" + absolute(t), "ENGINE_SIDES": "1024-512"}, []string{"ENGINE_SIDES", "512-1024"}},
		"fallback":         {map[string]string{"MODELS": "x=" + absolute(t), "PROVIDER_FALLBACK": "gpu"}, []string{"PROVIDER_FALLBACK", "must be cpu"}},
		"no GPU":           {map[string]string{"MODELS": "x=" + absolute(t), "PROVIDER": "cuda"}, []string{"PROVIDER=cuda cannot work", "libonnxruntime_providers_cuda.so", "libcuda.so.1", "make ort-cuda"}},
		"no TensorRT":      {map[string]string{"MODELS": "x=" + absolute(t), "PROVIDER": "tensorrt", "ENGINE_CACHE": "/x"}, []string{"libnvinfer.so.10"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.env["STIPPLE_MODEL_CACHE"] == "" && tt.env != nil {
				tt.env["STIPPLE_MODEL_CACHE"] = t.TempDir()
			}
			code, _, stderr := runWarm(t, tt.env, "warm")
			if code != exitConfig {
				t.Errorf("exit code %d, want %d", code, exitConfig)
			}
			for _, want := range tt.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q lacks %q", stderr, want)
				}
			}
			if strings.Contains(stderr, "se same") {
				t.Errorf("%q shows the token", stderr)
			}
		})
	}
}

// TestFallback: the CPU takes a provider's place only where it was asked to, and says so.
func TestFallback(t *testing.T) {
	env := map[string]string{"MODELS": "toy=" + absolute(t), "PROVIDER": "cuda", "PROVIDER_FALLBACK": "cpu"}
	code, stdout, stderr := runWarm(t, env, "warm")
	if code != 0 || !strings.Contains(stdout, "toy is warm") || !strings.Contains(stdout, "provider cpu") || !strings.Contains(stderr, "the CPU is used") {
		t.Errorf("warm: %d, %s, %s", code, stdout, stderr)
	}
	if _, stdout, _ = runWarm(t, env, "doctor"); !strings.Contains(stdout, "PROVIDER_FALLBACK: the CPU is used") {
		t.Errorf("doctor: %s", stdout)
	}
	env["PROVIDER_FALLBACK"] = ""
	code, stdout, _ = runWarm(t, env, "doctor")
	if code != exitBroken || !strings.Contains(stdout, "FAIL  models     libcuda.so.1") || !strings.Contains(stdout, "NVIDIA's driver") {
		t.Errorf("doctor without: %d, %s", code, stdout)
	}
}

func TestParseSides(t *testing.T) {
	for in, want := range map[string][2]int{"": {}, "512-1024": {512, 1024}, "768": {768, 768}, "64 - 128": {64, 128}} {
		if got, err := parseSides(in); err != nil || got != want {
			t.Errorf("%q is %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"a", "512-", "-512", "4-8", "1024-512", "1-2-3"} {
		if got, err := parseSides(in); err == nil {
			t.Errorf("%q is %v", in, got)
		}
	}
}
