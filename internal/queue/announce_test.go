package queue

import (
	"context"
	"encoding/json"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{Prefix: "acme"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	watcher := connect(t, s, Config{Prefix: "acme"})
	one, err := watcher.WatchProgress(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	all, err := watcher.WatchProgress(ctx, "*")
	if err != nil {
		t.Fatal(err)
	}
	want := Progress{BatchID: "b", Index: 2, Attempt: 1, Worker: "w", Step: 3, Steps: 100}
	c.NewReporter(Progress{BatchID: "other", Index: 1}).Report(1, 100)
	if err := c.nc.Publish("acme.progress.b.1", []byte("{")); err != nil { // skipped
		t.Fatal(err)
	}
	c.NewReporter(Progress{BatchID: "b", Index: 2, Attempt: 1, Worker: "w"}).Report(3, 100)
	for got := range one {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("batch b (-want +got):\n%s", diff)
		}
		break
	}
	seen := map[string]bool{}
	for got := range all {
		seen[got.BatchID] = true
		if len(seen) == 2 {
			break
		}
	}
	if ctx.Err() != nil {
		t.Errorf("not all arrived: %v", seen)
	}
}

func TestReportAFewTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{outbox: make(chan announcement, outboxSize)}
		r := c.NewReporter(Progress{BatchID: "b", Index: 2})
		for step := 1; step <= 100; step++ {
			r.Report(step, 100)
			time.Sleep(7 * time.Millisecond)
		}
		close(c.outbox)
		var steps []int
		for a := range c.outbox {
			var p Progress
			if err := json.Unmarshal(a.data, &p); err != nil {
				t.Fatal(err)
			}
			steps = append(steps, p.Step)
		}
		if diff := cmp.Diff([]int{1, 37, 73, 100}, steps); diff != "" { // every 250 ms, and the last
			t.Errorf("announced steps (-want +got):\n%s", diff)
		}
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger()})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	seen, err := c.WatchStatus(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.AnnounceStatus(Status{Worker: "w", StepsPerSecond: math.NaN()})
	want := Status{Worker: "host.1", State: WorkerReady, Models: []string{"m"}, Slots: 3, Jobs: 2, Rows: 4, StepsPerSecond: 1.5}
	c.AnnounceStatus(want)
	for got := range seen {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
	}
	if ctx.Err() != context.Canceled {
		t.Error("no status arrived")
	}
	if len(log.with("announcing")) != 1 {
		t.Errorf("the log is silent about a status that cannot be written: %q", log.lines)
	}
}

func TestAnnouncingNeverWaits(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{})
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	start := time.Now()
	for range 10 * outboxSize {
		c.AnnounceStatus(Status{Worker: "w"})
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("%d announcements took %v while the broker is away", 10*outboxSize, d)
	}
	full := &Client{outbox: make(chan announcement)} // nobody receives
	full.AnnounceStatus(Status{})
}

// TestWatchingEndsWithItsRange: once that is over, a connection that is closed does not wait for words that nobody reads.
func TestWatchingEndsWithItsRange(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	before := c.nc.NumSubscriptions()
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		words, err := c.WatchStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		for range words {
			t.Error("a word of nobody")
		}
		if n := c.nc.NumSubscriptions(); n != before {
			t.Fatalf("%d subscriptions, want %d", n, before)
		}
	}
}
