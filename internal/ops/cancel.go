package ops

import (
	"context"
	"errors"
	"fmt"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Cancel cancels a batch, or with an index that is not negative one job of it. Purged is how many jobs of a batch were
// taken out of the queue, running ones among them. The error of what cannot be cancelled is an InputError.
func Cancel(ctx context.Context, c *queue.Client, batch string, index int64) (purged uint64, err error) {
	if err := exists(ctx, c, batch, index); err != nil {
		return 0, err
	}
	if index >= 0 {
		return 0, c.CancelJob(ctx, batch, index)
	}
	return c.CancelBatch(ctx, batch)
}

// exists refuses what is a slip: a batch that has no record and no jobs, and an index that no job of it has.
func exists(ctx context.Context, c *queue.Client, batch string, index int64) error {
	b, err := c.GetBatch(ctx, batch)
	if errors.Is(err, queue.ErrNoBatch) {
		n, waitErr := c.WaitingJobs(ctx, batch)
		if waitErr != nil {
			return waitErr
		}
		if n == 0 {
			return Input(fmt.Errorf("%w, and none of its jobs is in the queue; is --queue-prefix right?", err))
		}
		return nil // others than enqueue published it
	}
	if err == nil && b.Total > 0 && index >= b.Total {
		return Input(fmt.Errorf("batch %s has jobs 0 to %d, and no %d", batch, b.Total-1, index))
	}
	return err
}
