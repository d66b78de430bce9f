package batch

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Results is what Follow needs of the broker; *queue.Client is one. Its methods are called from two goroutines.
type Results interface {
	// GetBatch reads the record of a batch; queue.ErrNoBatch if there is none.
	GetBatch(ctx context.Context, id string) (queue.Batch, error)

	// FollowResults returns the results that are stored after a sequence and those that come, until ctx ends.
	FollowResults(ctx context.Context, batch string, after uint64) iter.Seq2[queue.Followed, error]

	// Settled reports whether no job of a batch that still wants a result is in the queue, and the sequence of the
	// batch's last result as of then.
	Settled(ctx context.Context, batch string) (last uint64, settled bool, err error)

	// LastResult is the sequence of the batch's last result, 0 for none.
	LastResult(ctx context.Context, batch string) (uint64, error)
}

var _ Results = (*queue.Client)(nil)

// Update is news of a batch.
type Update struct {
	Result   *queue.Result // that has come; nil for a sign of life, which comes every second without one
	Summary  queue.Summary // of the jobs so far, each counted once, by its last result
	Total    int64         // jobs of the batch
	State    string        // of the batch: queue.BatchEnqueuing, BatchCommitted or BatchCancelled
	CaughtUp bool          // the results that were there at the beginning have all come
	Done     bool          // no other update follows: every job has a result, was cancelled before it had one, or is gone

	// Of an update that is Done:
	Gone int64          // jobs that have neither a result nor a place in the queue: their results were kept long enough
	Kept *queue.Summary // what the batch's record says became of its jobs; nil if nobody wrote that down
}

// following is how often Follow looks at things.
type following struct {
	beat  time.Duration // between signs of life
	look  time.Duration // between looks at the batch's record and the queue
	quiet time.Duration // without a result, after which a cancelled batch is done: its running jobs have stopped; while the broker answers
}

func defaultFollowing() following {
	return following{beat: time.Second, look: 2 * time.Second, quiet: 10 * time.Second}
}

// Follow returns what becomes of a batch: its results, those first that are there already, until every job has
// one and none is in the queue again. Jobs of a cancelled batch that were taken out of the queue never get one; they
// count as cancelled once nothing has come for ten seconds in which the broker was there. Results that were kept long
// enough are gone; how many is told at the end. A broker that goes away is waited for.
//
// It ends early with ctx, or with an error as the last thing that comes: queue.ErrNoBatch, or what the broker
// says.
func Follow(ctx context.Context, q Results, batch string) iter.Seq2[Update, error] {
	return defaultFollowing().follow(ctx, q, batch)
}

// heard is a result, a look at the batch, or the error that ends either.
type heard struct {
	result *queue.Followed
	look   *look
	err    error
}

// look is what record and queue say.
type look struct {
	record  queue.Batch
	settled bool   // no job that wants a result is in the queue
	last    uint64 // sequence of the last result, where that is so and in the first look
}

func (f following) follow(ctx context.Context, q Results, batch string) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		t := teller{following: f, news: make(chan heard), ask: make(chan struct{}, 1)}
		var both sync.WaitGroup // the goroutines end with ctx
		both.Go(func() { t.listen(ctx, q, batch) })
		both.Go(func() { t.watch(ctx, q, batch) })
		defer both.Wait()
		defer cancel()
		t.tell(ctx, yield)
	}
}

// teller makes updates of what two goroutines hear. The goroutine of tell owns what follows the channels.
type teller struct {
	following
	news chan heard    // written by listen and watch
	ask  chan struct{} // written by tell, for a look without delay

	tally  queue.Tally
	seen   uint64    // sequence of the last result
	at     time.Time // when it came
	asked  bool      // since then
	look   *look     // the last one; nil before the first
	looked time.Time // when that came
	first  uint64    // sequence of the last result as of the first look
	since  time.Time // when looks began to come without a long pause between two, in which the broker was away
	u      Update
}

// hand gives news to the one who tells it, and returns false when nobody listens any more.
func (t *teller) hand(ctx context.Context, h heard) bool {
	select {
	case t.news <- h:
		return true
	case <-ctx.Done():
		return false
	}
}

// listen hands on the results.
func (t *teller) listen(ctx context.Context, q Results, batch string) {
	for r, err := range q.FollowResults(ctx, batch, 0) {
		if !t.hand(ctx, heard{result: &r, err: err}) {
			return
		}
	}
}

// watch looks at the batch now, whenever some time has passed, and when it is asked to.
func (t *teller) watch(ctx context.Context, q Results, batch string) {
	tick := time.NewTicker(t.following.look)
	defer tick.Stop()
	for first := true; ; first = false {
		l, err := lookAt(ctx, q, batch)
		if first && err == nil && !l.settled {
			l.last, err = q.LastResult(ctx, batch)
		}
		if !t.hand(ctx, heard{look: &l, err: err}) || err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-t.ask:
		case <-ctx.Done():
			return
		}
	}
}

// lookAt reads the record first: once it says that all jobs are published, they are in the queue or done.
func lookAt(ctx context.Context, q Results, batch string) (l look, err error) {
	if l.record, err = q.GetBatch(ctx, batch); err == nil {
		l.last, l.settled, err = q.Settled(ctx, batch)
	}
	return l, err
}

// tell makes updates of the news.
func (t *teller) tell(ctx context.Context, yield func(Update, error) bool) {
	beat := time.NewTicker(t.beat)
	defer beat.Stop()
	t.at = time.Now()
	for {
		t.u.Result = nil
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case h := <-t.news:
			if h.err != nil {
				if ctx.Err() == nil {
					yield(Update{}, h.err)
				}
				return
			}
			t.hear(h)
		}
		t.judge()
		if !yield(t.u, nil) || t.u.Done {
			return
		}
	}
}

// hear takes the news in.
func (t *teller) hear(h heard) {
	if h.look != nil {
		if !t.attentive() {
			t.since = time.Now()
		}
		t.looked = time.Now()
		if t.look == nil {
			t.first = h.look.last
		}
		t.look, t.u.State, t.u.Total = h.look, h.look.record.State, h.look.record.Total
		return
	}
	t.tally.Add(h.result.Result)
	t.u.Result, t.u.Summary = &h.result.Result, t.tally.Summary()
	t.u.CaughtUp = t.u.CaughtUp || h.result.Pending == 0
	t.seen, t.at, t.asked = h.result.Sequence, time.Now(), false
}

// attentive reports whether the last look is not long ago.
func (t *teller) attentive() bool { return time.Since(t.looked) <= t.quiet/2 }

// judge says whether what was there has come, and whether the batch is done, and asks for a look when it seems to be.
func (t *teller) judge() {
	if t.look == nil {
		return
	}
	t.u.CaughtUp = t.u.CaughtUp || t.seen >= t.first
	missing := t.u.Total - t.u.Summary.Total()
	settled := t.look.settled && t.seen >= t.look.last
	switch {
	case t.u.State == queue.BatchCancelled && missing > 0:
		if t.attentive() && time.Since(t.at) > t.quiet && time.Since(t.since) > t.quiet && t.seen >= t.look.last {
			t.u.Done = true
			t.u.Summary.Cancelled += missing
		}
	case settled && (missing <= 0 || t.u.State == queue.BatchCommitted):
		t.u.Done, t.u.Gone = true, max(missing, 0)
	case missing <= 0 && !t.asked:
		t.asked = true
		select {
		case t.ask <- struct{}{}:
		default: // asked already
		}
	}
	if t.u.Done {
		t.u.Kept = t.look.record.Summary
	}
}
