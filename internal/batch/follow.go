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
}

var _ Results = (*queue.Client)(nil)

// Update is news of a batch.
type Update struct {
	Result   *queue.Result // that has come; nil for a sign of life, which comes every second without one
	Summary  queue.Summary // of the jobs so far, each counted once, by its last result
	Total    int64         // jobs of the batch
	State    string        // of the batch: queue.BatchEnqueuing, BatchCommitted or BatchCancelled
	CaughtUp bool          // the results that were there at the beginning have all come
	Done     bool          // no other update follows: every job has a result, or was cancelled before it had one
}

// following is how often Follow looks at things.
type following struct {
	beat  time.Duration // between signs of life
	look  time.Duration // between looks at the batch's record
	quiet time.Duration // without a result, after which a cancelled batch is done: its running jobs have stopped
}

func defaultFollowing() following {
	return following{beat: time.Second, look: 2 * time.Second, quiet: 10 * time.Second}
}

// Follow returns what becomes of a batch: its results, those first that are there already, until every job has
// one. Jobs of a cancelled batch that were taken out of the queue never get one; they count as cancelled once
// nothing has come for ten seconds. A broker that goes away is waited for.
//
// It ends early with ctx, or with an error as the last thing that comes: queue.ErrNoBatch, or what the broker
// says.
func Follow(ctx context.Context, q Results, batch string) iter.Seq2[Update, error] {
	return defaultFollowing().follow(ctx, q, batch)
}

// heard is a result, the batch's record, or the error that ends either.
type heard struct {
	result *queue.Followed
	record *queue.Batch
	err    error
}

func (f following) follow(ctx context.Context, q Results, batch string) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		news := make(chan heard) // from the two goroutines below, which end with ctx
		var both sync.WaitGroup
		both.Go(func() { f.listen(ctx, q, batch, news) })
		both.Go(func() { f.watch(ctx, q, batch, news) })
		defer both.Wait()
		defer cancel()
		f.tell(ctx, news, yield)
	}
}

// hand gives news to the one who tells it, and returns false when nobody listens any more.
func hand(ctx context.Context, news chan<- heard, h heard) bool {
	select {
	case news <- h:
		return true
	case <-ctx.Done():
		return false
	}
}

// listen hands on the results.
func (f following) listen(ctx context.Context, q Results, batch string, news chan<- heard) {
	for r, err := range q.FollowResults(ctx, batch, 0) {
		if !hand(ctx, news, heard{result: &r, err: err}) {
			return
		}
	}
}

// watch hands on the batch's record, now and whenever some time has passed.
func (f following) watch(ctx context.Context, q Results, batch string, news chan<- heard) {
	tick := time.NewTicker(f.look)
	defer tick.Stop()
	for {
		record, err := q.GetBatch(ctx, batch)
		if !hand(ctx, news, heard{record: &record, err: err}) || err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell makes updates of the news.
func (f following) tell(ctx context.Context, news <-chan heard, yield func(Update, error) bool) {
	var tally queue.Tally
	var u Update // with the state of the last look; Total 0 before the first
	beat := time.NewTicker(f.beat)
	defer beat.Stop()
	last := time.Now() // of the last result
	for {
		u.Result = nil
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			u.CaughtUp = u.CaughtUp || time.Since(last) >= f.beat // there were none
		case h := <-news:
			switch {
			case h.err != nil:
				if ctx.Err() == nil {
					yield(Update{}, h.err)
				}
				return
			case h.result != nil:
				tally.Add(h.result.Result)
				u.Result, u.Summary = &h.result.Result, tally.Summary()
				u.CaughtUp = u.CaughtUp || h.result.Pending == 0
				last = time.Now()
			default:
				u.State, u.Total = h.record.State, h.record.Total
			}
		}
		purged := u.Total - u.Summary.Total()
		switch {
		case u.Total == 0:
		case purged <= 0:
			u.Done = true
		case u.State == queue.BatchCancelled && time.Since(last) > f.quiet:
			u.Done = true
			u.Summary.Cancelled += purged
		}
		if !yield(u, nil) || u.Done {
			return
		}
	}
}
