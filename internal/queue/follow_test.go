package queue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// record stores a succeeded result of job batch/index.
func record(t *testing.T, c *Client, batch string, index int64, retry int) {
	t.Helper()
	r := result(Succeeded, retry, "w")
	r.BatchID, r.Index = batch, index
	if stored, err := c.Record(t.Context(), r); err != nil || !stored {
		t.Fatalf("Record: %v, %v", stored, err)
	}
}

func TestFollowResults(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	for i := range int64(5) {
		record(t, c, "b", i, 0)
		record(t, c, "other", i, 0)
	}
	if _, err := c.js.Publish(t.Context(), "results.b.99", []byte("{")); err != nil { // ignored
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	follower := connect(t, s, Config{})
	var back sync.WaitGroup
	defer back.Wait() // the result may come before its writer knows that it is stored
	var got []int64
	for r, err := range follower.FollowResults(ctx, "b", 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.BatchID != "b" {
			t.Errorf("a result of %s", r.Identity())
		}
		got = append(got, r.Index)
		switch len(got) {
		case 5: // what was there has come; now what comes
			if r.Pending > 1 {
				t.Errorf("%d pending", r.Pending)
			}
			record(t, c, "b", 5, 0)
		case 6:
			record(t, c, "b", 2, 1) // replaced
		case 7:
			s.Suspend()
			back.Go(func() {
				time.Sleep(500 * time.Millisecond)
				if err := s.Resume(); err != nil {
					t.Error(err)
				}
				record(t, c, "b", 6, 0)
			})
		case 8:
			cancel()
		}
	}
	if diff := cmp.Diff([]int64{0, 1, 2, 3, 4, 5, 2, 6}, got); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
}

func TestFollowResultsFromTheMiddle(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	for i := range int64(1200) { // more than one request
		record(t, c, "b", i, 0)
	}
	next := int64(700)
	for r, err := range c.FollowResults(t.Context(), "*", 700) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Index != next || r.Sequence != uint64(next+1) {
			t.Fatalf("index %d at sequence %d, want index %d", r.Index, r.Sequence, next)
		}
		if next++; r.Pending == 0 {
			break
		}
	}
	if next != 1200 {
		t.Errorf("ended before %d", next)
	}
}

func TestFollowResultsOfNoStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	n := 0
	for _, err := range c.FollowResults(t.Context(), "b", 0) {
		n++
		if !errors.Is(err, ErrMissing) {
			t.Errorf("error %v, want ErrMissing", err)
		}
	}
	if n != 1 {
		t.Errorf("%d items, want one error", n)
	}
}

func TestFollowResultsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	for _, away := range []bool{false, true} {
		if away {
			s.Suspend()
			eventually(t, "the client notices", func() bool { return !c.Connected() })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		start := time.Now()
		for r, err := range c.FollowResults(ctx, "b", 0) {
			t.Errorf("away %v: %+v, %v", away, r, err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("away %v: it took %v", away, d)
		}
		cancel()
	}
}

func TestTally(t *testing.T) {
	var tally Tally
	for _, r := range []struct {
		status string
		index  int64
	}{
		{Succeeded, 0}, {Failed, 1}, {Failed, 1000}, {Cancelled, 3}, {Expired, denseTally + 5},
		{Failed, 0}, {Succeeded, 1}, {Succeeded, 1}, {Succeeded, denseTally + 5}, {"of a newer version", 7},
	} {
		tally.Add(Result{Status: r.status, Index: r.index})
	}
	want := Summary{Succeeded: 2, Failed: 2, Cancelled: 1}
	if diff := cmp.Diff(want, tally.Summary()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := tally.Summary(); got.Total() != 5 || got.String() != "2 succeeded, 2 failed, 1 cancelled" {
		t.Errorf("%d in total: %s", got.Total(), got)
	}
	if got := (Summary{Expired: 1}).String(); got != "0 succeeded, 1 expired" {
		t.Error(got)
	}
}
