package queue

import (
	"errors"
	"sync"
	"testing"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func TestCancelled(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	setup(t, c, Layout{})
	cancelled := func(batch string, index int64) bool {
		t.Helper()
		yes, err := c.Cancelled(t.Context(), batch, index)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if cancelled("b", 1) {
		t.Error("a job of an unknown batch is cancelled")
	}
	if err := c.CancelJob(t.Context(), "b", 1); err != nil {
		t.Fatal(err)
	}
	if !cancelled("b", 1) || cancelled("b", 2) || cancelled("b", 11) {
		t.Error("cancelling b/1 cancelled another job, or not that one")
	}
	if _, err := c.CreateBatch(t.Context(), Batch{ID: "b", State: BatchCancelled}); err != nil {
		t.Fatal(err)
	}
	if !cancelled("b", 2) || cancelled("other", 2) {
		t.Error("cancelling batch b did not cancel its jobs, or cancelled others")
	}
	if err := c.CancelJob(t.Context(), "a.b", 1); err == nil {
		t.Error("a job of batch a.b was cancelled")
	}
}

func TestCancelBatch(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{Models: []string{"m"}})
	for _, p := range Priorities() {
		publishMany(t, c, p, "m", 10) // batches high-m, normal-m, low-m
	}
	mixed := chunk(0, 6) // of batch b
	for i := range mixed {
		mixed[i].Priority = Priorities()[i%3]
		mixed[i].Job.Model = []string{"m", "n"}[i%2]
	}
	if _, err := c.PublishChunk(t.Context(), mixed, 0); err != nil {
		t.Fatal(err)
	}
	running := fetch(t, newSource(t, c, SourceConfig{Layout: Layout{Models: []string{"m"}}}), 11)[10] // the first of b
	if running.ID.Batch != "b" {
		t.Fatalf("%v is running", running)
	}
	created, err := c.CreateBatch(t.Context(), Batch{ID: "b", Total: 6, State: BatchEnqueuing, Cursor: 6, Hash: "aa", Sending: &Sending{Hash: "bb"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []uint64{6, 0} {
		if n, err := c.CancelBatch(t.Context(), "b"); err != nil || n != want {
			t.Errorf("CancelBatch: %d, %v; want %d", n, err, want)
		}
	}
	b, err := c.GetBatch(t.Context(), "b")
	if err != nil || b.State != BatchCancelled || b.Total != 6 || b.Cursor != 6 || b.Sending != nil {
		t.Errorf("the record: %+v, %v", b, err)
	}
	if n := waiting(t, c, "JOBS"); n != 30 {
		t.Errorf("%d messages in JOBS, want those of the neighbours, 30", n)
	}
	if _, err := c.UpdateBatch(t.Context(), created); !errors.Is(err, ErrBatchChanged) {
		t.Errorf("the enqueue that was at work: %v, want ErrBatchChanged", err)
	}
	if err := running.Ack(t.Context()); err != nil {
		t.Errorf("acknowledging the job that ran: %v", err)
	}
}

func TestCancelABatchOfOthers(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	publish(t, c, Normal, plainJob(0))
	if n, err := c.CancelBatch(t.Context(), "b"); err != nil || n != 1 {
		t.Errorf("CancelBatch: %d, %v", n, err)
	}
	if b, err := c.GetBatch(t.Context(), "b"); err != nil || b.State != BatchCancelled || b.Created.IsZero() {
		t.Errorf("the record: %+v, %v", b, err)
	}
	for _, id := range []string{"", "a.b", "*", ">"} {
		if _, err := c.CancelBatch(t.Context(), id); !errors.Is(err, ErrNoBatch) {
			t.Errorf("CancelBatch(%q): %v, want ErrNoBatch", id, err)
		}
	}
}

// An enqueue that writes all the time does not keep a cancel out.
func TestCancelBatchAmongWrites(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	other := connect(t, s, Config{})
	b, err := c.CreateBatch(t.Context(), Batch{ID: "b", State: BatchEnqueuing, Total: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	var enqueue sync.WaitGroup
	enqueue.Go(func() {
		for {
			b.Cursor++
			if b, err = c.UpdateBatch(t.Context(), b); err != nil {
				if !errors.Is(err, ErrBatchChanged) {
					t.Error(err)
				}
				return
			}
			if b.Cursor == 10 {
				close(started)
			}
		}
	})
	<-started
	if _, err := other.CancelBatch(t.Context(), "b"); err != nil {
		t.Error(err)
	}
	enqueue.Wait()
	if got, err := c.GetBatch(t.Context(), "b"); err != nil || got.State != BatchCancelled || got.Cursor < 10 {
		t.Errorf("the record: %+v, %v", got, err)
	}
}

func TestPurgeOfNoStream(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.purge(t.Context(), "JOBS", "jobs.*.*.b"); !errors.Is(err, ErrMissing) {
		t.Errorf("%v, want ErrMissing", err)
	}
}
