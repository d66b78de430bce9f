package queue

import (
	"context"
	"math"
	"testing"
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
	seen, err := connect(t, s, Config{Prefix: "acme"}).WatchProgress(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the broker knows the subscription", func() bool {
		c.NewReporter(Progress{BatchID: "b", Index: 1}).Report(0, 1)
		for p := range seen {
			return p.Index == 1
		}
		return false
	})
	if seen, err = connect(t, s, Config{Prefix: "acme"}).WatchProgress(ctx, "*"); err != nil {
		t.Fatal(err)
	}
	if err := c.nc.Publish("acme.progress.b.1", []byte("{")); err != nil { // skipped
		t.Fatal(err)
	}
	r := c.NewReporter(Progress{BatchID: "b", Index: 2, Attempt: 1, Worker: "w"})
	go func() {
		for step := 1; step <= 100; step++ {
			r.Report(step, 100)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	var got []Progress
	for p := range seen {
		if got = append(got, p); p.Step == 100 {
			break
		}
	}
	if n := len(got); n < 3 || n > 10 { // a few times a second, for half a second
		t.Errorf("%d announcements of 100 steps in 500 ms: %+v", n, got)
	}
	if diff := cmp.Diff(Progress{BatchID: "b", Index: 2, Attempt: 1, Worker: "w", Step: 100, Steps: 100}, got[len(got)-1]); diff != "" {
		t.Errorf("the last (-want +got):\n%s", diff)
	}
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
	if d := time.Since(start); d > time.Second {
		t.Errorf("%d announcements took %v while the broker is away", 10*outboxSize, d)
	}
	full := &Client{outbox: make(chan announcement)} // nobody receives
	full.AnnounceStatus(Status{})
}
