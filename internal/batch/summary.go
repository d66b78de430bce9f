package batch

import (
	"context"
	"errors"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Records is what KeepSummary needs of the broker; *queue.Client is one.
type Records interface {
	GetBatch(ctx context.Context, id string) (queue.Batch, error)
	UpdateBatch(ctx context.Context, b queue.Batch) (queue.Batch, error)
}

var _ Records = (*queue.Client)(nil)

// KeepSummary writes into a batch's record what became of its jobs, for when their results are gone. nil takes back
// what is there, because jobs are retried.
func KeepSummary(ctx context.Context, q Records, id string, s *queue.Summary) error {
	for {
		b, err := q.GetBatch(ctx, id)
		if err != nil || b.Summary == nil && s == nil || b.Summary != nil && s != nil && *b.Summary == *s {
			return err
		}
		b.Summary = s
		if _, err = q.UpdateBatch(ctx, b); !errors.Is(err, queue.ErrBatchChanged) {
			return err
		}
	}
}
