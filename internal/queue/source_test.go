package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// take fetches n jobs, acknowledges them and returns their priorities and models, "high m".
func take(t *testing.T, s *Source, n int) []string {
	t.Helper()
	var got []string
	for _, d := range fetch(t, s, n) {
		if err := d.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		got = append(got, d.Priority+" "+d.Model)
	}
	return got
}

// publishMany stores n jobs of a model and priority in a batch named after both.
func publishMany(t *testing.T, c *Client, priority, model string, n int) {
	t.Helper()
	var all []Message
	for i := range n {
		all = append(all, Message{Priority: priority, Job: Job{BatchID: priority + "-" + model, Index: int64(i), Model: model}})
	}
	if _, err := c.PublishChunk(t.Context(), all, 0); err != nil {
		t.Fatal(err)
	}
}

// visible waits until the consumers of a layout know every message of JOBS: the broker tells them a moment after
// it has confirmed the publish.
func visible(t *testing.T, c *Client, l Layout) {
	t.Helper()
	eventually(t, "the consumers see the jobs", func() bool {
		var known uint64
		for _, want := range l.consumers(c.names) {
			consumer, err := c.js.Consumer(t.Context(), "JOBS", want.Durable)
			if err != nil {
				t.Fatal(err)
			}
			known += consumer.CachedInfo().NumPending + uint64(consumer.CachedInfo().NumAckPending)
		}
		return known == waiting(t, c, "JOBS")
	})
}

func TestFetchTakesNoMoreThanAsked(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"a", "b"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	for _, p := range Priorities() {
		publishMany(t, c, p, "a", 3)
		publishMany(t, c, p, "b", 3)
	}
	visible(t, c, layout)
	for _, n := range []int{0, -1} {
		if got := fetch(t, source, n); len(got) != 0 {
			t.Errorf("Fetch(%d) brought %d", n, len(got))
		}
	}
	total := 0
	for _, n := range []int{1, 4, 2, 7, 100} {
		got := len(take(t, source, n))
		if want := min(n, 18-total); got != want {
			t.Errorf("Fetch(%d) brought %d, want %d", n, got, want)
		}
		total += got
		// What no worker has asked for waits at the broker, for all of them.
		for _, p := range Priorities() {
			for _, m := range layout.Models {
				info, err := c.js.Consumer(t.Context(), "JOBS", ConsumerName(p, m))
				if err != nil {
					t.Fatal(err)
				}
				if pending := info.CachedInfo().NumAckPending; pending != 0 {
					t.Errorf("%s has %d messages out", ConsumerName(p, m), pending)
				}
			}
		}
	}
}

func TestFetchPrefersUrgentJobs(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	for _, p := range []string{Low, Normal, High} {
		publishMany(t, c, p, "m", 2)
	}
	visible(t, c, layout)
	if diff := cmp.Diff([]string{"high m", "high m", "normal m"}, take(t, source, 3)); diff != "" {
		t.Error(diff)
	}
	publishMany(t, c, High, "m", 3) // two of them are known
	visible(t, c, layout)
	if diff := cmp.Diff([]string{"high m", "normal m", "low m", "low m"}, take(t, source, 9)); diff != "" {
		t.Error(diff)
	}
}

func TestEveryEighthPickStartsAtLow(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	for _, p := range Priorities() {
		publishMany(t, c, p, "m", 40)
	}
	visible(t, c, layout)
	var got []string
	for range 32 {
		got = append(got, take(t, source, 1)...)
	}
	for i, job := range got {
		want := "high m"
		if i%8 == 7 {
			want = "low m"
		}
		if job != want {
			t.Errorf("pick %d: %s, want %s", i+1, job, want)
		}
	}
}

func TestModelsTakeTurns(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"a", "b", "c", "d", "e", "f", "g"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	want := map[string]int{}
	for _, m := range layout.Models {
		publishMany(t, c, High, m, 20)
		publishMany(t, c, Low, m, 20)
		want["high "+m], want["low "+m] = 14, 2
	}
	visible(t, c, layout)
	got := map[string]int{}
	for range 112 {
		for _, job := range take(t, source, 1) {
			got[job]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// lateContext ends when it has been asked twice whether it has.
type lateContext struct {
	context.Context
	asked int
}

func (c *lateContext) Err() error {
	if c.asked++; c.asked > 2 {
		return context.Canceled
	}
	return nil
}

func TestFetchGivesBackWhatCameTooLate(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	_, c := newQueue(t, layout)
	source := newSource(t, c, SourceConfig{Layout: layout})
	wantNothing(t, source) // finds the consumers, which asks contexts too
	publish(t, c, High, plainJob(0))
	publish(t, c, Normal, plainJob(1))
	visible(t, c, layout)
	if got, err := source.Fetch(&lateContext{Context: t.Context()}, 10); got != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("Fetch whose context ended on the way: %v, %v", got, err)
	}
	for range 2 {
		d := fetchOne(t, source)
		if d.NumDelivered != 2 {
			t.Errorf("%v delivered for the %d. time, want at once for the second", d, d.NumDelivered)
		}
		if s, err := c.Begin(t.Context(), d); err != nil || s.Attempt != 1 {
			t.Errorf("%v is begun as attempt %d, %v; want the first", d, s.Attempt, err)
		}
	}
}

// TestHandingBackIsBounded: what came too late is handed back only as long as the caller can wait, not until an absent
// broker is back.
func TestHandingBackIsBounded(t *testing.T) {
	t.Parallel()
	layout := Layout{Models: []string{"m"}}
	s, c := newQueue(t, layout)
	const bound = 50 * time.Millisecond
	source := newSource(t, c, SourceConfig{Layout: layout, HandBackBy: func() time.Time {
		s.Suspend()
		return time.Now().Add(bound)
	}})
	wantNothing(t, source)
	publish(t, c, High, plainJob(0))
	publish(t, c, Normal, plainJob(1))
	visible(t, c, layout)
	if _, err := source.Fetch(&lateContext{Context: t.Context()}, 10); !errors.Is(err, context.Canceled) {
		t.Fatalf("Fetch: %v", err)
	}
	if took := time.Since(source.handBackBy()); took > ackTimeout/2 {
		t.Errorf("it took %v longer than it may", took)
	}
}

func TestSourceNeedsModels(t *testing.T) {
	var config *ConfigError
	if _, err := (&Client{}).NewSource(SourceConfig{}); !errors.As(err, &config) || config.Setting != "MODELS" {
		t.Errorf("no models: %v", err)
	}
	if _, err := (&Client{}).NewSource(SourceConfig{Layout: Layout{Models: []string{"a.b", "a_b"}}}); !errors.As(err, &config) {
		t.Errorf("models that share a token: %v", err)
	}
}

func TestWaitGrowsUntilSomethingIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, &Client{}, SourceConfig{Layout: Layout{Models: []string{"m"}}})
		for range 2 {
			for _, ms := range []int{100, 200, 400, 800, 1000, 1000} {
				most := time.Duration(ms) * time.Millisecond
				start := time.Now()
				if err := s.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d > most || d < most*4/5 {
					t.Errorf("slept %v, want about %v", d, most)
				}
			}
			s.idle.reset() // as Fetch does
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := s.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait past its context: %v", err)
		}
	})
}
