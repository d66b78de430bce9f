package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range s3d.Lingering() {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, ignore...)
}

// bucket is where the workers of these tests put their pictures.
const bucket = "images"

// world is what the command meets: a real broker, and a real store where a test asks for one.
type world struct {
	t      *testing.T
	broker *natsd.Server
	store  *s3d.Server // nil without
	client *queue.Client
	env    map[string]string
	draw   func(j queue.Job) []byte // what workers draw; picture where a test sets nothing else

	metrics func() string // of what sends webhooks, once that runs
}

// newWorld starts a broker on which a worker has registered the model m.
func newWorld(t *testing.T, models ...string) *world {
	t.Helper()
	s, err := natsd.Start(natsd.Options{})
	if err != nil {
		t.Fatalf("starting the broker: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping the broker: %v", err)
		}
	})
	w := &world{t: t, broker: s, env: map[string]string{"NATS_URL": s.URL()}, draw: picture}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if w.client, err = queue.Connect(ctx, queue.Config{URL: s.URL(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}); err != nil {
		t.Fatalf("connecting to the broker: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.client.Close(ctx); err != nil {
			t.Errorf("closing the client: %v", err)
		}
	})
	if _, err := w.client.Setup(t.Context(), queue.Layout{Models: models}); err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		if err := w.client.RegisterModel(t.Context(), queue.Model{Name: m, Digest: "d", Defaults: queue.ModelDefaults{NumInferenceSteps: 20}}, false); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// withStore adds a store and tells the command of it.
func (w *world) withStore() *world {
	w.t.Helper()
	s, err := s3d.Start(s3d.Options{Dir: w.t.TempDir(), Buckets: []string{bucket}})
	if err != nil {
		w.t.Fatalf("starting the store: %v", err)
	}
	w.t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			w.t.Errorf("stopping the store: %v", err)
		}
	})
	w.store = s
	w.env["AWS_ENDPOINT_URL"] = s.Endpoint()
	w.env["AWS_ACCESS_KEY_ID"], w.env["AWS_SECRET_ACCESS_KEY"], w.env["AWS_REGION"] = s.AccessKey(), s.SecretKey(), s.Region()
	return w
}

// ran is what a run of the command left.
type ran struct {
	stdout, stderr string
	err            error
}

func (r ran) code() int { return exitCode(r.err) }

// run runs the command to its end.
func (w *world) run(args ...string) ran { return w.runWith(w.t.Context(), nil, nil, args...) }

// runWith runs the command with standard input, and with on called after each write to standard output.
func (w *world) runWith(ctx context.Context, stdin io.Reader, on func(written string), args ...string) ran {
	w.t.Helper()
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	out, errs := &tap{on: on}, &tap{}
	err := run(ctx, args, func(k string) string { return w.env[k] }, stdin, out, errs)
	if err != nil {
		w.t.Logf("enqueue %s: %v", strings.Join(args, " "), err)
	}
	return ran{out.String(), errs.String(), err}
}

// tap keeps what is written, and tells of it.
type tap struct {
	mu sync.Mutex
	b  bytes.Buffer
	on func(written string)
}

func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b.Write(p)
	if t.on != nil {
		t.on(t.b.String())
	}
	return len(p), nil
}

func (t *tap) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// want fails the test unless the command ended with a code and said certain things.
func (r ran) want(t *testing.T, code int, says ...string) {
	t.Helper()
	if r.code() != code {
		t.Fatalf("exit code %d, want %d; error %v\nstdout:\n%s\nstderr:\n%s", r.code(), code, r.err, r.stdout, r.stderr)
	}
	message := fmt.Sprint(r.err) + r.stdout + r.stderr
	for _, s := range says {
		if !strings.Contains(message, s) {
			t.Errorf("nothing says %q: error %v\nstdout:\n%s\nstderr:\n%s", s, r.err, r.stdout, r.stderr)
		}
	}
}

// jetstream is a connection to the broker of the test's own.
func (w *world) jetstream() jetstream.JetStream {
	w.t.Helper()
	nc, err := nats.Connect(w.broker.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	return js
}

// jobs reads the JOBS stream, and checks that it holds jobs 0..n-1 of a batch, each once.
func (w *world) jobs(batch string, n int) []queue.Job {
	w.t.Helper()
	js := w.jetstream()
	s, err := js.Stream(w.t.Context(), "JOBS")
	if err != nil {
		w.t.Fatal(err)
	}
	state := s.CachedInfo().State
	var all []queue.Job
	for next := state.FirstSeq; next <= state.LastSeq && state.Msgs > 0; {
		messages, err := jetstreamext.GetBatch(w.t.Context(), js, "JOBS", 1000, jetstreamext.GetBatchSeq(next))
		if err != nil {
			w.t.Fatal(err)
		}
		for m, err := range messages {
			if err != nil {
				w.t.Fatal(err)
			}
			next = m.Sequence + 1
			id := queue.Identity{Batch: batch, Index: int64(len(all))}
			if m.Header.Get("Nats-Msg-Id") != id.MsgID() {
				w.t.Fatalf("message %d of the queue is %s, want %s", m.Sequence, m.Header.Get("Nats-Msg-Id"), id.MsgID())
			}
			j, err := queue.Decode(m.Data, id)
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, j)
		}
	}
	if len(all) != n {
		w.t.Fatalf("%d jobs in the queue, want %d", len(all), n)
	}
	return all
}

