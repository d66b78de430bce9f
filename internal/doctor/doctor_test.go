package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/otlpd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

const bucket = "images"

// shared are the servers of all tests, and the model: there is one store a process, and it changes the working directory.
var shared struct {
	broker *natsd.Server
	store  *s3d.Server
	model  string
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if os.Getenv("ONNXRUNTIME_LIB") == "" {
		fmt.Fprintln(os.Stderr, "these tests need ONNX Runtime: run `make test`, or set ONNXRUNTIME_LIB to what `make ort` prints")
		return 1
	}
	ignore := goleak.IgnoreCurrent()
	var err error
	if shared.model, err = filepath.Abs("../../testdata/pipelines/sd15"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if shared.broker, err = natsd.Start(natsd.Options{}); err == nil {
		shared.store, err = s3d.Start(s3d.Options{Buckets: []string{bucket}})
	}
	code := 1
	if err == nil {
		code = m.Run()
		err = shared.store.Stop()
	}
	if stop := shared.broker.Stop(); err == nil {
		err = stop
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var lingering []goleak.Option
	for _, f := range s3d.Lingering() {
		lingering = append(lingering, goleak.IgnoreAnyFunction(f))
	}
	if err := goleak.Find(append(lingering, ignore)...); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// healthy is a configuration in which everything is there, the queue set up for the model sd15. Each test has a prefix
// of its own in queue and bucket.
func healthy(t *testing.T) Config {
	t.Helper()
	prefix := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, t.Name())
	prefix = prefix[max(0, len(prefix)-30):]
	sink, err := otlpd.Start(otlpd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sink.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := Config{
		Queue: queue.Config{URL: shared.broker.URL(), Prefix: prefix},
		Store: upload.Config{Bucket: bucket, Prefix: prefix + "/", Endpoint: shared.store.Endpoint(), Region: shared.store.Region(),
			AccessKeyID: shared.store.AccessKey(), SecretAccessKey: shared.store.SecretKey(), MaxAttempts: 1},
		Runtime: ort.Options{Library: os.Getenv("ONNXRUNTIME_LIB"), Threads: 1},
		Models:  []Model{{Name: "sd15", Dir: shared.model}},
		Getenv:  env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": sink.Endpoint()}),
	}
	setUp(t, c)
	return c
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// setUp makes the queue.
func setUp(t *testing.T, c Config) *queue.Client {
	t.Helper()
	client, err := queue.Connect(t.Context(), c.Queue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(t.Context()); err != nil && !strings.Contains(err.Error(), "context canceled") {
			t.Error(err)
		}
	})
	if _, err := client.Setup(t.Context(), queue.Layout{Models: []string{"sd15"}}); err != nil {
		t.Fatal(err)
	}
	return client
}

// bad are the checks that are not as they should be, "area name status: mend".
func bad(r Report) []string {
	var out []string
	for _, c := range r.Checks {
		if c.Status == Failed || c.Status == Warning {
			out = append(out, fmt.Sprintf("%s %s %s: %s", c.Area, c.Name, c.Status, c.Mend))
		}
	}
	return out
}

// files are what lies in the bucket.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(shared.store.Dir(), bucket), func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestHealthy(t *testing.T) {
	c := healthy(t)
	before := files(t)
	r := Run(t.Context(), c)
	if !r.OK || bad(r) != nil {
		t.Errorf("%s", strings.Join(bad(r), "\n"))
	}
	var names []string
	for _, check := range r.Checks {
		if check.Area != AreaQueue {
			names = append(names, check.Area+" "+check.Name)
		}
	}
	want := []string{"store bucket", "store write", "store conditional write", "store read", "store delete", "store presign",
		"models runtime", "models sd15", "telemetry traces", "telemetry metrics", "telemetry logs"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, files(t)); diff != "" {
		t.Errorf("objects are left behind:\n%s", diff)
	}
	if i := slices.IndexFunc(r.Checks, func(c Check) bool { return c.Name == "registry sd15" }); i < 0 || r.Checks[i].Status != OK {
		t.Errorf("no look at the registry: %+v", r.Checks)
	}
}

// TestFailures: each thing that can be wrong is one check with its mend, and the other areas are looked at all the same.
func TestFailures(t *testing.T) {
	empty := t.TempDir()
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *Config)
		want   []string // prefixes
	}{
		{"no broker", func(_ *testing.T, c *Config) { c.Queue.URL = "nats://127.0.0.1:1" }, []string{"queue connection failed: nobody answers there"}},
		{"no right", func(t *testing.T, c *Config) { c.Queue.URL = restricted(t, *c) }, []string{"queue publish results failed: allow the user to publish to"}},
		{"nothing set up", func(_ *testing.T, c *Config) { c.Queue.NoAutoCreate, c.Models[0].Name = true, "other" }, []string{
			"queue consumer w-high-other failed: have an administrator run: enqueue setup --models other", "queue consumer w-normal-other failed", "queue consumer w-low-other failed"}},
		{"another model under the name", registered, []string{"queue registry sd15 failed: serve it under another name"}},
		{"no bucket", func(_ *testing.T, c *Config) { c.Store.Bucket = "nothere" }, []string{"store bucket failed: create it or correct S3_BUCKET"}},
		{"no bucket named", func(_ *testing.T, c *Config) { c.Store.Bucket = "" }, []string{"store settings failed: correct the setting"}},
		{"wrong secret", func(_ *testing.T, c *Config) { c.Store.SecretAccessKey = "wrong" }, []string{"store bucket failed: correct AWS_SECRET_ACCESS_KEY"}},
		{"store away", func(_ *testing.T, c *Config) { c.Store.Endpoint = "http://127.0.0.1:1" }, []string{"store bucket failed: is the store up, and AWS_ENDPOINT_URL_S3 right?"}},
		{"store without conditions", func(t *testing.T, c *Config) {
			stored := map[string]bool{}
			c.Store.Endpoint = proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.Method == http.MethodPut && stored[r.URL.Path] {
					return // 200, whatever the condition was
				}
				stored[r.URL.Path] = r.Method == http.MethodPut
				pass.ServeHTTP(w, r)
			})
		}, []string{"store conditional write warning: A store with conditional writes prevents that"}},
		{"no right to read", forbidding("GET", "HEAD"), []string{"store read warning: Allow s3:GetObject on the bucket's objects"}},
		{"no right to delete", forbidding("DELETE"), []string{"store delete warning: Allow s3:DeleteObject"}},
		{"links do not work", func(t *testing.T, c *Config) {
			c.Store.Endpoint = proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
				if r.URL.Query().Has("X-Amz-Signature") {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				pass.ServeHTTP(w, r)
			})
		}, []string{"store presign warning: links to pictures do not work from here"}},
		{"no library", func(_ *testing.T, c *Config) { c.Runtime.Library = "/nonexistent.so" }, []string{"models runtime failed: put ONNX Runtime's library"}},
		{"no such provider", func(_ *testing.T, c *Config) { c.Runtime.Provider = "tpu" }, []string{"models runtime failed: set PROVIDER to"}},
		{"no model", func(_ *testing.T, c *Config) { c.Models = nil }, []string{"models MODELS failed: set MODELS"}},
		{"an empty folder", func(_ *testing.T, c *Config) { c.Models[0].Dir = empty }, []string{"models sd15 failed: MODELS must name a folder with a pipeline"}},
		{"no collector", func(_ *testing.T, c *Config) {
			c.Getenv = env(map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"})
		}, []string{"telemetry traces failed: nobody takes the connection"}},
		{"a bad variable", func(_ *testing.T, c *Config) { c.Getenv = env(map[string]string{"OTEL_TRACES_SAMPLER": "xray"}) },
			[]string{"telemetry OTEL_TRACES_SAMPLER warning: correct the variable"}},
		{"a quota", func(_ *testing.T, c *Config) {
			c.Getenv = env(map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c/v1/logs"})
			c.Transport = answer(http.StatusTooManyRequests)
		}, []string{"telemetry logs warning: the key works"}},
		{"a bad setting", func(_ *testing.T, c *Config) { c.Settings = []error{errors.New("SLOTS is -1")} }, []string{"settings flags failed: correct the setting"}},
		{"settings told once", func(_ *testing.T, c *Config) {
			c.Settings, c.Models, c.Store.Bucket = []error{errors.New("S3_BUCKET is empty"), errors.New("no models")}, nil, ""
		}, []string{"settings flags failed: correct the setting", "settings flags failed: correct the setting"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := healthy(t)
			tt.change(t, &c)
			r := Run(t.Context(), c)
			got := bad(r)
			if !slices.EqualFunc(tt.want, got, func(want, got string) bool { return strings.HasPrefix(got, want) }) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if failed := strings.Contains(tt.want[0], " failed: "); r.OK == failed {
				t.Errorf("the report says %v", r.OK)
			}
			var text bytes.Buffer
			if err := r.WriteTable(&text); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{shared.store.SecretKey(), "X-Amz-Signature"} {
				if strings.Contains(text.String(), secret) {
					t.Errorf("%s is in the report", secret)
				}
			}
		})
	}
}

func TestWrite(t *testing.T) {
	r := Report{OK: false, Checks: []Check{
		{AreaQueue, "connection", OK, "nats://h", ""}, {AreaStore, "bucket", Failed, "putting\ns3://b: no", "create <it>"},
		{AreaStore, "delete", Warning, "", "allow it"}, {AreaTelemetry, "traces", Skipped, "off", "not said"},
	}}
	var text, data bytes.Buffer
	if err := r.WriteTable(&text); err != nil {
		t.Fatal(err)
	}
	want := `ok    queue      connection  nats://h
FAIL  store      bucket      putting s3://b: no
                 → create <it>
warn  store      delete
                 → allow it
skip  telemetry  traces      off

4 checks: 1 ok, 1 warnings, 1 failed, 1 skipped
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if err := r.WriteJSON(&data); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" || !strings.Contains(data.String(), "create <it>") {
		t.Errorf("JSON (-want +got):\n%s\n%s", diff, &data)
	}
}
