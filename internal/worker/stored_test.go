package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// TestAStoredImageIsRecorded: a job whose image is in the store succeeded, however often it was started, whatever the time is, and even if the broker has forgotten
// that it was delivered before. Its result is filled from the object's metadata, and the model does not run again.
func TestAStoredImageIsRecorded(t *testing.T) {
	late := func(j *queue.Job) { j.Deadline = new(time.Now().Add(-time.Minute)) }
	for _, c := range []struct {
		name      string
		job       func(*queue.Job)
		redeliver bool
		starts    int // counted before
	}{
		{"redelivered", func(*queue.Job) {}, true, 0},
		{"exhausted", func(*queue.Job) {}, true, 5},
		{"past its deadline", late, true, 0},
		{"exhausted, the broker has forgotten the delivery", func(*queue.Job) {}, false, 5},
		{"past its deadline, the broker has forgotten the delivery", late, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := connect(t)
			job := quick("b", 0)
			c.job(&job)
			m := r.storeImage(job)
			if c.starts > 0 {
				r.countStarts("b.0", c.starts)
			}
			r.publish(job)
			if c.redeliver {
				r.loseFirstDelivery()
			}
			w := startWorker(t, nil)
			res := w.result("b", 0)
			if res.Status != queue.Succeeded || res.Image == nil {
				t.Fatalf("got %+v, %+v; want the stored image", res, res.Error)
			}
			if diff := cmp.Diff(storedResult(w, m), res); diff != "" {
				t.Errorf("the result is not that of the attempt that drew the image (-want +got):\n%s", diff)
			}
			if dead := r.deadLetters("b"); dead > 0 {
				t.Errorf("%d dead letters of a job that succeeded", dead)
			}
		})
	}
}

// storedResult is the result that storeImage's object makes.
func storedResult(w *running, m upload.Metadata) queue.Result {
	return queue.Result{
		Version: 1, ID: "b/0", BatchID: "b", Status: queue.Succeeded, TraceID: m.TraceID, Seed: new(queue.Seed(7)), Model: "sd15", ModelDigest: m.ModelDigest,
		Attempt: 1, Worker: "the first", RowsMean: 1.5,
		Image: &queue.Image{Bucket: bucket, Key: upload.Key(prefix(w.t)+"/", "b", 0, m.Spec16, "png"), ContentType: "image/png", Width: 64, Height: 64,
			Size: 25, SHA256: m.SHA256, PixelsSHA256: m.PixelsSHA256},
		Timings: &queue.Timings{Queue: queue.Millis(time.Second), Wait: queue.Millis(2 * time.Millisecond), TextEncode: queue.Millis(3 * time.Millisecond),
			Denoise: queue.Millis(4 * time.Millisecond), Decode: queue.Millis(5 * time.Millisecond), ImageEncode: queue.Millis(6 * time.Millisecond), Total: queue.Millis(20 * time.Millisecond)},
	}
}

// TestAnImageThatIsInTheWay of the PUT is the job's: the result tells of it, as far as the worker may read it, and it is not counted as drawn here.
func TestAnImageThatIsInTheWay(t *testing.T) {
	for _, c := range []struct {
		name     string
		readable bool
	}{{"readable", true}, {"not readable", false}} {
		t.Run(c.name, func(t *testing.T) {
			r := connect(t)
			job := quick("b", 0)
			m := r.storeImage(job)
			endpoint := shared.store.Endpoint()
			if !c.readable {
				endpoint = proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
					if (r.Method == http.MethodHead || r.Method == http.MethodGet) && strings.HasPrefix(r.URL.Path, "/"+bucket+"/"+prefix(t)+"/") {
						w.WriteHeader(http.StatusForbidden)
						return
					}
					pass.ServeHTTP(w, r)
				})
			}
			w := startWorker(t, func(c *Config) { c.Store.Endpoint, c.HTTPAddr = endpoint, "127.0.0.1:0" })
			w.publish(job)
			res := w.result("b", 0)
			want := storedResult(w, m)
			if !c.readable {
				want.TraceID, want.ModelDigest, want.Attempt, want.Worker, want.RowsMean, want.Timings = "", "", 0, "", 0, nil
				want.Seed = new(queue.Seed(job.SeedOrDefault()))
				want.Image.Size, want.Image.SHA256, want.Image.PixelsSHA256 = 0, "", ""
			}
			if diff := cmp.Diff(want, res); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if warned := strings.Contains(w.log.String(), "s3:GetObject"); warned == c.readable {
				t.Errorf("the worker warned of a missing right to read: %t\n%s", warned, w.log)
			}
			w.publish(quick("b", 1))
			w.result("b", 1)
			if got := w.metric(`worker_images_total{`); got != "1.0" {
				t.Errorf("%q images are counted, want the one of the other job", got)
			}
		})
	}
}

// TestAJobThatHasHadItsStarts without leaving an image is a dead letter, and its last start is not counted: it was not made.
func TestAJobThatHasHadItsStarts(t *testing.T) {
	r := connect(t)
	r.countStarts("b.0", 5)
	r.publish(quick("b", 0))
	w := startWorker(t, nil)
	res := w.result("b", 0)
	if res.Status != queue.Failed || res.Error.Type != queue.TypePanic || res.Attempt != 5 {
		t.Errorf("got %+v, %+v; want failed after 5 starts", res, res.Error)
	}
	if dead := r.deadLetters("b"); dead != 1 {
		t.Errorf("%d dead letters, want 1", dead)
	}
}

