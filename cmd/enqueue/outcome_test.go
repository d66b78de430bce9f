package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

// summary is the last line of a run with --json, without what changes from run to run.
func summary(t *testing.T, r ran) map[string]any {
	t.Helper()
	all := lines(t, r.stdout)
	last := all[len(all)-1]
	if last["type"] != "summary" {
		t.Fatalf("the last line is %v", last)
	}
	delete(last, "seconds")
	return last
}

// TestWaitForResultsThatAreGone takes results away, as their retention does, from a batch with a picture for six of
// its ten jobs.
func TestWaitForResultsThatAreGone(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, func(j queue.Job) string {
		switch {
		case j.Index < 6:
			return queue.Succeeded
		case j.Index < 8:
			return queue.Failed
		}
		return queue.Cancelled
	})
	w.run("a cat", "--seeds", "1..10", "--batch", "b", "--wait").want(t, exitInput)
	record, err := w.client.GetBatch(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&queue.Summary{Succeeded: 6, Failed: 2, Cancelled: 2}, record.Summary); diff != "" {
		t.Errorf("the record's summary (-want +got):\n%s", diff)
	}

	for _, gone := range []string{"0", "1", "2", "3", "6", "8"} {
		w.purge("RESULTS", "results.b."+gone)
	}
	want := map[string]any{"type": "summary", "batch_id": "b", "total": 10.0, "succeeded": 6.0, "failed": 2.0, "cancelled": 2.0, "expired": 0.0, "unknown": 0.0, "source": "record"}
	r := w.run("wait", "b", "--json")
	r.want(t, exitGone, "batch b: 6 of 10 results are gone: they are kept for seven days; the counts come from the batch's record")
	if diff := cmp.Diff(want, summary(t, r)); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	w.run("wait", "b").want(t, exitGone, "b: 6 succeeded, 2 failed, 2 cancelled (by the batch's record) of 10")

	// Nobody had waited: the record has no counts.
	if err := batch.KeepSummary(t.Context(), w.client, "b", nil); err != nil {
		t.Fatal(err)
	}
	w.run("wait", "b").want(t, exitFailed, "6 of 10 results of batch b are gone, and counting its pictures instead failed: S3_BUCKET (--s3-bucket) is not set")
	w.env["S3_BUCKET"] = bucket
	r = w.run("wait", "b", "--json")
	r.want(t, exitGone, "the counts come from the pictures in the bucket")
	want["source"], want["failed"], want["cancelled"], want["unknown"] = "bucket", 1.0, 1.0, 2.0
	if diff := cmp.Diff(want, summary(t, r)); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}

	// All results are gone, and so is a picture.
	w.purge("RESULTS", "results.b.*")
	objects, err := filepath.Glob(filepath.Join(w.store.Dir(), bucket, "b", "*"))
	if err != nil || len(objects) != 6 {
		t.Fatalf("objects %q, %v", objects, err)
	}
	if err := os.Remove(objects[0]); err != nil {
		t.Fatal(err)
	}
	w.run("wait", "b").want(t, exitGone, "batch b: 10 of 10 results are gone", "b: 5 succeeded, 5 unknown (by the pictures in the bucket) of 10")
	if record, err = w.client.GetBatch(t.Context(), "b"); err != nil || record.Summary != nil {
		t.Errorf("the record has the summary %v, %v: what is not known was written down", record.Summary, err)
	}
}
