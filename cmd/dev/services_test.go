package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// free are addresses with ports that the system chooses.
var free = addresses{nats: "127.0.0.1:0", s3: "127.0.0.1:0", otlp: "127.0.0.1:0"}

func start(t *testing.T, dir string, at addresses) *services {
	t.Helper()
	s, err := startServices(dir, at, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestServicesKeepTheirData puts a job and an object into the services, stops them, and finds both after a start on
// the same folder.
func TestServicesKeepTheirData(t *testing.T) {
	dir, wd := t.TempDir(), workingDir(t)
	prompt := "a cat"
	job := queue.Message{Priority: queue.Normal, Job: queue.Job{BatchID: "b", Model: "tiny-emoji", Prompt: &prompt}}
	object := upload.Object{Body: []byte("bytes"), ContentType: "image/png", Metadata: upload.Metadata{Spec16: "0123456789abcdef"}}

	s := start(t, dir, free)
	use(t, s, func(ctx context.Context, q *queue.Client, store *upload.Store) {
		if _, err := q.Setup(ctx, queue.Layout{Models: []string{"tiny-emoji"}}); err != nil {
			t.Fatal(err)
		}
		if ack, err := q.Publish(ctx, job); err != nil || ack.Duplicate {
			t.Fatalf("publishing: %+v, %v", ack, err)
		}
		if _, err := store.Put(ctx, "b/1.png", object); err != nil {
			t.Fatal(err)
		}
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if now := workingDir(t); now != wd {
		t.Errorf("the working directory is %s after stop, want %s", now, wd)
	}

	use(t, start(t, dir, free), func(ctx context.Context, q *queue.Client, store *upload.Store) {
		if ack, err := q.Publish(ctx, job); err != nil || !ack.Duplicate {
			t.Errorf("publishing the same job again: %+v, %v, want a duplicate", ack, err)
		}
		got, err := store.Get(ctx, "b/1.png")
		if err != nil || string(got.Body) != "bytes" {
			t.Errorf("the object is %q, %v, want what was put", got.Body, err)
		}
	})
	if _, err := os.Stat(filepath.Join(dir, "s3", bucket, "b", "1.png")); err != nil {
		t.Errorf("the object is no file in the data folder: %v", err)
	}
}

// use connects to the services as another process would, from their environment alone.
func use(t *testing.T, s *services, do func(context.Context, *queue.Client, *upload.Store)) {
	t.Helper()
	env := map[string]string{}
	for _, v := range s.environment() {
		env[v.name] = v.value
	}
	q, err := queue.Connect(t.Context(), queue.Config{URL: env["NATS_URL"]})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	store, err := upload.Open(t.Context(), upload.Config{
		Bucket: env["S3_BUCKET"], Endpoint: env["AWS_ENDPOINT_URL"], Region: env["AWS_REGION"],
		AccessKeyID: env["AWS_ACCESS_KEY_ID"], SecretAccessKey: env["AWS_SECRET_ACCESS_KEY"],
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	do(t.Context(), q, store)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(env["OTEL_EXPORTER_OTLP_ENDPOINT"]+"/v1/traces", "application/x-protobuf", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the collector answers %s, want 200", resp.Status)
	}
}

func workingDir(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return wd
}

// TestServicesThatCannotStart holds that the error names the address, and that what had started is stopped.
func TestServicesThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for name, tc := range map[string]struct {
		at   addresses
		want string
	}{
		"broker":     {addresses{addr, free.s3, free.otlp}, addr},
		"store":      {addresses{free.nats, addr, free.otlp}, addr},
		"collector":  {addresses{free.nats, free.s3, addr}, addr},
		"no address": {addresses{"4222", free.s3, free.otlp}, "NATS_ADDR (--nats-addr)"},
		"no port":    {addresses{"127.0.0.1:99999", free.s3, free.otlp}, "NATS_ADDR (--nats-addr)"},
	} {
		t.Run(name, func(t *testing.T) {
			wd := workingDir(t)
			_, err := startServices(t.TempDir(), tc.at, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that names %s", err, tc.want)
			}
			if now := workingDir(t); now != wd {
				t.Errorf("the working directory is %s, want %s", now, wd)
			}
		})
	}
}

func TestServicesTelemetryStaysHere(t *testing.T) {
	s := start(t, t.TempDir(), free)
	got := map[string]string{}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "HOME"} {
		got[name] = s.getenv(name)
	}
	want := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.otlp.Endpoint(), "OTEL_TRACES_SAMPLER": "", "HOME": ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("getenv (-want +got):\n%s", diff)
	}
}

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	release, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the second lock: %v, want an error that says it is in use", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = lockDir(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
