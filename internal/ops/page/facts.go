package page

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// facts are what the goroutines of a system have learned. Each method takes the lock.
type facts struct {
	mu sync.Mutex

	broker trouble // away, or refusing
	store  trouble
	failed trouble   // polls
	unread trouble   // results
	steady time.Time // since when the broker answers; zero while it does not
	fresh  bool      // nobody has made streams yet: there is nothing

	tallies map[string]*tally // by batch
	old     uint64            // results up to this sequence were there before
	read    uint64            // of the results, those up to this sequence are counted
	began   time.Time

	workers map[string]*worker

	depths   []queue.Depth
	batches  []queue.Batch // those first that were begun last
	models   []queue.Model
	letters  lettersAt
	lettered map[string]letterCount // by batch
	stranded []queue.Stranding

	since map[string]time.Time // of problems, by what they say
}

// trouble is something that does not work.
type trouble struct {
	err   error // nil while it works
	since time.Time
}

// note takes the outcome of a try.
func (t *trouble) note(err error, now time.Time) {
	switch {
	case err == nil:
		*t = trouble{}
	case t.err == nil:
		*t = trouble{err, now}
	default:
		t.err = err
	}
}

// worker is what was heard of a worker.
type worker struct {
	last   queue.Status
	first  time.Time
	seen   time.Time
	images ops.Rate
	gone   bool // it was not heard for a while that the broker was there, and did not say that it leaves
}

// letterCount is how many dead letters a batch had when so many of its jobs had failed and so many letters lay there.
type letterCount struct {
	letters, failed int64
	all             lettersAt
}

// lettersAt is how many dead letters there are, and the sequence of the last: together they change when the letters do.
type lettersAt struct {
	count int64
	last  uint64
}

func (f *facts) begin(now time.Time) {
	f.began = now
	f.tallies, f.workers, f.lettered, f.since = map[string]*tally{}, map[string]*worker{}, map[string]letterCount{}, map[string]time.Time{}
	f.broker = trouble{errConnecting, now}
}

// brokerRefused notes why there is no connection.
func (f *facts) brokerRefused(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broker.note(err, time.Now())
}

// reading says up to where results were there before.
func (f *facts) reading(old uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.old = max(f.old, old)
}

// add counts a result and reports whether it was there before.
func (f *facts) add(r queue.Followed) (old bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = r.Sequence
	t := f.tallies[r.BatchID]
	if t == nil {
		t = &tally{}
		f.tallies[r.BatchID] = t
	}
	t.add(r)
	if w := f.workers[r.Worker]; w != nil && r.Image != nil {
		w.images.Add(r.Stored)
	}
	return r.Sequence <= f.old
}

// couldNot notes what a poll did not learn, or with nil that it learned all.
func (f *facts) couldNot(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed.note(err, time.Now())
	f.fresh = errors.Is(err, queue.ErrMissing)
}

// empty reports whether there is nothing yet.
func (f *facts) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fresh
}

// unreadable notes why results are not followed, nil while they are.
func (f *facts) unreadable(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unread.note(err, time.Now())
}

// hear listens to what workers tell of themselves, until ctx ends.
func (s *System) hear(ctx context.Context, c *queue.Client) {
	for ctx.Err() == nil {
		words, err := c.WatchStatus(ctx)
		if err == nil {
			for w := range words {
				s.facts.heard(w, time.Now())
			}
		}
		if s.wait(ctx, againAfter) != nil {
			return
		}
	}
}

func (f *facts) heard(st queue.Status, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.workers[st.Worker]
	if w == nil {
		w = &worker{first: now}
		f.workers[st.Worker] = w
	}
	w.last, w.seen, w.gone = st, now, false
}

// checkBroker asks for a sign of life.
func (s *System) checkBroker(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := s.client.Load().Check(bounded)
	if ctx.Err() != nil {
		return
	}
	f, now := &s.facts, time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broker.note(err, now)
	switch {
	case err != nil:
		f.steady = time.Time{}
	case f.steady.IsZero():
		f.steady = now
	}
}
