package batch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Retrier is what Again needs of the broker; *queue.Client is one.
type Retrier interface {
	Place

	// RetryJobs publishes up to queue.ChunkSize jobs again, each with a retry one higher than that of its record.
	RetryJobs(ctx context.Context, jobs []queue.Message) ([]queue.Identity, error)
}

var _ Retrier = (*queue.Client)(nil)

// Repetition is some jobs of a batch that are published again. Who has published them once has forgotten them: they
// come from the same rows.
type Repetition struct {
	Record   queue.Batch // of the batch, which is committed
	Priority string      // with which it was enqueued; "" is queue.Normal
	Plan     Plan        // of the same rows and values as then
	Wanted   func(index int64) bool

	Tracing Tracing
	OnJobs  func(ids []queue.Identity) // hears of jobs that are in the queue again, at most 1000 at a time; nil hears nothing
	OnFull  func(wait time.Duration)   // as that of a Submission
}

// ErrIncomplete is a batch that was not enqueued to its end, so that its record says nothing of all its rows.
var ErrIncomplete = errors.New("the batch was not enqueued to its end")

// Again checks that a plan makes the very jobs of the batch, all of them, and then publishes those that are wanted. It
// returns how many. A crash in between does no harm: a job that is published again while it is in the queue is drawn
// once.
//
// Errors: *RowError for bad input, ErrRowsDiffer, ErrIncomplete, and those of the queue.
func Again(ctx context.Context, q Retrier, r Repetition) (int64, error) {
	if r.Priority == "" {
		r.Priority = queue.Normal
	}
	err := r.verify(ctx)
	published := int64(0)
	if err == nil {
		published, err = r.publish(ctx, q)
	}
	if err != nil {
		return published, fmt.Errorf("retrying jobs of batch %s: %w", r.Record.ID, err)
	}
	return published, nil
}

// verify compares the rows with those that were enqueued, by their hash.
func (r Repetition) verify(ctx context.Context) error {
	if r.Record.State != queue.BatchCommitted || r.Record.Cursor != r.Record.Total {
		return fmt.Errorf("%w: %d of %d jobs were sent", ErrIncomplete, r.Record.Cursor, r.Record.Total)
	}
	hash, n := "", int64(0)
	var err error
	for chunk, chunkErr := range r.chunks(func(int64) bool { return true }) {
		if err = errors.Join(chunkErr, context.Cause(ctx)); err != nil {
			return err
		}
		if hash, err = queue.HashRows(hash, chunk); err != nil {
			return err
		}
		if n += int64(len(chunk)); n > r.Record.Total {
			break
		}
	}
	switch {
	case n != r.Record.Total:
		return fmt.Errorf("%w: it has %d jobs, these rows make %d", ErrRowsDiffer, r.Record.Total, n)
	case hash != r.Record.Hash:
		return fmt.Errorf("%w: give the same rows, flags, model and priority", ErrRowsDiffer)
	}
	return nil
}

// publish publishes the jobs that are wanted.
func (r Repetition) publish(ctx context.Context, q Retrier) (int64, error) {
	tracer, published := newPublisher(r.Tracing, q, r.Record.Total), int64(0)
	for chunk, err := range r.chunks(r.Wanted) {
		if err != nil {
			return published, err
		}
		started := tracer.start(ctx, chunk)
		var ids []queue.Identity
		err = whenRoom(ctx, r.OnFull, func() (err error) {
			ids, err = q.RetryJobs(ctx, chunk)
			return err
		})
		tracer.end(started, queue.Ack{}, err)
		if err != nil {
			return published, err
		}
		if published += int64(len(ids)); r.OnJobs != nil {
			r.OnJobs(ids)
		}
	}
	return published, nil
}

// chunks are the jobs of the plan that are wanted, as messages, up to queue.ChunkSize at a time. An error is the last
// thing that comes.
func (r Repetition) chunks(wanted func(index int64) bool) func(yield func([]queue.Message, error) bool) {
	return func(yield func([]queue.Message, error) bool) {
		var chunk []queue.Message
		for j, err := range r.Plan.Jobs(r.Record.ID) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !wanted(j.Index) {
				continue
			}
			if chunk = append(chunk, queue.Message{Priority: r.Priority, Job: j}); len(chunk) == queue.ChunkSize {
				if !yield(chunk, nil) {
					return
				}
				chunk = nil
			}
		}
		if len(chunk) > 0 {
			yield(chunk, nil)
		}
	}
}
