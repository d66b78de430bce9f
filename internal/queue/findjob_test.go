package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func findJob(t *testing.T, c *Client, batch string, index int64) (QueuedJob, bool) {
	t.Helper()
	q, found, err := c.FindJob(t.Context(), batch, index)
	if err != nil {
		t.Fatal(err)
	}
	if found && q.ID.String() != (Identity{Batch: batch, Index: index}).String() {
		t.Fatalf("looked for %s/%d and found %s", batch, index, q.ID)
	}
	return q, found
}

func TestFindJob(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	if _, found := findJob(t, c, "b", 0); found {
		t.Error("found in an empty queue")
	}
	const n = 2500
	published := time.Now()
	for from := int64(0); from < n; from += ChunkSize {
		if _, err := c.PublishChunk(t.Context(), chunk(from, int(min(ChunkSize, n-from))), 0); err != nil {
			t.Fatal(err)
		}
		other := plainJob(from) // of another batch, in between
		other.BatchID = "other"
		publish(t, c, Normal, other)
	}
	source := newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"m"}}})
	if got := fetch(t, source, 3); len(got) != 3 {
		t.Fatalf("%d jobs", len(got))
	}
	for index, ahead := range map[int64]int64{0: -1, 2: -1, 3: 0, 999: 996, 1000: 998, 1700: 1698, n - 1: n + 2 - 4} {
		q, found := findJob(t, c, "b", index)
		if !found || q.Job.Index != index || q.Err != nil || q.Priority != Normal || !q.Consumer || q.Published.Before(published.Add(-time.Minute)) {
			t.Errorf("job %d: found %v, %+v", index, found, q)
		}
		if q.Delivered != (ahead < 0) || !q.Delivered && q.Ahead != ahead {
			t.Errorf("job %d: delivered %v, %d ahead, want %d", index, q.Delivered, q.Ahead, ahead)
		}
	}
	if _, found := findJob(t, c, "b", n); found {
		t.Error("found a job that was never published")
	}
	if _, _, err := c.FindJob(t.Context(), "b c", 0); err == nil {
		t.Error("looked for a job of no batch")
	}
}

// TestFindJobOutOfOrder finds retries, jobs whose body is none, and jobs of other publishers, wherever they lie.
func TestFindJobOutOfOrder(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	for _, index := range []int64{9, 4, 7} {
		publish(t, c, Low, plainJob(index))
	}
	retried := plainJob(2)
	retried.Retry = 3
	publish(t, c, High, retried)
	bad := natsMsg("jobs.normal.nobody.b", "b/11", "{")
	bad.Header = nats.Header{"Nats-Msg-Id": {"b/11"}, "traceparent": {"00-a-b-01"}}
	if _, err := c.js.PublishMsg(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	for _, index := range []int64{4, 7, 9} {
		if q, found := findJob(t, c, "b", index); !found || q.Priority != Low {
			t.Errorf("job %d: found %v, %+v", index, found, q)
		}
	}
	if q, found := findJob(t, c, "b", 2); !found || q.ID.Retry != 3 || q.Priority != High || q.Job.Retry != 3 {
		t.Errorf("the retry: found %v, %+v", found, q)
	}
	if q, found := findJob(t, c, "b", 11); !found || q.Err == nil || q.Consumer || q.Delivered || q.Header.Get("traceparent") != "00-a-b-01" {
		t.Errorf("the bad one: found %v, %+v", found, q)
	}
	if _, found := findJob(t, c, "b", 1); found { // the beginning of 11
		t.Error("found a job that was never published")
	}
}

func TestFindJobCountsStarts(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	publish(t, c, Normal, plainJob(0))
	d := fetchOne(t, newSource(t, c, SourceConfig{Layout: shortLease}))
	if q, found := findJob(t, c, "b", 0); !found || !q.Delivered || q.Start.Attempt != 0 {
		t.Errorf("in its first start: found %v, %+v", found, q)
	}
	if err := c.Failed(t.Context(), d, ResultError{TypeModelError, "it broke"}); err != nil {
		t.Fatal(err)
	}
	q, found := findJob(t, c, "b", 0)
	if !found || q.Start.Attempt != 1 || q.Start.LastError == nil || q.Start.LastError.Message != "it broke" {
		t.Errorf("after a failure: found %v, %+v", found, q.Start)
	}
	until := time.Now().Add(time.Hour)
	if _, err := c.Pause(t.Context(), Scope{Models: []string{"m"}}, until); err != nil {
		t.Fatal(err)
	}
	if q, _ := findJob(t, c, "b", 0); q.PausedUntil.Sub(until).Abs() > time.Minute {
		t.Errorf("paused until %v, want %v", q.PausedUntil, until)
	}
}

func TestDeadLetterOf(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, shortLease)
	if _, found, err := c.DeadLetterOf(t.Context(), "b", 7); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	d := poison(t, c, newSource(t, c, SourceConfig{Layout: shortLease}), "b/7")
	if err := c.DeadLetter(t.Context(), d, Failure{Type: TypeInvalidJob, Message: "bad", TraceID: strings.Repeat("0a", 16), Attempts: 3}); err != nil {
		t.Fatal(err)
	}
	got, found, err := c.DeadLetterOf(t.Context(), "b", 7)
	if err != nil || !found || got.ID != (Identity{"b", 7, 0}) || got.Message != "bad" || got.Attempts != 3 || time.Since(got.Stored).Abs() > time.Minute {
		t.Errorf("found %v, %v, %+v", found, err, got)
	}
}
