package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestCancellingABatch: its jobs stop at their next step, wherever they are, and are recorded as cancelled; a neighbour that shares their calls is drawn as ever, and
// a job that comes later is dropped.
func TestCancellingABatch(t *testing.T) {
	r := startWorker(t, func(c *Config) { c.Lanes, c.Slots = 1, 5 })
	neighbour := long("calm", 0)
	neighbour.NumInferenceSteps = new(50)
	r.publish(neighbour)
	want := r.result("calm", 0)

	neighbour.BatchID, neighbour.Seed = "neighbour", new(queue.Seed(neighbour.SeedOrDefault()))
	r.publish(long("b", 0), long("b", 1), neighbour, long("b", 2), long("b", 3))
	r.awaitProgress("b")
	r.awaitFetched()
	begin := time.Now()
	if _, err := r.client.CancelBatch(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	for i := range int64(4) {
		if res := r.result("b", i); res.Status != queue.Cancelled || res.Image != nil || res.Error != nil {
			t.Errorf("job %d: got %+v, %+v; want cancelled", i, res, res.Error)
		}
	}
	if took := time.Since(begin); took > 2*time.Second+slack {
		t.Errorf("it took %v to stop the jobs", took)
	}
	got := r.result("neighbour", 0)
	r.checkImage(got)
	if got.Image.PixelsSHA256 != want.Image.PixelsSHA256 || got.Attempt != 1 {
		t.Errorf("the neighbour is another picture, or took attempt %d", got.Attempt)
	}

	r.publish(quick("b", 4))
	if res := r.result("b", 4); res.Status != queue.Cancelled || res.Attempt != 0 {
		t.Errorf("a job that came later: got %+v, want cancelled and never begun", res)
	}
	r.awaitHeld(0)
	if dead := r.deadLetters("b"); dead > 0 {
		t.Errorf("%d dead letters of a cancelled batch", dead)
	}
}

// TestCancellingAJob ends that job alone. Its image, if an earlier attempt has stored it, stays its image.
func TestCancellingAJob(t *testing.T) {
	r := connect(t)
	stored := quick("b", 0)
	r.storeImage(stored)
	r.publish(stored)
	r.loseFirstDelivery()
	for _, i := range []int64{0, 1, 3} {
		if err := r.client.CancelJob(t.Context(), "b", i); err != nil {
			t.Fatal(err)
		}
	}
	r.publish(quick("b", 1), quick("b", 2))
	w := startWorker(t, nil)
	w.publishRaw(w.client.Names().JobSubject(queue.Normal, "sd15", "b"), "b/3", []byte(`{"version": 2, "hologram": true}`))
	for i, want := range []string{queue.Succeeded, queue.Cancelled, queue.Succeeded, queue.Cancelled} {
		if res := w.result("b", int64(i)); res.Status != want {
			t.Errorf("job %d is %s, want %s", i, res.Status, want)
		}
	}
	w.awaitHeld(0)
	if log := w.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("something failed:\n%s", log)
	}
}
