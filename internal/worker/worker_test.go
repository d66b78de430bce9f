package worker

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// TestDrawsABatch: each job once, its result whole, its timings adding up.
func TestDrawsABatch(t *testing.T) {
	r := startWorker(t, nil)
	const n = 6
	for i := range int64(n) {
		r.publish(quick("b", i))
	}
	for i := range int64(n) {
		res := r.result("b", i)
		r.checkImage(res)
		tm := res.Timings
		sum := tm.Wait + tm.TextEncode + tm.Denoise + tm.Decode + tm.ImageEncode + tm.Upload
		if diff := math.Abs(float64(tm.Total - sum)); diff > 0.02*float64(tm.Total) {
			t.Errorf("job %d: the parts of %+v sum to %v", i, tm, sum)
		}
		if res.Attempt != 1 || res.RowsMean != 2 || len(res.TraceID) != 32 || res.Worker != prefix(t) {
			t.Errorf("job %d: %+v", i, res)
		}
	}
}

// TestARecordedJobIsOnlyAcknowledged: a job that is published again after its record is there costs nothing.
func TestARecordedJobIsOnlyAcknowledged(t *testing.T) {
	r := connect(t)
	job := quick("b", 0)
	if _, err := r.client.Record(context.Background(), queue.Result{BatchID: "b", Status: queue.Cancelled}); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, nil)
	w.publish(job, quick("b", 1))
	w.result("b", 1)
	if res := w.result("b", 0); res.Status != queue.Cancelled {
		t.Errorf("the record was replaced: %+v", res)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if log := w.log.String(); !strings.Contains(log, "recorded before") {
		t.Errorf("the job was not recognised:\n%s", log)
	}
}

// TestAForeignObjectIsAConflict: the worker neither takes nor overwrites an object of another origin under the job's key.
func TestAForeignObjectIsAConflict(t *testing.T) {
	r := connect(t)
	job := quick("b", 0)
	spec, err := job.Spec16()
	if err != nil {
		t.Fatal(err)
	}
	key := upload.Key(prefix(t)+"/", "b", 0, spec, "png")
	if _, err := r.store.Put(context.Background(), key, upload.Object{Body: []byte("somebody's")}); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, nil)
	w.publish(job)
	res := w.result("b", 0)
	if res.Status != queue.Failed || res.Error.Type != queue.TypeObjectConflict || !strings.Contains(res.Error.Message, key) {
		t.Errorf("got %+v, %+v", res, res.Error)
	}
	if o, err := w.store.Get(context.Background(), key); err != nil || string(o.Body) != "somebody's" {
		t.Errorf("the object is now %q, %v", o.Body, err)
	}
}

func TestInvalidJobsFailAlone(t *testing.T) {
	r := startWorker(t, nil)
	bad := map[int64]func(*queue.Job){
		0: func(j *queue.Job) { j.Width = new(60) },
		1: func(j *queue.Job) { j.Scheduler = new("eular") },
		2: func(j *queue.Job) { j.Height = new(8192) },
	}
	want := map[int64]string{0: "width is 60", 1: "eular", 2: "width × height"}
	for i := range int64(5) {
		j := quick("b", i)
		if spoil := bad[i]; spoil != nil {
			spoil(&j)
		}
		r.publish(j)
	}
	for i := range int64(5) {
		res := r.result("b", i)
		if bad[i] == nil {
			r.checkImage(res)
			continue
		}
		if res.Status != queue.Failed || res.Error == nil || res.Error.Type != queue.TypeInvalidJob || !strings.Contains(res.Error.Message, want[i]) {
			t.Errorf("job %d: got %+v, %+v; want invalid_job with %q", i, res, res.Error, want[i])
		}
	}
}

func TestDeadlineAndDefaults(t *testing.T) {
	r := startWorker(t, nil)
	late := quick("b", 0)
	late.Deadline = new(time.Now().Add(-time.Minute))
	inTime := quick("b", 1)
	inTime.Deadline = new(time.Now().Add(time.Hour))
	inTime.Width, inTime.Height = nil, nil
	r.publish(late, inTime)
	if res := r.result("b", 0); res.Status != queue.Expired || res.Error != nil || res.Image != nil {
		t.Errorf("got %+v, want expired", res)
	}
	res := r.result("b", 1)
	r.checkImage(res)
	if res.Image.Width != 128 || res.Image.Height != 128 {
		t.Errorf("got %d × %d, want the model's own 128 × 128", res.Image.Width, res.Image.Height)
	}
	if want := inTime.SeedOrDefault(); uint64(*res.Seed) != want {
		t.Errorf("got seed %d, want %d", *res.Seed, want)
	}
}

// awaitProgress waits until a job of the batch is told to be under way.
func (r *running) awaitProgress(batch string) {
	r.t.Helper()
	nc, err := nats.Connect(shared.broker.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	sub, err := nc.SubscribeSync(r.client.Names().ProgressFilter(batch))
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := sub.NextMsg(30 * time.Second); err != nil {
		r.t.Fatalf("no progress of batch %s: %v\n%s", batch, err, r.log)
	}
}

// TestANewerJobIsHandedBack: it is neither invalid nor lost.
func TestANewerJobIsHandedBack(t *testing.T) {
	r := startWorker(t, nil)
	newer := []byte(`{"version": 2, "hologram": true}`)
	r.publishRaw(r.client.Names().JobSubject(queue.Normal, "sd15", "b"), "b/0", newer)
	r.publish(quick("b", 1))
	r.result("b", 1)
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(r.log.String(), "for a newer worker") {
		if time.Now().After(deadline) {
			t.Fatalf("not handed back:\n%s", r.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, found, err := r.client.Lookup(context.Background(), "b", 0); found || err != nil {
		t.Errorf("a job of a newer version has a result: %v, %v", found, err)
	}
}

// publishRaw publishes a body that no Job can hold.
func (r *running) publishRaw(subject, msgID string, body []byte) {
	r.t.Helper()
	nc, err := nats.Connect(shared.broker.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: nats.Header{"Nats-Msg-Id": {msgID}}, Data: body}, 5*time.Second); err != nil {
		r.t.Fatal(err)
	}
}
