package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/queue"
)

func TestOverviewText(t *testing.T) {
	now := time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)
	full := overview{
		Type: "status", Older: 12,
		Batches: []batchOverview{
			{BatchID: "friday", State: queue.BatchEnqueuing, Created: now.Add(-9 * time.Second), Total: 1_000_000, Sent: 42_000, Waiting: 41_990, Done: 10, Summary: &queue.Summary{Succeeded: 8, Failed: 2}},
			{BatchID: "monday", State: queue.BatchCommitted, Created: now.Add(-3 * time.Hour), Total: 1200, Sent: 1200, Waiting: 388, Done: 812, Summary: &queue.Summary{Succeeded: 800, Failed: 10, Expired: 2}},
			{BatchID: "huge", State: queue.BatchCommitted, Created: now.Add(-30 * time.Hour), Total: 5_000_000, Sent: 5_000_000, Waiting: 4_000_000, Done: 1_000_000},
			{BatchID: "20300101-150405-abcdefgh", State: queue.BatchCancelled, Total: 50, Sent: 20, Done: 50, Summary: &queue.Summary{Cancelled: 50}},
		},
		Queue: []queue.Depth{
			{Priority: queue.High, Model: "sd-1.5", Consumer: true, PausedUntil: now.Add(90 * time.Minute)},
			{Priority: queue.Normal, Model: "sd-1.5", Waiting: 388, Running: 8, Consumer: true, PausedUntil: now.AddDate(99, 0, 0)},
			{Priority: queue.Low, Model: "nobody", Waiting: 1},
		},
		Stranded: []queue.Stranding{
			{Priority: queue.Normal, Model: "sd-1.5", Consumer: "w-normal-sd-1_5", Jobs: 3},
			{Priority: queue.Low, Model: "sd-1.5", Consumer: "w-low-sd-1_5", Jobs: 1, Missing: true},
		},
		Workers: []queue.Status{
			{Worker: "painter-1", State: queue.WorkerReady, Models: []string{"sd-1.5", "tiny\x1b[31m"}, Slots: 10, Jobs: 8, Rows: 4, StepsPerSecond: 41.26},
			{Worker: "p2", State: queue.WorkerDraining, Models: []string{"sd-1.5"}, Slots: 10},
		},
	}
	var text strings.Builder
	full.write(&text, now)
	golden(t, "overview.txt", text.String())
	golden(t, "overview.json", indented(t, full))
	text.Reset()
	(&overview{}).write(&text, now)
	golden(t, "overview-empty.txt", text.String())
}

func TestBatchStatusText(t *testing.T) {
	now := time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)
	running := batchStatus{
		Type: "batch_status", BatchID: "monday", State: queue.BatchCommitted, Created: now.Add(-3 * time.Hour), TraceID: "0af7651916cd43dd8448eb211c80319c",
		Total: 1200, Sent: 1200, Waiting: 388, Summary: queue.Summary{Succeeded: 800, Failed: 10, Expired: 2}, Source: fromResults,
		Rate: 4.2, SecondsLeft: 92.4, Bucket: "images", Prefix: "acme/monday/",
		Failures: []failureLine{
			{"monday/3", queue.Failed, &queue.ResultError{Type: queue.TypeModelError, Message: "it\nbroke"}, "1bf7651916cd43dd8448eb211c80319c"},
			{"monday/9", queue.Expired, nil, ""},
		},
	}
	running.outcome = outcome{Total: 1200, Summary: running.Summary, Source: fromResults}
	sending := batchStatus{BatchID: "b", State: queue.BatchEnqueuing, Total: 5000, Sent: 1000, Waiting: 1, Source: fromResults, outcome: outcome{Source: fromResults}}
	gone := batchStatus{BatchID: "old", State: queue.BatchCommitted, Created: now.AddDate(0, -1, 0), Total: 10, Sent: 10, Done: true, Source: fromBucket, Unknown: 2, Summary: queue.Summary{Succeeded: 8}}
	gone.outcome = outcome{Total: 10, Summary: gone.Summary, Source: fromBucket, Unknown: 2}
	var text strings.Builder
	for _, b := range []batchStatus{running, sending, gone} {
		b.write(&text, now)
		text.WriteString("\n")
	}
	golden(t, "batch-status.txt", text.String())
	golden(t, "batch-status.json", indented(t, running))
}

func TestStatus(t *testing.T) {
	t.Parallel() // it listens for seconds
	w := newWorld(t, "m")
	w.run("status").want(t, exitOK, "no batches", "normal    m", "no worker was heard within 2.5s")
	w.run("a", "b", "c", "--batch", "first").want(t, exitOK)
	w.run("a", "--batch", "second", "--seeds", "1..2000", "--priority", "low", "--model", "x", "--force").want(t, exitOK)
	var before struct {
		State, Trace string
		Waiting      float64
		Done         bool
	}
	b := one(t, w.run("status", "first", "--json"), exitOK)
	before.State, before.Trace, before.Waiting, before.Done = b["state"].(string), b["trace_id"].(string), b["waiting"].(float64), b["done"].(bool)
	if before.State != queue.BatchCommitted || len(before.Trace) != 32 || before.Waiting != 3 || before.Done {
		t.Errorf("status before a worker came: %+v", before)
	}

	w.work([]string{"m"}, only(map[string]string{"b": queue.Failed, "c": queue.Cancelled}))
	w.run("wait", "first").want(t, exitInput)
	r := w.run("status", "first")
	r.want(t, exitInput, "batch first: 1 of 3 jobs failed", "done     3 of 3: 1 succeeded, 1 failed, 1 cancelled", "images   s3://images/first/", "trace    "+before.Trace, "first/1", "model_error: it broke")
	b = one(t, w.run("status", "first", "--json"), exitInput)
	for field, want := range map[string]any{"succeeded": 1.0, "failed": 1.0, "cancelled": 1.0, "waiting": 0.0, "done": true, "source": "results", "bucket": bucket, "prefix": "first/"} {
		if b[field] != want {
			t.Errorf("%s is %v, want %v", field, b[field], want)
		}
	}

	o := one(t, w.run("status", "--json"), exitOK)
	var got []map[string]any
	for _, b := range o["batches"].([]any) {
		b := b.(map[string]any)
		delete(b, "created")
		got = append(got, b)
	}
	summary := func(succeeded, failed, cancelled float64) map[string]any {
		return map[string]any{"succeeded": succeeded, "failed": failed, "cancelled": cancelled, "expired": 0.0}
	}
	want := []map[string]any{
		{"batch_id": "second", "state": "committed", "total": 2000.0, "sent": 2000.0, "waiting": 2000.0, "done": 0.0, "summary": summary(0, 0, 0)},
		{"batch_id": "first", "state": "committed", "total": 3.0, "sent": 3.0, "waiting": 0.0, "done": 3.0, "summary": summary(1, 1, 1)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	low := o["queue"].([]any)[3].(map[string]any)
	if low["priority"] != "low" || low["model"] != "x" || low["waiting"] != 2000.0 || low["consumer"] != false {
		t.Errorf("the last of the queue is %v", low)
	}
	w.run("status", "--limit", "1").want(t, exitOK, "second", "… and 1 that began before (--limit 0 lists all)", "no worker has served this model yet")
	w.run("status", "third").want(t, exitInput, "no such batch", "--queue-prefix")
}

// one is the only line that a run printed.
func one(t *testing.T, r ran, code int) map[string]any {
	t.Helper()
	r.want(t, code)
	all := lines(t, r.stdout)
	if len(all) != 1 {
		t.Fatalf("%d lines, want one:\n%s", len(all), r.stdout)
	}
	return all[0]
}
