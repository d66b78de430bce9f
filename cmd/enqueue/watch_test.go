package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// stopAfter ends a run when it has written certain things.
func stopAfter(t *testing.T, words ...string) (context.Context, func(string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx, func(written string) {
		for _, word := range words {
			if !strings.Contains(written, word) {
				return
			}
		}
		cancel()
	}
}

// TestWatch watches everything while a batch is drawn.
func TestWatch(t *testing.T) {
	t.Parallel() // it listens for seconds
	w := newWorld(t, "m")
	w.work([]string{"m"}, only(map[string]string{"b": queue.Failed}))
	w.run("a", "--batch", "before", "--wait").want(t, exitOK)
	ctx, on := stopAfter(t, "s3://images/later/00000000-", "later/1 failed: model_error: it broke", "later committed: 2 of 2 done (1 succeeded, 1 failed), 0 in the queue")
	enqueued := false
	var enqueuing sync.WaitGroup
	defer enqueuing.Wait()
	r := w.runWith(ctx, nil, func(written string) {
		on(written)
		if !enqueued && strings.Contains(written, "before committed: 1 of 1 done") {
			enqueued = true
			enqueuing.Go(func() { w.run("a", "b", "--batch", "later") })
		}
	}, "watch")
	r.want(t, exitOK, "before committed: 1 of 1 done (1 succeeded), 0 in the queue")
	if !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Errorf("it went on until the test's patience ended:\n%s", r.stdout)
	}
	if strings.Contains(r.stdout, "before/0") {
		t.Errorf("it tells of a picture that was there before:\n%s", r.stdout)
	}
	if n := strings.Count(r.stdout, "before committed"); n != 1 {
		t.Errorf("%d lines of a batch that does not change:\n%s", n, r.stdout)
	}
}

func TestWatchJSON(t *testing.T) {
	t.Parallel() // it listens for seconds
	w := newWorld(t, "m")
	w.run("a", "--batch", "b").want(t, exitOK)
	ctx, on := stopAfter(t, `"type":"result"`, `"succeeded":1`)
	working := false
	r := w.runWith(ctx, nil, func(written string) {
		on(written)
		if !working && strings.Contains(written, `"type":"status"`) {
			working = true
			w.work([]string{"m"}, nil)
		}
	}, "watch", "--json")
	r.want(t, exitOK)
	all := lines(t, r.stdout)
	if got := typed(all, "result"); len(got) != 1 || got[0]["id"] != "b/0" {
		t.Errorf("results %v", got)
	}
	if len(typed(all, "status")) < 2 {
		t.Errorf("lines:\n%s", r.stdout)
	}
}

func TestWatchBatch(t *testing.T) {
	t.Parallel() // it listens for seconds
	w := newWorld(t, "m")
	w.work([]string{"m"}, only(map[string]string{"b": queue.Failed}))
	w.run("a", "b", "--batch", "x").want(t, exitOK)
	w.run("watch", "x").want(t, exitInput, "x/0 succeeded s3://images/x/00000000-", "x/1 failed: model_error", "x: 1 succeeded, 1 failed of 2")
	w.run("watch", "y").want(t, exitInput, "no such batch")
	w.run("watch", "--limit", "-1").want(t, exitInput, "--limit is -1: must be 0 or more")
}

// TestWatchPage looks at what a terminal gets: a page over the page before.
func TestWatchPage(t *testing.T) {
	var out strings.Builder
	a := &app{stdout: &out, width: 60}
	live := &liveResults{tallies: map[string]*queue.Tally{}, tell: func(queue.Result) {}}
	live.note(&queue.Result{BatchID: "b", Index: 3, Status: queue.Succeeded, Image: &queue.Image{Bucket: "images", Key: "b/00000003-0123456789abcdef.png"}}, true)
	live.note(&queue.Result{BatchID: "b", Index: 4, Status: queue.Failed, Error: &queue.ResultError{Type: queue.TypeModelError, Message: "a reason\nthat is far too long for the width of this terminal"}}, true)
	show := &watchPage{app: a}
	for range 2 {
		if err := show.page(overview{Batches: []batchOverview{{BatchID: "b", State: queue.BatchCommitted, Total: 9, Sent: 9, Waiting: 7, Done: 2, Summary: &queue.Summary{Succeeded: 1, Failed: 1}}}}, live); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "watch-page.txt", strings.ReplaceAll(out.String(), "\x1b", "ESC"))
}
