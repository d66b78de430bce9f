package queue

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// record writes a result for each index of a batch.
func recordAll(t *testing.T, c *Client, batch string, n int64) {
	t.Helper()
	for i := range n {
		if _, err := c.Record(t.Context(), Result{BatchID: batch, Index: i, Status: Cancelled}); err != nil {
			t.Fatal(err)
		}
	}
}

// pull takes what comes within one pull until n have come, and says of each what settle does.
func pull(t *testing.T, tail *Tail, n int, settle func(r TailedResult)) []string {
	t.Helper()
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(got) < n && ctx.Err() == nil {
		for r, err := range tail.Pull(ctx, n-len(got)) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.Identity().String())
			settle(r)
			if len(got) == n {
				break
			}
		}
	}
	if len(got) != n {
		t.Fatalf("%d results came, want %d: %v", len(got), n, got)
	}
	slices.Sort(got)
	return got
}

// TestTailBringsResultsUntilTheyAreSettled: what is given back comes after its delay, what a reader dies with comes after
// its lease, and what is settled does not come again, to any reader of the name.
func TestTailBringsResultsUntilTheyAreSettled(t *testing.T) {
	s := startBroker(t, natsd.Options{})
	c := connect(t, s, Config{})
	if _, err := c.Setup(t.Context(), Layout{}); err != nil {
		t.Fatal(err)
	}
	if state, err := c.TailState(t.Context(), "hooks"); err != nil || state.Exists {
		t.Fatalf("the state of a consumer that is not there: %+v, %v", state, err)
	}
	recordAll(t, c, "b", 4) // before there is a consumer
	first := c.Tail("hooks", time.Second)
	pull(t, first, 4, func(r TailedResult) {
		switch r.Index {
		case 0:
			r.Done()
		case 1:
			r.Again(0)
		case 2:
			r.Again(500 * time.Millisecond)
		default: // the reader dies
		}
		if want := `{"version":1,"id":"` + r.Identity().String() + `"`; string(r.Data[:len(want)]) != want || r.Stored.IsZero() || r.Deliveries != 1 {
			t.Errorf("the result %s came for the %d. time, of %v", r.Data, r.Deliveries, r.Stored)
		}
	})
	second := connect(t, s, Config{}).Tail("hooks", time.Hour)
	got := pull(t, second, 3, func(r TailedResult) {
		if r.Deliveries != 2 {
			t.Errorf("%s came for the %d. time, want the second", r.Identity(), r.Deliveries)
		}
		r.Done()
	})
	if want := []string{"b/1", "b/2", "b/3"}; !slices.Equal(got, want) {
		t.Errorf("%v came again, want %v", got, want)
	}
	recordAll(t, c, "d", 1)
	if got := pull(t, second, 1, TailedResult.Done); got[0] != "d/0" {
		t.Errorf("%v came, want the new result alone", got)
	}
	for state := (TailState{Held: 1}); state.Held > 0; {
		var err error
		if state, err = c.TailState(t.Context(), "hooks"); err != nil {
			t.Fatal(err)
		}
		if !state.Exists || state.Pending != 0 {
			t.Errorf("the state is %+v", state)
		}
	}
}

// TestTailOutlivesTheBroker goes on by itself after a restart, and says that it reads.
func TestTailOutlivesTheBroker(t *testing.T) {
	s := startBroker(t, natsd.Options{})
	c, other := connect(t, s, Config{}), connect(t, s, Config{})
	if _, err := c.Setup(t.Context(), Layout{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	came, done := make(chan string, 10), make(chan struct{})
	tail := c.Tail("hooks", time.Second)
	go func() { // ended by cancel
		defer close(done)
		for ctx.Err() == nil {
			for r, err := range tail.Pull(ctx, 10) {
				if err != nil {
					t.Errorf("Pull: %v", err)
					return
				}
				r.Done()
				came <- r.Identity().String()
			}
		}
	}()
	for readers := 0; readers == 0; {
		state, err := other.TailState(t.Context(), "hooks")
		if err != nil {
			t.Fatal(err)
		}
		readers = state.Readers
	}
	s.Suspend()
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	recordAll(t, other, "b", 1)
	if got := <-came; got != "b/0" {
		t.Errorf("%s came", got)
	}
	cancel()
	<-done
}

func TestTailWithoutAStream(t *testing.T) {
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	for _, err := range c.Tail("hooks", time.Second).Pull(t.Context(), 1) {
		if !errors.Is(err, ErrMissing) {
			t.Errorf("Pull: %v, want ErrMissing", err)
		}
		return
	}
	t.Error("no error")
}

func TestBatchWebhook(t *testing.T) {
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.Setup(t.Context(), Layout{}); err != nil {
		t.Fatal(err)
	}
	const url = "https://hooks.example.com/a?b=c&d"
	b, err := c.CreateBatch(t.Context(), Batch{ID: "b", State: BatchEnqueuing, Webhook: url})
	if err != nil {
		t.Fatal(err)
	}
	b.State = BatchCommitted
	if _, err := c.UpdateBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBatch(t.Context(), Batch{ID: "silent"}); err != nil {
		t.Fatal(err)
	}
	for batch, want := range map[string]string{"b": url, "silent": "", "nobody": "", "no.batch": "", "*": ""} {
		if got, err := c.BatchWebhook(t.Context(), batch); err != nil || got != want {
			t.Errorf("BatchWebhook(%q) = %q, %v, want %q", batch, got, err, want)
		}
	}
}
