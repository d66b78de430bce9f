package queue

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestPause(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"sd-1.5", "m"}}
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger()})
	setup(t, c, layout)
	until := time.Now().Add(time.Hour)
	steps := []struct {
		name   string
		do     func() ([]string, error)
		want   []string
		paused []string // all that are afterwards
	}{
		{"a model", func() ([]string, error) { return c.Pause(t.Context(), Scope{Models: []string{"sd-1.5"}}, until) },
			[]string{"w-high-sd-1_5", "w-low-sd-1_5", "w-normal-sd-1_5"}, []string{"w-high-sd-1_5", "w-low-sd-1_5", "w-normal-sd-1_5"}},
		{"no model", func() ([]string, error) { return c.Pause(t.Context(), Scope{Models: []string{"sd-1-5"}}, until) },
			nil, []string{"w-high-sd-1_5", "w-low-sd-1_5", "w-normal-sd-1_5"}},
		{"a priority, resumed", func() ([]string, error) { return c.Resume(t.Context(), Scope{Priorities: []string{High}}) },
			[]string{"w-high-m", "w-high-sd-1_5"}, []string{"w-low-sd-1_5", "w-normal-sd-1_5"}},
		{"all of one, for good", func() ([]string, error) {
			return c.Pause(t.Context(), Scope{[]string{"m", "x"}, []string{Low}}, time.Time{})
		}, []string{"w-low-m"}, []string{"w-low-m", "w-low-sd-1_5", "w-normal-sd-1_5"}},
		{"everything, resumed", func() ([]string, error) { return c.Resume(t.Context(), Scope{}) },
			[]string{"w-high-m", "w-high-sd-1_5", "w-low-m", "w-low-sd-1_5", "w-normal-m", "w-normal-sd-1_5"}, nil},
	}
	for _, tt := range steps {
		got, err := tt.do()
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		depths, err := c.QueueDepth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var paused []string
		for _, d := range depths {
			if !d.PausedUntil.IsZero() {
				paused = append(paused, ConsumerName(d.Priority, d.Model))
				if d.PausedUntil.Before(until.Add(-time.Minute)) {
					t.Errorf("%s: paused until %v, want %v or later", tt.name, d.PausedUntil, until)
				}
			}
		}
		slices.Sort(paused)
		if diff := cmp.Diff(tt.paused, paused); diff != "" {
			t.Errorf("%s: paused afterwards (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A paused consumer leaves a pull without an answer. That costs one second, not one each time; nothing that was asked
// for in vain swallows a job when the pause ends.
func TestFetchWhilePaused(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	s := startBroker(t, natsd.Options{})
	var log logbook
	c := connect(t, s, Config{Logger: log.logger()})
	setup(t, c, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	publishMany(t, c, High, "m", 3)
	publishMany(t, c, Low, "m", 3)
	visible(t, c, layout)
	if _, err := c.Pause(t.Context(), Scope{Priorities: []string{High}}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range 3 {
		if got := take(t, source, 1); len(got) != 1 || got[0] != "low m" {
			t.Errorf("fetched %v, want the job that is not paused", got)
		}
	}
	for range 10 {
		wantNothing(t, source)
	}
	if d := time.Since(start); d > 4*time.Second {
		t.Errorf("13 fetches took %v", d)
	}
	if _, err := c.Resume(t.Context(), Scope{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if d := fetchOne(t, source); d.NumDelivered != 1 || d.Priority != High {
			t.Errorf("%v at %s delivered for the %d. time", d, d.Priority, d.NumDelivered)
		}
	}
	if paused, again, failed := log.with("is paused"), log.with("delivers again"), log.with("no jobs can be fetched"); len(paused) != 1 || len(again) != 1 || len(failed) != 0 {
		t.Errorf("logged %q, %q, %q", paused, again, failed)
	}
}
