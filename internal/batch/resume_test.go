package batch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/stipple-ai/stipple/internal/queue"
)

// forget gives JOBS the shortest dedupe window there is.
func (b *broker) forget(t *testing.T) (window time.Duration) {
	t.Helper()
	js, s := b.jobsStream(t)
	cfg := s.CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return cfg.Duplicates
}

// work does what workers do to jobs from..to-1 of a batch that fills JOBS from its first sequence on.
func (b *broker) work(t *testing.T, batch string, from, to int64) {
	t.Helper()
	js, s := b.jobsStream(t)
	for i := from; i < to; i++ {
		record, err := queue.Result{BatchID: batch, Index: i, Status: queue.Cancelled}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.PublishAsync(b.client.Names().ResultSubject(batch, i), record); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(30 * time.Second):
		t.Fatal("the records are not stored")
	}
	if from == 0 && to > 0 {
		if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(uint64(to+1))); err != nil { // those below
			t.Fatal(err)
		}
		return
	}
	for i := from; i < to; i++ {
		if err := s.DeleteMsg(t.Context(), uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
}

// wantStored checks how many messages were ever stored in JOBS.
func (b *broker) wantStored(t *testing.T, want uint64) {
	t.Helper()
	if _, s := b.jobsStream(t); s.CachedInfo().State.LastSeq != want {
		t.Errorf("%d messages were stored, want %d", s.CachedInfo().State.LastSeq, want)
	}
}

// crashAt is a queue whose client dies between the publish that ends at a cursor and the write that says so.
func crashAt(q Queue, cursor int64) (faulty, error) {
	crash := errors.New("crash")
	return faulty{Queue: q, update: func(r queue.Batch) error {
		if r.Cursor == cursor {
			return crash
		}
		return nil
	}}, crash
}

// TestSubmitGoesOnLongAfterACrash resumes when the broker has forgotten what it was sent: nothing is stored twice.
func TestSubmitGoesOnLongAfterACrash(t *testing.T) {
	const total = 3500
	tests := []struct {
		name           string
		cursor         int64 // that the crash kept from being written
		workFrom, upTo int64 // jobs that are done when the second run comes
	}{
		{"the first chunk waits", 1000, 0, 0},
		{"the first chunk is done", 1000, 0, 1000},
		{"a chunk waits", 3000, 0, 0},
		{"a chunk is half done", 3000, 0, 2500},
		{"the second half of a chunk is done", 3000, 2500, 3000},
		{"everything is done", 3000, 0, 3000},
		{"the last chunk is done", total, 0, total},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t, queue.Layout{}, nil)
			window := b.forget(t)
			q, crash := crashAt(b.client, tt.cursor)
			if _, err := Submit(t.Context(), q, seeds(t, "b", total)); !errors.Is(err, crash) {
				t.Fatal(err)
			}
			b.wantStored(t, uint64(tt.cursor))
			b.work(t, "b", tt.workFrom, tt.upTo)
			time.Sleep(3 * window)
			r, err := Submit(t.Context(), b.connect(t), seeds(t, "b", total))
			if err != nil || r.Before >= tt.cursor {
				t.Fatalf("receipt %+v, %v", r, err)
			}
			b.wantStored(t, total)
			b.wantRecord(t, "b", queue.BatchCommitted, total, total)
		})
	}
}

// A chunk that is in the queue though the cursor says nothing of it holds the rows of the run that sent it.
func TestSubmitRefusesOtherRowsInFlight(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	q, crash := crashAt(b.client, 2000)
	if _, err := Submit(t.Context(), q, seeds(t, "b", 3000)); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	other := seeds(t, "b", 3000)
	other.Plan.Groups = []Group{group(t, "seed=1..1999,7,2001..3000")}
	if _, err := Submit(t.Context(), b.client, other); !errors.Is(err, ErrRowsDiffer) {
		t.Errorf("other rows in the chunk above the cursor: error %v, want ErrRowsDiffer", err)
	}
	b.wantStored(t, 2000)
	if _, err := Submit(t.Context(), b.client, seeds(t, "b", 3000)); err != nil {
		t.Error(err)
	}
	b.wantJobs(t, "b", 3000)
}

// Rows that were announced and never sent may be mended: a job that the stream refused, say.
func TestSubmitTakesOtherRowsThatNeverLeft(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	refused := errors.New("refused")
	q := faulty{Queue: b.client, publish: func(chunk []queue.Message) error {
		if chunk[0].Job.Index == 1000 {
			return refused
		}
		return nil
	}}
	if _, err := Submit(t.Context(), q, seeds(t, "b", 3000)); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	other := seeds(t, "b", 3000)
	other.Plan.Groups = []Group{group(t, "seed=1..1999,7,2001..3000")}
	if _, err := Submit(t.Context(), b.client, other); err != nil {
		t.Fatal(err)
	}
	if jobs := b.wantJobs(t, "b", 3000); jobs[1999].Body.Seed != 7 {
		t.Errorf("job 1999 has seed %d, want 7", jobs[1999].Body.Seed)
	}
}

// TestSubmitsInLockstep makes two runs of the same rows write each entry of the record at the same moment. Were
// their entries equal, each would take the other's for its own, and both would send everything.
func TestSubmitsInLockstep(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	const total = 4000
	stop := errors.New("stop")
	q := faulty{Queue: b.client, publish: func([]queue.Message) error { return stop }}
	if _, err := Submit(t.Context(), q, seeds(t, "b", total)); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	arrived := make(chan struct{}) // one run meets the other here
	meet := func(queue.Batch) error {
		select {
		case arrived <- struct{}{}:
		case <-arrived:
		case <-time.After(100 * time.Millisecond): // the other is gone
		}
		return nil
	}
	var errs [2]error
	var both sync.WaitGroup
	for i := range errs {
		c, s := b.connect(t), seeds(t, "b", total)
		both.Go(func() { _, errs[i] = Submit(t.Context(), faulty{Queue: c, update: meet}, s) })
	}
	both.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), ErrTaken) {
		t.Errorf("errors %v and %v, want one ErrTaken", errs[0], errs[1])
	}
	b.wantJobs(t, "b", total)
	b.wantRecord(t, "b", queue.BatchCommitted, total, total)
}

// A publish whose answer was lost may be what fills the queue: when there is room again it is long done.
func TestSubmitLooksAfterAFullQueue(t *testing.T) {
	b := startBroker(t, queue.Layout{}, nil)
	window := b.forget(t)
	lost := false
	q := faulty{Queue: b.client}
	q.publish = func(chunk []queue.Message) error {
		if lost {
			return nil
		}
		lost = true
		if _, err := b.client.PublishChunk(context.Background(), chunk, 0); err != nil {
			t.Error(err)
		}
		return queue.ErrQueueFull
	}
	s := seeds(t, "b", 1500)
	s.OnFull = func(time.Duration) {
		b.work(t, "b", 0, 1000)
		time.Sleep(2 * window)
	}
	if _, err := Submit(t.Context(), q, s); err != nil {
		t.Fatal(err)
	}
	b.wantStored(t, 1500)
}
