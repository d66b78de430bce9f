package main

import (
	"strings"
	"sync"
	"testing"

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
