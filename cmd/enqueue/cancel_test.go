package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

func TestCancelBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m")
	w.run("a", "--seeds", "1..50", "--batch", "b").want(t, exitOK)
	w.run("a", "--seeds", "1..5", "--batch", "other").want(t, exitOK)
	w.run("cancel", "b").want(t, exitOK, "b is cancelled: 50 jobs were taken out of the queue; those that run stop at their next step")
	r := w.run("cancel", "--json", "b")
	r.want(t, exitOK)
	if diff := cmp.Diff([]map[string]any{{"type": "cancelled", "batch_id": "b", "purged": 0.0}}, lines(t, r.stdout)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	w.run("status", "b").want(t, exitCancelled, "batch b: 50 of 50 jobs were cancelled", "b  cancelled, 50 jobs")
	w.run("a", "--seeds", "1..50", "--batch", "b").want(t, exitCancelled, "the batch is cancelled")
	w.jobs("other", 5)
	w.work([]string{"m"}, nil)
	w.run("wait", "other").want(t, exitOK, "5 succeeded of 5")
}

func TestCancelJobs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m")
	w.run("a", "--seeds", "1..4", "--batch", "b").want(t, exitOK)
	w.run("cancel", "b/1", "b/3").want(t, exitOK, "b/1 is cancelled, unless it is done already", "b/3 is cancelled")
	r := w.run("cancel", "b/3", "--json")
	r.want(t, exitOK)
	if diff := cmp.Diff([]map[string]any{{"type": "cancelled", "batch_id": "b", "index": 3.0}}, lines(t, r.stdout)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	// As a worker does.
	w.work([]string{"m"}, func(j queue.Job) string {
		if gone, err := w.client.Cancelled(t.Context(), j.BatchID, j.Index); err != nil || gone {
			return queue.Cancelled
		}
		return queue.Succeeded
	})
	r = w.run("wait", "b")
	r.want(t, exitCancelled, "batch b: 2 of 4 jobs were cancelled", "b/1 cancelled", "b/3 cancelled")
}

func TestCancelRefuses(t *testing.T) {
	w := newWorld(t, "m")
	w.run("a", "--batch", "b").want(t, exitOK)
	w.run("cancel").want(t, exitInput, "enqueue cancel takes the batches or jobs to cancel")
	w.run("cancel", "c").want(t, exitInput, "no such batch, and none of its jobs is in the queue; is --queue-prefix right?")
	w.run("cancel", "b/1").want(t, exitInput, "batch b has jobs 0 to 0, and no 1")
	w.run("cancel", "b/x", "b/01", "b/-1", "a b", "b").want(t, exitInput, `"b/x" is no job: it is <batch>/<index>, such as monday/7`, `"b/01"`, `"b/-1"`, "batch_id must be")
	w.jobs("b", 1) // nothing of it was cancelled
	// A batch that others have published has no record.
	if _, err := w.client.Publish(t.Context(), queue.Message{Priority: queue.Normal, Job: queue.Job{BatchID: "theirs", Model: "m"}}); err != nil {
		t.Fatal(err)
	}
	w.run("cancel", "theirs", "c").want(t, exitInput, "theirs is cancelled: 1 job was taken out of the queue", "no such batch")
	if n, err := w.client.WaitingJobs(t.Context(), "*"); err != nil || n != 1 {
		t.Errorf("%d jobs in the queue, %v", n, err)
	}
}
