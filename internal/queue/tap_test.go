package queue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestFetchMakesAMissingConsumer(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger()})
	source := newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"m"}, AckWait: 5 * time.Second}})
	wantNothing(t, source) // it makes the streams too
	publish(t, c, Normal, plainJob(0))
	if d := fetchOne(t, source); d.AckWait != 5*time.Second {
		t.Errorf("AckWait %v", d.AckWait)
	} else if err := d.Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.js.DeleteConsumer(t.Context(), "JOBS", "w-normal-m"); err != nil {
		t.Fatal(err)
	}
	publish(t, c, Normal, plainJob(1))
	if err := fetchOne(t, source).Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.js.DeleteStream(t.Context(), "JOBS"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is there again", func() bool {
		wantNothing(t, source)
		_, err := c.js.Stream(t.Context(), "JOBS")
		return err == nil
	})
	publish(t, c, Normal, plainJob(2))
	if err := fetchOne(t, source).Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if len(log.with("no jobs can be fetched")) == 0 || len(log.with("fetching jobs again")) == 0 {
		t.Errorf("the log is silent about it: %q", log.lines)
	}
}

func TestFetchMayNotMakeAConsumer(t *testing.T) {
	t.Parallel()
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger(), NoAutoCreate: true})
	layout := Layout{Models: []string{"m"}}
	source := newSource(t, c, SourceConfig{Layout: layout})
	for range 3 {
		wantNothing(t, source)
	}
	for _, p := range Priorities() {
		if lines := log.with("w-" + p + "-m"); len(lines) != 1 || !strings.Contains(lines[0], "enqueue setup") {
			t.Errorf("lines about priority %s: %q; want one that tells what to do", p, lines)
		}
	}
	setup(t, connect(t, s, Config{}), layout)
	publish(t, c, Normal, plainJob(0))
	fetchOne(t, source)
}

func TestFetchSurvivesARestartOfTheBroker(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}, AckWait: 3 * time.Second}
	s, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	publish(t, c, Normal, plainJob(0))
	publish(t, c, Normal, plainJob(1))
	held := fetchOne(t, source)
	s.Suspend()
	eventually(t, "the client notices", func() bool { return !c.Connected() })
	start := time.Now()
	wantNothing(t, source)
	if d := time.Since(start); d > time.Second {
		t.Errorf("Fetch took %v while the broker is away", d)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if next := fetchOne(t, source); next.ID.Index != 1 {
		t.Errorf("fetched %v, want b/1: b/0 is held", next)
	}
	time.Sleep(layout.AckWait) // heartbeats go on over the new connection
	wantNothing(t, source)
	if held.LeaseLost() {
		t.Error("the lease is lost")
	}
	if err := held.Ack(t.Context()); err != nil {
		t.Error(err)
	}
	if n := waiting(t, c, "JOBS"); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func TestFetchAfterClose(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Fetch(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Fetch: %v, want ErrClosed", err)
	}
}