// TestAJobThatWasNeverBegunHasNoAttempt: neither in its result nor in its dead letter.
func TestAJobThatWasNeverBegunHasNoAttempt(t *testing.T) {
	w := startWorker(t, nil)
	w.publishRaw(w.client.Names().JobSubject(queue.Normal, "sd15", "b"), "b/0", []byte(`{"model": "sd15", "num_inference_steps": 0}`))
	if res := w.result("b", 0); res.Status != queue.Failed || res.Attempt != 0 {
		t.Errorf("got %+v, want failed at attempt 0", res)
	}
	if got := w.deadLetter("b", 0).Header.Get(queue.HeaderAttempts); got != "0" {
		t.Errorf("the dead letter tells of %s starts, want 0", got)
	}
}

// TestAPictureThatWasStoredInTheLastMoment: JOB_TIMEOUT ends the job's last start when the store has the picture and has not said so. There was none when the start
// looked; but there is now, and the job has succeeded.
func TestAPictureThatWasStoredInTheLastMoment(t *testing.T) {
	r := connect(t)
	r.publish(quick("b", 0))
	j := r.job()
	ctx, cancel := context.WithCancelCause(t.Context())
	put := isImage(t, http.MethodPut)
	cfg := storeConfig(t)
	cfg.Endpoint = proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !put(r) {
			pass.ServeHTTP(w, r)
			return
		}
		pass.ServeHTTP(httptest.NewRecorder(), r)
		cancel(errTimeout)
		<-r.Context().Done()
	})
	s, err := upload.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j.store = &store{Store: s, keyPrefix: cfg.Prefix}
	j.attempt = j.cfg.MaxAttempts
	j.model = &model{name: "sd15", digest: "0"}
	spec, err := j.d.Job.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	j.resolved = resolved{request: infer.Request{Scheduler: "ddim", Width: 1, Height: 1}, format: upload.PNG, spec16: spec, key: upload.Key(cfg.Prefix, "b", 0, spec, "png")}

	if done, err := j.recordStored(ctx); done || err != nil {
		t.Fatalf("before it is drawn: %t, %v", done, err)
	}
	err = j.deliver(ctx, infer.Image{Width: 1, Height: 1, Pix: []byte{1, 2, 3}}, &infer.Result{})
	if !errors.Is(err, errTimeout) {
		t.Fatalf("delivering ends with %v, want %v", err, errTimeout)
	}
	if err := j.lastLook(t.Context(), err); err != nil {
		t.Errorf("the last look: %v", err)
	}
	if res, found, err := r.client.Lookup(t.Context(), "b", 0); !found || err != nil || res.Status != queue.Succeeded {
		t.Errorf("recorded %+v (%t, %v), want the success", res, found, err)
	}
}

// storeImage puts the image that an earlier attempt has left, and returns its metadata.
func (r *running) storeImage(job queue.Job) upload.Metadata {
	r.t.Helper()
	spec, err := job.Spec16()
	if err != nil {
		r.t.Fatal(err)
	}
	body := []byte("the first attempt's image")
	sum := sha256.Sum256(body)
	m := upload.Metadata{Spec16: spec, SHA256: hex.EncodeToString(sum[:]), PixelsSHA256: strings.Repeat("b", 64), Model: "sd15", ModelDigest: strings.Repeat("c", 64),
		Seed: 7, TraceID: strings.Repeat("d", 32), Width: 64, Height: 64, Attempt: 1, Worker: "the first", RowsMean: 1.5,
		Timings: upload.Timings{Queue: time.Second, Wait: 2 * time.Millisecond, TextEncode: 3 * time.Millisecond, Denoise: 4 * time.Millisecond, Decode: 5 * time.Millisecond, ImageEncode: 6 * time.Millisecond}}
	key := upload.Key(prefix(r.t)+"/", job.BatchID, job.Index, spec, "png")
	if _, err := r.store.Put(context.Background(), key, upload.Object{Body: body, ContentType: "image/png", Metadata: m}); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// loseFirstDelivery fetches the only job and lets its lease run out.
func (r *running) loseFirstDelivery() {
	r.t.Helper()
	r.delivery().Release()
}

// jetstream is a connection past the queue's own client.
func (r *running) jetstream() jetstream.JetStream {
	r.t.Helper()
	nc, err := nats.Connect(shared.broker.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return js
}

// countStarts writes down that a job was started so often, by workers that did not say what became of it.
func (r *running) countStarts(key string, n int) {
	r.t.Helper()
	kv, err := r.jetstream().KeyValue(context.Background(), r.client.Names().AttemptsBucket())
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := kv.Put(context.Background(), key, fmt.Appendf(nil, `{"retry":0,"attempts":%d,"by":"a test"}`, n)); err != nil {
		r.t.Fatal(err)
	}
}

// deadLetters counts the dead letters of a batch.
func (r *running) deadLetters(batch string) int {
	r.t.Helper()
	stream, err := r.jetstream().Stream(context.Background(), r.client.Names().DeadStream())
	if err != nil {
		r.t.Fatal(err)
	}
	info, err := stream.Info(context.Background(), jetstream.WithSubjectFilter(r.client.Names().DeadSubject(batch, 0)))
	if err != nil {
		r.t.Fatal(err)
	}
	return len(info.State.Subjects)
}

// deadLetter reads the dead letter of a job.
func (r *running) deadLetter(batch string, index int64) *jetstream.RawStreamMsg {
	r.t.Helper()
	stream, err := r.jetstream().Stream(context.Background(), r.client.Names().DeadStream())
	if err != nil {
		r.t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(context.Background(), r.client.Names().DeadSubject(batch, index))
	if err != nil {
		r.t.Fatal(err)
	}
	return msg
}
