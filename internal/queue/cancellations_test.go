package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

func watchCancelled(t *testing.T, c *Client) *Cancellations {
	t.Helper()
	k, err := c.WatchCancelled(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	return k
}

func cancelBatch(t *testing.T, c *Client, id string) {
	t.Helper()
	if _, err := c.CancelBatch(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func cancelJob(t *testing.T, c *Client, batch string, index int64) {
	t.Helper()
	if err := c.CancelJob(t.Context(), batch, index); err != nil {
		t.Fatal(err)
	}
}

func TestWatchCancelled(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	for i := range 1200 { // more than one request
		if _, err := c.CreateBatch(t.Context(), Batch{ID: fmt.Sprint("live-", i), State: BatchCommitted}); err != nil {
			t.Fatal(err)
		}
	}
	cancelBatch(t, c, "before")
	cancelJob(t, c, "other", 7)
	k := watchCancelled(t, connect(t, s, Config{}))
	for _, tt := range []struct {
		batch string
		index int64
		want  bool
	}{{"before", 0, true}, {"before", 99, true}, {"other", 7, true}, {"other", 8, false}, {"other", 70, false}, {"live-3", 7, false}, {"", 0, false}} {
		if got := k.Cancelled(tt.batch, tt.index); got != tt.want {
			t.Errorf("%s/%d: %v", tt.batch, tt.index, got)
		}
	}
	if len(k.batches) != 1 || len(k.jobs) != 1 {
		t.Errorf("it keeps %d batches and %d jobs, want what is cancelled alone", len(k.batches), len(k.jobs))
	}
	cancelBatch(t, c, "live-3")
	eventually(t, "a batch is cancelled", func() bool { return k.Cancelled("live-3", 7) })
	if k.Cancelled("live-30", 7) {
		t.Error("its neighbour is cancelled")
	}

	kv, err := c.bucket(t.Context(), c.names.BatchesBucket())
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), "other.7"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deleted mark is forgotten", func() bool { return !k.Cancelled("other", 7) })
	if _, err := kv.Put(t.Context(), "live-4", []byte("{")); err != nil {
		t.Fatal(err)
	}
	cancelJob(t, c, "live-4", 1)
	eventually(t, "a damaged entry stops nothing", func() bool { return k.Cancelled("live-4", 1) && !k.Cancelled("live-4", 2) })
}

func TestOnCancel(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	cancelBatch(t, c, "before")
	k := watchCancelled(t, c)
	var told [5]atomic.Int32
	on := func(n int, batch string, index int64) (stop func()) {
		return k.OnCancel(batch, index, func() { told[n].Add(1) })
	}
	on(0, "before", 1)
	if told[0].Load() != 1 {
		t.Error("a job that is cancelled already is not told at once")
	}
	on(1, "b", 1)
	on(2, "b", 2)
	on(3, "b", 3)()
	on(4, "c", 1)
	cancelJob(t, c, "b", 2)
	eventually(t, "the job is told", func() bool { return told[2].Load() == 1 })
	if told[1].Load() != 0 {
		t.Error("its neighbour is told")
	}
	cancelBatch(t, c, "b")
	eventually(t, "the batch is told", func() bool { return told[1].Load() == 1 })
	if told[2].Load() != 1 || told[3].Load() != 0 || told[4].Load() != 0 {
		t.Errorf("told %d, %d, %d times; want the first once, one that stopped and one of another batch never",
			told[2].Load(), told[3].Load(), told[4].Load())
	}
	if len(k.waiting) != 1 {
		t.Errorf("%d registrations are kept, want that of the job that runs", len(k.waiting))
	}
}

// However a cancel falls among registrations, each job learns of it.
func TestOnCancelMissesNothing(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	k := watchCancelled(t, c)
	const jobs = 200
	var told sync.WaitGroup
	told.Add(jobs)
	told.Go(func() {
		if _, err := c.CancelBatch(t.Context(), "b"); err != nil {
			t.Error(err)
		}
	})
	for i := range int64(jobs) {
		k.OnCancel("b", i, told.Done)
	}
	told.Wait()
}

func TestWatchCancelledOutlivesTheBroker(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	cancelBatch(t, c, "a")
	k := watchCancelled(t, connect(t, s, Config{}))
	told := make(chan struct{})
	k.OnCancel("b", 1, func() { close(told) })
	for _, batch := range []string{"b", "c"} {
		s.Suspend()
		eventually(t, "the client notices", func() bool { return !c.Connected() })
		if !k.Cancelled("a", 1) || k.Cancelled(batch, 1) {
			t.Error("what was known is not known any more")
		}
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		cancelBatch(t, c, batch)
		eventually(t, "what is cancelled after an outage is known", func() bool { return k.Cancelled(batch, 1) })
	}
	<-told
	if !k.Cancelled("a", 1) {
		t.Error("what was known is not known any more")
	}
}

func TestWatchCancelledOfABucketMadeAnew(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	for _, batch := range []string{"a", "b", "c"} {
		cancelBatch(t, c, batch)
	}
	k := watchCancelled(t, connect(t, s, Config{}))
	if err := c.js.DeleteKeyValue(t.Context(), "batches"); err != nil {
		t.Fatal(err)
	}
	setup(t, c, Layout{})
	cancelBatch(t, c, "d") // at sequence 1
	eventually(t, "the new bucket is read", func() bool { return k.Cancelled("d", 1) && !k.Cancelled("a", 1) })
}

func TestWatchCancelledEnds(t *testing.T) {
	t.Parallel()
	_, c := newQueue(t, Layout{})
	ctx, cancel := context.WithCancel(t.Context())
	k, err := c.WatchCancelled(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-k.done:
	case <-time.After(10 * time.Second):
		t.Error("it goes on after its context")
	}
	for range 2 {
		k.Stop()
	}
	if _, err := c.WatchCancelled(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

func TestWatchCancelledOfNoBucket(t *testing.T) {
	t.Parallel()
	c := connect(t, startBroker(t, natsd.Options{}), Config{})
	if _, err := c.WatchCancelled(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("%v, want ErrMissing", err)
	}
}

// renewing is a JetStream in which the bucket of batches is made anew right before the second consumer of it.
type renewing struct {
	jetstream.JetStream
	renew     func()
	consumers int
}

func (r *renewing) CreateConsumer(ctx context.Context, stream string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if r.consumers++; r.consumers == 2 {
		r.renew()
	}
	return r.JetStream.CreateConsumer(ctx, stream, cfg)
}

// However a bucket is made anew while it is opened, it is read from its beginning.
func TestWatchCancelledOfABucketMadeAnewMeanwhile(t *testing.T) {
	t.Parallel()
	s, c := newQueue(t, Layout{})
	for _, batch := range []string{"a", "b", "c"} {
		cancelBatch(t, c, batch)
	}
	watcher := connect(t, s, Config{})
	watcher.js = &renewing{JetStream: watcher.js, renew: func() {
		if err := c.js.DeleteKeyValue(t.Context(), "batches"); err != nil {
			t.Error(err)
		}
		setup(t, c, Layout{})
		cancelBatch(t, c, "d")
	}}
	k := watchCancelled(t, watcher) // the first consumer tells what is so far, the second what comes
	eventually(t, "the new bucket is read", func() bool { return k.Cancelled("d", 1) && !k.Cancelled("a", 1) })
}
