package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestCountsWhileJobsArePutBack looks at a batch after the first of two jobs was put back and drawn, and before the second is:
// what is written down then is not what becomes of the batch.
func TestCountsWhileJobsArePutBack(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"dlq requeue": {"dlq", "requeue", "b", "--json"},
		"retry":       {"retry", "b", "--failed", "--json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := deadWorld(t)
			var once sync.Once
			w.runWith(t.Context(), nil, func(written string) {
				if strings.Contains(written, `"requeued"`) {
					once.Do(func() { w.run("wait", "b").want(t, exitInput, "1 succeeded, 1 failed") })
				}
			}, args...).want(t, exitOK)
			for summary := (queue.Summary{}); summary.Succeeded != 2; {
				summary = queue.Summary{}
				for r, err := range w.client.ReadResults(t.Context(), "b") {
					if err != nil {
						t.Fatal(err)
					}
					if r.Status == queue.Succeeded {
						summary.Succeeded++
					}
				}
			}
			b, err := w.client.GetBatch(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			if b.Summary != nil {
				t.Errorf("the record says %v", b.Summary)
			}
			for _, l := range lines(t, w.run("status", "--json").stdout) {
				for _, b := range l["batches"].([]any) {
					if b := b.(map[string]any); b["batch_id"] == "b" && b["summary"].(map[string]any)["succeeded"] != 2.0 {
						t.Errorf("status tells %v of a batch of two that have succeeded", b["summary"])
					}
				}
			}
		})
	}
}

// TestCountsWhileRowsArePutBack is the same for jobs that are put back from their rows, a chunk at a time.
func TestCountsWhileRowsArePutBack(t *testing.T) {
	t.Parallel()
	const jobs = queue.ChunkSize + 1
	w := newWorld(t, "m")
	rows := []string{"a cat", "--seeds", fmt.Sprintf("1..%d", jobs), "--model", "m"}
	w.run(append(rows, "--batch", "b")...).want(t, exitOK)
	// end lets the jobs that are in the queue come to an end.
	end := func(n int64, retry int, status string) {
		w.purge("JOBS", "jobs.>")
		var all errgroup.Group
		all.SetLimit(8)
		for i := range n {
			all.Go(func() error {
				r := queue.Result{BatchID: "b", Index: i, Retry: retry, Status: status}
				if status == queue.Failed {
					r.Error = &queue.ResultError{Type: queue.TypeModelError, Message: "it broke"}
				} else {
					r.Seed, r.Image = new(queue.Seed(i)), &queue.Image{Bucket: bucket, Key: fmt.Sprintf("b/%08d-0123456789abcdef.png", i), ContentType: "image/png", Width: 1, Height: 1, Size: 1}
				}
				_, err := w.client.Record(t.Context(), r)
				return err
			})
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	end(jobs, 0, queue.Failed)
	var once sync.Once
	w.runWith(t.Context(), nil, func(written string) {
		if strings.Contains(written, fmt.Sprintf(`"b/%d"`, queue.ChunkSize-1)) {
			once.Do(func() {
				end(queue.ChunkSize, 1, queue.Succeeded)
				w.run("wait", "b").want(t, exitInput, "1000 succeeded, 1 failed")
			})
		}
	}, append([]string{"retry", "b", "--failed", "--json"}, rows...)...).want(t, exitOK)
	b, err := w.client.GetBatch(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if b.Summary != nil {
		t.Errorf("the record says %v", b.Summary)
	}
}
