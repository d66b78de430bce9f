package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// painter is a worker of these tests that draws pictures of a few pixels, which depend on the job and shade alone, and
// keeps the records that a worker keeps.
type painter struct {
	shade  byte
	detail upload.Detail
	times  queue.Timings
	rows   queue.Mean
}

const paintTrace = "0af7651916cd43dd8448eb211c80319c"

// paintTimes are parts of a job's time that sum to 1 s but for 1 %.
func paintTimes() queue.Timings {
	ms := func(n int) queue.Millis { return queue.Millis(time.Duration(n) * time.Millisecond) }
	return queue.Timings{Queue: ms(2500), Wait: ms(100), TextEncode: ms(50), Denoise: ms(600), Decode: ms(120), ImageEncode: ms(30), Upload: ms(90), Total: ms(1000)}
}

// draw is the picture of a job.
func (p painter) draw(j queue.Job) upload.Picture {
	pic := upload.Picture{Width: 16, Height: 8}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", queue.Or(j.Prompt, ""), j.SeedOrDefault()))
	for i := range 3 * pic.Width * pic.Height {
		pic.Pix = append(pic.Pix, sum[i%len(sum)]/2+p.shade)
	}
	return pic
}

// file is the picture's file.
func (p painter) file(j queue.Job) ([]byte, upload.Picture, error) {
	spec, err := j.CanonicalSpec()
	if err != nil {
		return nil, upload.Picture{}, err
	}
	pic := p.draw(j)
	file, _, err := upload.Encode(pic, queue.Or(j.Format, upload.PNG), queue.Or(j.Quality, 0), upload.Meta{
		Prompt: queue.Or(j.Prompt, ""), NegativePrompt: queue.Or(j.NegativePrompt, ""), Steps: queue.Or(j.NumInferenceSteps, 20), Scheduler: queue.Or(j.Scheduler, "euler_a"),
		Guidance: queue.Or(j.GuidanceScale, 7.5), Seed: j.SeedOrDefault(), Model: j.Model, ModelDigest: "d", Job: spec, TraceID: paintTrace, Detail: p.detail,
	})
	return file, pic, err
}

// settle draws one job and records it.
func (p painter) settle(ctx context.Context, c *queue.Client, store *upload.Store, d *queue.Delivery) error {
	spec, err := d.Job.Spec16()
	if err != nil {
		return err
	}
	file, pic, err := p.file(d.Job)
	if err != nil {
		return err
	}
	format := queue.Or(d.Job.Format, upload.PNG)
	sum := sha256.Sum256(file)
	t := p.times
	image := &queue.Image{Bucket: bucket, Key: upload.Key("", d.ID.Batch, d.ID.Index, spec, upload.Ext(format)), ContentType: "image/" + format,
		Width: pic.Width, Height: pic.Height, Size: int64(len(file)), SHA256: hex.EncodeToString(sum[:]), PixelsSHA256: pic.SHA256()}
	if _, err := store.Put(ctx, image.Key, upload.Object{Body: file, ContentType: image.ContentType, Metadata: upload.Metadata{
		Spec16: spec, SHA256: image.SHA256, PixelsSHA256: image.PixelsSHA256, Model: d.Job.Model, ModelDigest: "d", Seed: d.Job.SeedOrDefault(), TraceID: paintTrace,
		Width: pic.Width, Height: pic.Height, Attempt: 2, Worker: "rembrandt", RowsMean: float64(p.rows),
		Timings: upload.Timings{Queue: time.Duration(t.Queue), Wait: time.Duration(t.Wait), TextEncode: time.Duration(t.TextEncode), Denoise: time.Duration(t.Denoise),
			Decode: time.Duration(t.Decode), ImageEncode: time.Duration(t.ImageEncode)},
	}}); err != nil {
		return err
	}
	if _, err := c.Record(ctx, queue.Result{BatchID: d.ID.Batch, Index: d.ID.Index, Retry: d.ID.Retry, Status: queue.Succeeded, TraceID: paintTrace, Image: image,
		Seed: new(queue.Seed(d.Job.SeedOrDefault())), Model: d.Job.Model, ModelDigest: "d", Attempt: 2, Worker: "rembrandt", Timings: &t, RowsMean: p.rows}); err != nil {
		return err
	}
	return d.Ack(ctx)
}

// paint runs a painter until the test ends or stop is called.
func (w *world) paint(model string, p painter) (stop func()) {
	w.t.Helper()
	source, err := w.client.NewSource(queue.SourceConfig{Layout: queue.Layout{Models: []string{model}}, IdleMin: 5 * time.Millisecond, IdleMax: 20 * time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	store := w.openStore()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() { // ended by stop
		defer close(done)
		for ctx.Err() == nil {
			jobs, err := source.Fetch(ctx, 16)
			if err != nil {
				return
			}
			for _, d := range jobs {
				if err := p.settle(ctx, w.client, store, d); err != nil && ctx.Err() == nil {
					w.t.Errorf("the painter: %v", err)
				}
			}
			if len(jobs) == 0 {
				_ = source.Wait(ctx) // ends with ctx, which the loop looks at
			}
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(stop)
	return stop
}

// openStore opens the store until the test ends.
func (w *world) openStore() *upload.Store {
	w.t.Helper()
	store, err := upload.Open(w.t.Context(), upload.Config{Bucket: bucket, Endpoint: w.store.Endpoint(), Region: w.store.Region(),
		AccessKeyID: w.store.AccessKey(), SecretAccessKey: w.store.SecretKey()}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(store.Close)
	return store
}

// keys are those of a batch's pictures.
func (w *world) keys(batch string) []string {
	w.t.Helper()
	var keys []string
	for o, err := range w.openStore().List(w.t.Context(), batch) {
		if err != nil {
			w.t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

// without is the world of a command to which variables with these beginnings are not told.
func (w *world) without(prefixes ...string) *world {
	other := *w
	other.env = map[string]string{"NATS_URL": "nats://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "none",
		"ENQUEUE_TIMEOUT": "300ms"}
	for name, value := range w.env {
		kept := true
		for _, p := range prefixes {
			kept = kept && !strings.HasPrefix(name, p)
		}
		if kept {
			other.env[name] = value
		}
	}
	return &other
}

// tamper changes one channel of one pixel of a picture's file by n, and keeps what the file says.
func tamper(t *testing.T, name string, n int) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := upload.ReadMeta(data)
	if err != nil {
		t.Fatal(err)
	}
	pic, err := upload.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	pic.Pix[10] += byte(n)
	changed, _, err := upload.Encode(pic, m.Format, 0, upload.Meta{Job: m.Job, ModelDigest: m.ModelDigest, TraceID: m.TraceID, Prompt: "another"})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "changed"+filepath.Ext(name))
	if err := os.WriteFile(out, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// bare writes a picture that says nothing.
func bare(t *testing.T, name string) string {
	t.Helper()
	pic, err := upload.Decode(mustFile(t, upload.PNG))
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := upload.Encode(pic, strings.TrimPrefix(filepath.Ext(name), "."), 0, upload.Meta{Detail: upload.None})
	if err != nil {
		t.Fatal(err)
	}
	return fileOf(t, name, file)
}

func mustFile(t *testing.T, format string) []byte {
	t.Helper()
	job := queue.Job{BatchID: "b", Model: "m", Prompt: new("a cat\x1b[31m\nin two lines"), Seed: new(queue.Seed(7)), Format: &format}
	file, _, err := painter{}.file(job)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func fileOf(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
