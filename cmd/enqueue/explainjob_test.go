package main

import (
	"context"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestExplainJobs asks for jobs that have no picture.
func TestExplainJobs(t *testing.T) {
	t.Parallel() // it listens for seconds
	w := newWorld(t, "m")
	w.run("a cat", "a dog", "a cow", "--batch", "b").want(t, exitOK)
	w.run("explain", "b/2").want(t, exitOK, "b/2  waiting", "prompt      a cow", "it waits in the queue, with 2 jobs of its priority and model before it", "no worker that serves the model was heard", "with normal priority")
	w.run("a cat", "--batch", "nobody", "--model", "x", "--force").want(t, exitOK)
	w.run("explain", "nobody/0").want(t, exitOK, "nobody/0  waiting", "no worker has served the model yet")
	w.run("explain", "b/3").want(t, exitInput, "batch b has jobs 0 to 2, and no 3")

	source, err := w.client.NewSource(queue.SourceConfig{Layout: queue.Layout{Models: []string{"m"}}})
	if err != nil {
		t.Fatal(err)
	}
	jobs := w.fetch(source, 2)
	defer jobs[0].Release()
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan struct{})
	go func() { // ended by cancel
		defer close(told)
		r := w.client.NewReporter(queue.Progress{BatchID: "b", Index: 0, Worker: "rembrandt"})
		for ctx.Err() == nil {
			r.Report(20, 20)
			time.Sleep(50 * time.Millisecond)
		}
	}()
	e := one(t, w.run("explain", "b/0", "--json"), exitOK)
	cancel()
	<-told
	if q := e["queue"].(map[string]any); e["status"] != "running" || e["why"] != "rembrandt draws it: step 20 of 20" || q["worker"] != "rembrandt" || q["step"] != 20.0 || q["state"] != "running" {
		t.Errorf("a running job: %v", e)
	}
	w.run("cancel", "b/2").want(t, exitOK)
	w.run("explain", "b/2").want(t, exitOK, "b/2  waiting", "it is cancelled")

	// One that fails for good.
	d := jobs[1]
	bad := queue.ResultError{Type: queue.TypeModelError, Message: "it\x1bbroke"}
	if _, err := w.client.Begin(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Failed(t.Context(), d, bad); err != nil {
		t.Fatal(err)
	}
	w.run("explain", "b/1").want(t, exitOK, "b/1  running", "1 start ended badly, the last with model_error: it")
	if err := w.client.DeadLetter(t.Context(), d, queue.Failure{Type: bad.Type, Message: bad.Message, Attempts: 5}); err != nil {
		t.Fatal(err)
	}
	times := paintTimes()
	if _, err := w.client.Record(t.Context(), queue.Result{BatchID: "b", Index: 1, Status: queue.Failed, Error: &bad, Attempt: 5, Worker: "w", Timings: &times}); err != nil {
		t.Fatal(err)
	}
	if err := d.Term(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	w.run("explain", "b/1").want(t, exitOK, "b/1  failed", `error       model_error: it\x1bbroke`, "it is a dead letter since", "after 5 starts: enqueue dlq show b/1", "prompt      a dog", "total         1000.0 ms")
	w.purge("RESULTS", "results.>")
	w.run("explain", "b/1").want(t, exitOK, "b/1  failed", "model_error", "prompt      a dog")
	if _, err := w.client.RetryJob(t.Context(), queue.Message{Priority: queue.High, Job: queue.Job{BatchID: "b", Index: 1, Model: "m", Prompt: new("a dog")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Record(t.Context(), queue.Result{BatchID: "b", Index: 1, Status: queue.Failed, Error: &bad}); err != nil {
		t.Fatal(err)
	}
	w.run("explain", "b/1").want(t, exitOK, "b/1  waiting", "with high priority", "it is put back, and before that it failed")

	w.run("cancel", "b").want(t, exitOK)
	w.run("explain", "b/2").want(t, exitOK, "b/2  cancelled", "its batch was cancelled before it was drawn")
	if _, err := w.client.Record(t.Context(), queue.Result{BatchID: "b", Index: 0, Status: queue.Expired}); err != nil {
		t.Fatal(err)
	}
	w.run("explain", "b/0").want(t, exitOK, "b/0  expired", "its deadline had passed")
}

// fetch takes jobs out of the queue, and waits for them.
func (w *world) fetch(source *queue.Source, n int) []*queue.Delivery {
	w.t.Helper()
	var all []*queue.Delivery
	for deadline := time.Now().Add(10 * time.Second); len(all) < n; time.Sleep(5 * time.Millisecond) {
		got, err := source.Fetch(w.t.Context(), n-len(all))
		if err != nil || time.Now().After(deadline) {
			w.t.Fatalf("fetched %d jobs of %d: %v", len(all), n, err)
		}
		all = append(all, got...)
	}
	return all
}
