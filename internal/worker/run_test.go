package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/local/s3d"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

const bucket = "images"

// servers are the broker and the store of all tests of the package: the store is one a process.
type servers struct {
	broker *natsd.Server
	store  *s3d.Server
	model  string // absolute: the store changes the working directory
}

var shared servers

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) (code int) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if os.Getenv("ONNXRUNTIME_LIB") == "" {
		fail(fmt.Errorf("these tests need ONNX Runtime: run `make test`, or set ONNXRUNTIME_LIB to what `make ort` prints"))
		return code
	}
	var err error
	shared.model, err = filepath.Abs(filepath.Join("..", "..", "testdata", "pipelines", "sd15"))
	fail(err)
	shared.broker, err = natsd.Start(natsd.Options{Port: -1})
	fail(err)
	shared.store, err = s3d.Start(s3d.Options{Buckets: []string{bucket}})
	fail(err)
	if code != 0 {
		return code
	}
	code = m.Run()
	fail(shared.store.Stop())
	fail(shared.broker.Stop())
	if code == 0 {
		var ignored []goleak.Option
		for _, f := range s3d.Lingering() {
			ignored = append(ignored, goleak.IgnoreAnyFunction(f))
		}
		fail(goleak.Find(ignored...))
	}
	return code
}

// prefix keeps the tests apart on one broker and in one bucket.
func prefix(t *testing.T) string {
	return fmt.Sprintf("t%x", sha256.Sum256([]byte(t.Name())))[:16]
}

func storeConfig(t *testing.T) upload.Config {
	return upload.Config{Bucket: bucket, Prefix: prefix(t) + "/", Endpoint: shared.store.Endpoint(), AccessKeyID: shared.store.AccessKey(), SecretAccessKey: shared.store.SecretKey()}
}

// running is a worker in this process, and a client beside it.
type running struct {
	t      *testing.T
	client *queue.Client
	store  *upload.Store
	log    *syncBuffer

	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // what it returned
	seen   bool          // the test has looked at err
}

// stop ends the worker and returns what Run returned.
func (r *running) stop() error {
	r.cancel()
	return r.wait()
}

// wait returns what Run returns by itself.
func (r *running) wait() error {
	<-r.done
	r.seen = true
	return r.err
}

// startWorker runs a worker until the test ends.
func startWorker(t *testing.T, change func(*Config)) *running {
	t.Helper()
	r := connect(t)
	cfg := Config{
		Name: prefix(t), Models: []ModelPath{{"sd15", shared.model}},
		Runtime: ort.Options{Library: os.Getenv("ONNXRUNTIME_LIB")}, Lanes: min(2, runtime.GOMAXPROCS(0)),
		Queue: queue.Config{URL: shared.broker.URL(), Prefix: prefix(t)}, AckWait: 2 * time.Second, Store: storeConfig(t),
		DrainTimeout: 5 * time.Second, FlushTimeout: time.Second,
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan struct{})
	go func() { // ends at stop
		defer close(r.done)
		r.err = Run(ctx, cfg)
	}()
	t.Cleanup(func() {
		seen := r.seen
		if err := r.stop(); err != nil && !seen {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

// connect lays the queue out and opens the store, as enqueue does.
func connect(t *testing.T) *running {
	t.Helper()
	ctx := context.Background()
	client, err := queue.Connect(ctx, queue.Config{URL: shared.broker.URL(), Prefix: prefix(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Setup(ctx, queue.Layout{Models: []string{"sd15"}, AckWait: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	store, err := upload.Open(ctx, storeConfig(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		store.Close()
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := client.Close(ctx); err != nil && client.Connected() { // it may not have found the way back to a broker that was away
			t.Error(err)
		}
	})
	return &running{t: t, client: client, store: store, log: &syncBuffer{}}
}

// quick is a job that takes a few milliseconds.
func quick(batch string, index int64) queue.Job {
	return queue.Job{BatchID: batch, Index: index, Model: "sd15", Prompt: new(fmt.Sprint("prompt ", index)), NumInferenceSteps: new(2), Width: new(64), Height: new(64)}
}

func (r *running) publish(jobs ...queue.Job) {
	r.t.Helper()
	for _, j := range jobs {
		if _, err := r.client.Publish(context.Background(), queue.Message{Priority: queue.Normal, Job: j}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// result waits for a job's record.
func (r *running) result(batch string, index int64) queue.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		res, found, err := r.client.Lookup(ctx, batch, index)
		if err != nil {
			r.t.Fatalf("no result of %s/%d: %v\n%s", batch, index, err, r.log)
		}
		if found {
			return res
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			r.t.Fatalf("no result of %s/%d in time\n%s", batch, index, r.log)
		}
	}
}

// checkImage holds a succeeded result against the object in the store.
func (r *running) checkImage(res queue.Result) upload.Object {
	r.t.Helper()
	if res.Status != queue.Succeeded || res.Image == nil {
		r.t.Fatalf("got %+v, want succeeded with an image", res)
	}
	o, err := r.store.Get(context.Background(), res.Image.Key)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(o.Body))
	if err != nil {
		r.t.Fatal(err)
	}
	pic := upload.Picture{Width: m.Bounds().Dx(), Height: m.Bounds().Dy()}
	for y := range pic.Height {
		for x := range pic.Width {
			red, green, blue, _ := m.At(x, y).RGBA()
			pic.Pix = append(pic.Pix, byte(red>>8), byte(green>>8), byte(blue>>8))
		}
	}
	if pic.SHA256() != res.Image.PixelsSHA256 || int64(len(o.Body)) != res.Image.Size || pic.Width != res.Image.Width || pic.Height != res.Image.Height {
		r.t.Errorf("the object is not what the result says: %+v", res.Image)
	}
	return o
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
