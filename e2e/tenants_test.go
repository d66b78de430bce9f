package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTwoTenants share a broker and a bucket, by QUEUE_PREFIX, and do not see each other: batches and jobs of the same
// names are different ones.
func TestTwoTenants(t *testing.T) {
	w := newWorld(t)
	acme, umbrella := w.tenant("acme"), w.tenant("umbrella")
	acme.worker("acme-worker", "MODELS="+model("tiny-emoji"))
	umbrella.worker("umbrella-worker", "MODELS=tiny-emoji"+model("sd15")[len("sd15"):]) // another model under the same name
	const n = 6
	for _, tenant := range []*world{acme, umbrella} {
		tenant.enqueue("a red apple on a blue background", "--seeds", "1..6", "--steps", "3", "--batch", "same", "--wait")
	}
	ours, theirs := acme.done("same", n, time.Second), umbrella.done("same", n, time.Second)
	for i := range n {
		if ours[i].Worker != "acme-worker" || theirs[i].Worker != "umbrella-worker" {
			t.Errorf("job %d was drawn by %s and %s", i, ours[i].Worker, theirs[i].Worker)
		}
		if want := fmt.Sprintf("%s/same/%08d-", acme.prefix, i); ours[i].Image.Key[:len(want)] != want {
			t.Errorf("the key is %s, want %s…", ours[i].Image.Key, want)
		}
		if ours[i].Image.PixelsSHA256 == theirs[i].Image.PixelsSHA256 || ours[i].ModelDigest == theirs[i].ModelDigest {
			t.Errorf("job %d has one picture for both tenants", i)
		}
	}
	if _, err := w.js.Stream(t.Context(), w.stream("JOBS")); err == nil {
		t.Error("the tenants made a queue without their prefix")
	}
}

// TestDeadlines: a job that would begin after its deadline is not drawn, and says so; one that begins before is.
func TestDeadlines(t *testing.T) {
	w := newWorld(t)
	k := w.worker("painter")
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	w.publish("b", 0, quick(0).with("deadline", "2026-01-02T15:04:05Z"))
	w.publish("b", 1, quick(1).with("deadline", soon))
	w.publish("b", 2, quick(2).with("deadline", "2026-01-02T15:04:05.678+02:00"))
	results := w.awaitResults("b", 3, 20*time.Second)
	for i, want := range []string{"expired", "succeeded", "expired"} {
		if r := results[i]; r.Status != want || (r.Image != nil) != (want == "succeeded") || len(r.TraceID) != 32 {
			t.Errorf("job %d: want %s: %s", i, want, r.raw)
		}
	}
	w.settled()
	if keys, dead := w.keys("b"), w.deadLetters("b"); len(keys) != 1 || len(dead) > 0 {
		t.Errorf("objects %q and dead letters %v, want the one picture", keys, dead)
	}
	k.terminate(10 * time.Second)
}

// TestPriorities: with one slot, high goes first and low last, in whatever order they came; and a load of high does not
// keep low waiting for ever.
func TestPriorities(t *testing.T) {
	w := newWorld(t)
	w.worker("before").terminate(10 * time.Second) // makes the queue
	for i, priority := range []string{"low", "normal", "high", "low", "normal", "high"} {
		w.publishTo(priority, priority, i, quick(i))
	}
	w.worker("painter", "SLOTS=1", "LANES=1")
	for _, priority := range []string{"high", "normal", "low"} {
		w.awaitResults(priority, 2, 20*time.Second)
	}
	want := slices.Concat(slices.Repeat([]string{"high"}, 2), slices.Repeat([]string{"normal"}, 2), slices.Repeat([]string{"low"}, 2))
	if diff := cmp.Diff(want, w.order("high", "normal", "low")); diff != "" {
		t.Errorf("jobs in the order in which they were done (-want +got):\n%s", diff)
	}

	w.publishTo("low", "patient", 0, quick(0))
	for i := range 40 {
		w.publishTo("high", "busy", i, quick(i))
	}
	w.awaitResults("patient", 1, 30*time.Second)
	if done := len(w.results("busy")); done > 20 {
		t.Errorf("%d jobs of high priority were done before the one of low", done)
	}
	w.awaitResults("busy", 40, 30*time.Second)
}

// order is the batches of all results in the order in which those were stored.
func (w *world) order(batches ...string) []string {
	w.t.Helper()
	bySequence := map[uint64]string{}
	for _, batch := range batches {
		for _, msg := range w.last(w.stream("RESULTS"), w.subject("results", batch, "*")) {
			bySequence[msg.Sequence] = batch
		}
	}
	var order []string
	for seq := uint64(1); len(order) < len(bySequence); seq++ {
		if batch, ok := bySequence[seq]; ok {
			order = append(order, batch)
		}
	}
	return order
}