// purge takes messages out of a stream, of all subjects that match.
func (w *world) purge(stream, subject string) {
	w.t.Helper()
	js := w.jetstream()
	s, err := js.Stream(w.t.Context(), stream)
	if err == nil {
		err = s.Purge(w.t.Context(), jetstream.WithPurgeSubject(subject))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// picture is what the workers of these tests draw for a job: bytes that depend on it alone.
func picture(j queue.Job) []byte {
	return fmt.Appendf(nil, "picture of %q with seed %d", queue.Or(j.Prompt, ""), j.SeedOrDefault())
}

// work runs a worker until the test ends: it fetches jobs, puts their pictures into the store, records and
// acknowledges. Outcome says what becomes of a job; nil lets all succeed.
func (w *world) work(models []string, outcome func(j queue.Job) string) {
	w.t.Helper()
	source, err := w.client.NewSource(queue.SourceConfig{Layout: queue.Layout{Models: models}, IdleMin: 5 * time.Millisecond, IdleMax: 20 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	var store *upload.Store
	if w.store != nil {
		if store, err = upload.Open(w.t.Context(), upload.Config{Bucket: bucket, Endpoint: w.store.Endpoint(), Region: w.store.Region(),
			AccessKeyID: w.store.AccessKey(), SecretAccessKey: w.store.SecretKey()}, nil); err != nil {
			w.t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { // ended by the clean-up
		defer close(done)
		for ctx.Err() == nil {
			jobs, err := source.Fetch(ctx, 16)
			if err != nil {
				return
			}
			for _, d := range jobs {
				status := queue.Succeeded
				if outcome != nil {
					status = outcome(d.Job)
				}
				if err := w.settle(ctx, store, d, status); err != nil && ctx.Err() == nil {
					w.t.Errorf("the worker: %v", err)
				}
			}
			if len(jobs) == 0 {
				_ = source.Wait(ctx) // ends with ctx, which the loop looks at
			}
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
		if store != nil {
			store.Close()
		}
	})
}

func (w *world) settle(ctx context.Context, store *upload.Store, d *queue.Delivery, status string) error {
	r := queue.Result{BatchID: d.ID.Batch, Index: d.ID.Index, Retry: d.ID.Retry, Status: status, Model: d.Job.Model, Seed: new(queue.Seed(d.Job.SeedOrDefault()))}
	switch status {
	case queue.Failed:
		r.Error = &queue.ResultError{Type: queue.TypeModelError, Message: "it\x1bbroke"}
		if err := w.client.DeadLetter(ctx, d, queue.Failure{Type: r.Error.Type, Message: r.Error.Message, TraceID: strings.Repeat("7", 32), Attempts: 5}); err != nil {
			return err
		}
	case queue.Succeeded:
		body := w.draw(d.Job)
		spec, err := d.Job.Spec16()
		if err != nil {
			return err
		}
		ext := upload.Ext(queue.Or(d.Job.Format, upload.PNG))
		sum := sha256.Sum256(body)
		r.Timings = &queue.Timings{}
		r.Image = &queue.Image{Bucket: bucket, Key: upload.Key("", d.ID.Batch, d.ID.Index, spec, ext), ContentType: "image/png",
			Width: 1, Height: 1, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]), PixelsSHA256: hex.EncodeToString(sum[:])}
		if store != nil {
			if _, err := store.Put(ctx, r.Image.Key, upload.Object{Body: body, ContentType: "image/png", Metadata: upload.Metadata{Spec16: spec}}); err != nil {
				return err
			}
		}
	}
	if _, err := w.client.Record(ctx, r); err != nil {
		return err
	}
	return d.Ack(ctx)
}

// lines decodes JSON lines, and checks that each has a type.
func lines(t *testing.T, out string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(out) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, ok := l["type"].(string); !ok {
			t.Errorf("%q has no type", line)
		}
		all = append(all, l)
	}
	return all
}

// typed are the lines of one type.
func typed(all []map[string]any, kind string) []map[string]any {
	return slices.DeleteFunc(slices.Clone(all), func(l map[string]any) bool { return l["type"] != kind })
}

// files are the names and contents of the files in a folder, hidden ones included.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

// file writes a file for the command to read.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
