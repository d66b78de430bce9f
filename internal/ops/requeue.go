package ops

import (
	"context"
	"errors"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/queue"
)

// Requeue puts the job of a dead letter back into the queue and deletes the letter. The counts in the record of its batch
// are no longer right then, and are taken back: for each letter, since whoever looks at the batch between two of them may find
// it done and write them down. Errors are those of (*queue.Client).Requeue; queue.ErrNotRequeued and queue.ErrJobCancelled
// concern this letter alone.
func Requeue(ctx context.Context, c *queue.Client, d queue.DeadMessage) (queue.Identity, error) {
	if err := batch.KeepSummary(ctx, c, d.ID.Batch, nil); err != nil && !errors.Is(err, queue.ErrNoBatch) {
		return queue.Identity{}, err
	}
	return c.Requeue(ctx, d)
}
