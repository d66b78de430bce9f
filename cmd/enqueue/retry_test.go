package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestRetryFailed puts failed jobs back from their dead letters, and one whose letter was purged from its row.
func TestRetryFailed(t *testing.T) {
	w := newWorld(t, "m").withStore()
	var well atomic.Bool
	w.work([]string{"m"}, func(j queue.Job) string {
		switch {
		case j.Index%2 == 0 || well.Load():
			return queue.Succeeded
		case j.Index == 7:
			return queue.Cancelled
		}
		return queue.Failed
	})
	batch := []string{"a cat", "--seeds", "1..10", "--steps", "3", "--priority", "high"}
	w.run(append(batch, "--batch", "b", "--wait")...).want(t, exitInput)
	w.purge("DEAD", "dead.b.3")
	well.Store(true)

	r := w.run("retry", "b", "--failed", "--json")
	r.want(t, exitInput, "1 job of batch b cannot be retried from dead letters", "enqueue retry b --failed --file ROWS")
	all := lines(t, r.stdout)
	want := map[string]any{"type": "retry", "batch_id": "b", "failed": 4.0, "missing": 0.0, "from_letters": 3.0, "from_rows": 0.0, "left": 1.0}
	if diff := cmp.Diff(want, all[len(all)-1]); diff != "" {
		t.Errorf("last line (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"type": "requeued", "id": "b/1", "batch_id": "b", "index": 1.0, "retry": 1.0}, all[0]); diff != "" {
		t.Errorf("first line (-want +got):\n%s", diff)
	}
	w.run("wait", "b").want(t, exitInput, "b: 8 succeeded, 1 failed, 1 cancelled of 10")
	again := append([]string{"retry", "b", "--failed", "--wait"}, batch...)
	w.run(again...).want(t, exitCancelled, "1 job failed", "1 job was put back into the queue (0 from dead letters, 1 from rows)", "b: 9 succeeded, 1 cancelled of 10")
	w.run("retry", "b", "--failed").want(t, exitOK, "0 jobs failed", "0 jobs were put back")
	if n := len(w.objects()); n != 9 {
		t.Errorf("%d pictures, want 9", n)
	}
}

// TestRetryMissing draws pictures anew that were deleted.
func TestRetryMissing(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.env["S3_PREFIX"], w.env["S3_BUCKET"] = "other/", "another" // the results say where their pictures lie
	w.work([]string{"m"}, nil)
	rows := file(t, "rows.csv", "prompt,seed\na cat,1\na dog,2\na bee,3\n")
	w.run("--file", rows, "--batch", "b", "--wait").want(t, exitOK)
	before := w.objects()
	w.run("retry", "b", "--missing", "--file", rows).want(t, exitOK, "0 pictures are missing", "0 jobs were put back")
	gone := 0
	for key := range before {
		if !strings.HasPrefix(key, "b/00000001") {
			gone++
			if err := os.Remove(filepath.Join(w.store.Dir(), bucket, filepath.FromSlash(key))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if gone != 2 {
		t.Fatalf("%d pictures removed of %v", gone, before)
	}
	w.run("retry", "b", "--missing").want(t, exitInput, "2 jobs of batch b cannot be retried from dead letters: a job that succeeded leaves none", "enqueue retry b --missing --file ROWS")
	w.run("retry", "b", "--missing", "--file", file(t, "rows.csv", "prompt,seed\na cat,1\na dog,2\na bee,4\n")).want(t, exitInput, "the rows are not those that this batch was begun with", "the same rows, flags, model and priority")
	w.run("retry", "b", "--missing", "--file", rows, "--priority", "low").want(t, exitInput, "the rows are not those")
	w.run("retry", "b", "--missing", "--file", rows, "--seeds", "1..2").want(t, exitInput, "rows.csv:2: sets seed")
	w.run("retry", "b", "--failed").want(t, exitOK, "0 jobs failed")

	w.run("retry", "b", "--missing", "--file", rows, "--wait").want(t, exitOK, "2 pictures are missing", "2 jobs were put back into the queue (0 from dead letters, 2 from rows)", "b: 3 succeeded of 3")
	if diff := cmp.Diff(before, w.objects()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if r, found, err := w.client.Lookup(t.Context(), "b", 0); err != nil || !found || r.Retry != 1 {
		t.Errorf("the result of job 0: retry %d, %v, %v", r.Retry, found, err)
	}
	if r, _, err := w.client.Lookup(t.Context(), "b", 1); err != nil || r.Retry != 0 {
		t.Errorf("the result of job 1, whose picture was there: retry %d, %v", r.Retry, err)
	}
}

func TestRetryRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m")
	w.run("retry").want(t, exitInput, "enqueue retry takes the batch to retry")
	w.run("retry", "b").want(t, exitInput, "say which jobs: --failed, --missing, or both")
	w.run("retry", "a b", "--failed", "--priority", "urgent").want(t, exitInput, "batch_id must be", `--priority is "urgent"`)
	w.run("retry", "b", "--failed").want(t, exitInput, "no such batch", "--queue-prefix")
	w.run("retry", "b", "--failed", "--seeds", "1..3").want(t, exitInput, "--seeds belongs to the rows of the batch")
	w.run("a", "--batch", "b").want(t, exitOK)
	w.run("cancel", "b").want(t, exitOK)
	w.run("retry", "b", "--failed").want(t, exitCancelled, "the batch is cancelled: enqueue its rows as a new one")
}
