package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// Repair deletes the consumer of a priority and model and makes it anew, as the layout says but for its AckWait and
// its pause, which it keeps. The new one has all jobs of the queue before it, stranded ones too.
//
// Jobs that run are delivered again, at once and as if for the first time. Who runs them is not told, for the new
// consumer answers their heartbeats, too: whichever worker is first stores and records how the job ended. So nothing is
// lost or doubled, and some pictures are drawn twice. That is why it is a command for people.
//
// A crash in between leaves no consumer: run it again, or let a worker that may make one.
func (c *Client) Repair(ctx context.Context, l Layout, priority, model string) error {
	l, err := l.withDefaults()
	if err != nil {
		return err
	}
	if !slices.Contains(Priorities(), priority) {
		return fmt.Errorf("repairing a consumer: priority %s is not one of %v", quote(priority), Priorities())
	}
	if why := modelProblem(model, quote); why != "" {
		return fmt.Errorf("repairing a consumer: the model's name %s", why)
	}
	want := l.consumer(c.names, priority, model)
	stream := c.names.JobsStream()
	seen := false
	err = c.try(ctx, "deleting consumer "+want.Durable, func(ctx context.Context) error {
		have, err := c.js.Consumer(ctx, stream, want.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if !seen { // a second one is a worker's, by its own settings
			cfg := have.CachedInfo().Config
			want.AckWait, want.PauseUntil, seen = cfg.AckWait, cfg.PauseUntil, true
		}
		return c.deleteConsumer(ctx, stream, want.Durable)
	})
	if err != nil {
		return err
	}
	return c.try(ctx, "making consumer "+want.Durable, func(ctx context.Context) error {
		_, err := c.js.CreateConsumer(ctx, stream, want)
		if !errors.Is(err, jetstream.ErrConsumerExists) {
			return err
		}
		if err := c.deleteConsumer(ctx, stream, want.Durable); err != nil { // a worker's again
			return err
		}
		return fmt.Errorf("%w: %w", errAgain, err)
	})
}

// deleteConsumer is one try to delete a consumer that may be gone.
func (c *Client) deleteConsumer(ctx context.Context, stream, consumer string) error {
	err := c.js.DeleteConsumer(ctx, stream, consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return err
}
