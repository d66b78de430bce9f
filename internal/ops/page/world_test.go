package page

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
	"github.com/stipple-ai/stipple/internal/web"
)

func TestMain(m *testing.M) {
	var ignore []goleak.Option
	for _, name := range s3d.Lingering() {
		ignore = append(ignore, goleak.IgnoreAnyFunction(name))
	}
	goleak.VerifyTestMain(m, ignore...)
}

const bucket = "images"

// world is a real broker and a real store, and a page that shows them.
type world struct {
	*System

	t      *testing.T
	broker *natsd.Server
	store  *s3d.Server
	client *queue.Client // of the worker
	images *upload.Store // of the worker
}

// newWorld starts a broker on which a worker has registered the model m, a store, and a page that runs until the test
// ends.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.broker, err = natsd.Start(natsd.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, w.broker.Stop()) })
	if w.store, err = s3d.Start(s3d.Options{Dir: t.TempDir(), Buckets: []string{bucket}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, w.store.Stop()) })
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	if w.client, err = queue.Connect(t.Context(), queue.Config{URL: w.broker.URL(), Logger: logger}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = w.client.Close(ctx) // which fails where a test has just had the broker away
	})
	if _, err := w.client.Setup(t.Context(), queue.Layout{Models: []string{"m"}}); err != nil {
		t.Fatal(err)
	}
	must(t, w.client.RegisterModel(t.Context(), queue.Model{Name: "m", Digest: "d", Defaults: queue.ModelDefaults{NumInferenceSteps: 20, Width: 16, Height: 8}}, false))
	store := upload.Config{Endpoint: w.store.Endpoint(), Region: w.store.Region(), AccessKeyID: w.store.AccessKey(), SecretAccessKey: w.store.SecretKey()}
	w.System = New(Config{Queue: queue.Config{URL: w.broker.URL()}, Store: store, Schedulers: []string{"ddim"}, Logger: logger})
	w.pace = pace{assemble: 20 * time.Millisecond, check: 100 * time.Millisecond, poll: 100 * time.Millisecond, strand: time.Second, store: 100 * time.Millisecond}
	store.Bucket = bucket
	if w.images, err = upload.Open(t.Context(), store, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.images.Close)
	w.run(w.System)
	return w
}

// run runs a page until the test ends.
func (w *world) run(s *System) {
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }() // ended by the clean-up
	w.t.Cleanup(func() {
		stop()
		must(w.t, <-ran)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// until waits for a state of the page.
func (w *world) until(what string, is func(*web.State) bool) *web.State {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		changed := w.Changed()
		st := w.State()
		if is(st) {
			return st
		}
		select {
		case <-changed:
		case <-deadline:
			w.t.Fatalf("the page does not tell of %s: %+v", what, st)
		}
	}
}

// landed waits until so many images have landed after a sequence.
func (w *world) landed(after uint64, n int) []web.Image {
	w.t.Helper()
	var l web.Landed
	w.until("images", func(*web.State) bool {
		l = w.Landed(after, 1000)
		return len(l.Images) >= n
	})
	return l.Images
}

// work draws, or fails, so many jobs.
func (w *world) work(n int, fails func(queue.Job) bool) {
	w.t.Helper()
	source, err := w.client.NewSource(queue.SourceConfig{Layout: queue.Layout{Models: []string{"m"}}, IdleMin: 5 * time.Millisecond, IdleMax: 20 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	for n > 0 {
		jobs, err := source.Fetch(ctx, n)
		if err != nil {
			w.t.Fatalf("%d jobs are not there: %v", n, err)
		}
		for _, d := range jobs {
			n--
			if fails != nil && fails(d.Job) {
				w.fail(d)
			} else {
				w.draw(d)
			}
		}
		if len(jobs) == 0 && source.Wait(ctx) != nil {
			w.t.Fatalf("%d jobs are not there", n)
		}
	}
}

// draw stores a picture of a job, which says what it was drawn from, records and acknowledges.
func (w *world) draw(d *queue.Delivery) {
	w.t.Helper()
	j := d.Job
	spec, err := j.CanonicalSpec()
	must(w.t, err)
	spec16, err := j.Spec16()
	must(w.t, err)
	pic := upload.Picture{Width: 16, Height: 8, Pix: make([]byte, 3*16*8)}
	for i := range pic.Pix {
		pic.Pix[i] = byte(int(j.SeedOrDefault()) + i)
	}
	file, _, err := upload.Encode(pic, upload.PNG, 0, upload.Meta{Prompt: queue.Or(j.Prompt, ""), Steps: 20, Seed: j.SeedOrDefault(), Model: j.Model, Job: spec})
	must(w.t, err)
	sum := sha256.Sum256(file)
	image := &queue.Image{Bucket: bucket, Key: upload.Key("", d.ID.Batch, d.ID.Index, spec16, "png"), ContentType: "image/png", Width: 16, Height: 8,
		Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), PixelsSHA256: pic.SHA256()}
	_, err = w.images.Put(w.t.Context(), image.Key, upload.Object{Body: file, ContentType: "image/png", Metadata: upload.Metadata{Spec16: spec16, Seed: j.SeedOrDefault()}})
	must(w.t, err)
	ms := queue.Millis(time.Millisecond)
	_, err = w.client.Record(w.t.Context(), queue.Result{BatchID: d.ID.Batch, Index: d.ID.Index, Retry: d.ID.Retry, Status: queue.Succeeded, Image: image,
		Seed: new(queue.Seed(j.SeedOrDefault())), Model: j.Model, Worker: "rembrandt", Attempt: 1,
		Timings: &queue.Timings{Wait: 10 * ms, Denoise: 80 * ms, Upload: 10 * ms, Total: 100 * ms}})
	must(w.t, err)
	must(w.t, d.Ack(w.t.Context()))
}

// fail dead-letters a job.
func (w *world) fail(d *queue.Delivery) {
	w.t.Helper()
	must(w.t, w.client.DeadLetter(w.t.Context(), d, queue.Failure{Type: queue.TypeModelError, Message: "it broke", Attempts: 5}))
	_, err := w.client.Record(w.t.Context(), queue.Result{BatchID: d.ID.Batch, Index: d.ID.Index, Retry: d.ID.Retry, Status: queue.Failed, Model: d.Job.Model,
		Error: &queue.ResultError{Type: queue.TypeModelError, Message: "it broke"}})
	must(w.t, err)
	must(w.t, d.Term(w.t.Context(), ""))
}

// announce tells of the worker once.
func (w *world) announce(state string) {
	w.client.AnnounceStatus(queue.Status{Worker: "rembrandt", State: state, Models: []string{"m"}, Slots: 4, Jobs: 1, Rows: 2, StepsPerSecond: 12.5})
}

// statusOf is the HTTP status of an error.
func statusOf(t *testing.T, err error) int {
	t.Helper()
	if e, ok := err.(*web.Error); ok { //nolint:errorlint // as it is returned
		return e.Status
	}
	t.Logf("error %v", err)
	return 0
}
