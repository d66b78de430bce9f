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
// Jobs that run lose their lease and are delivered again, at once and as if for the first time. Who runs them ends
// them as any job whose lease is lost: a success is stored and recorded, by whichever worker is first, and nothing
// else is said of them. So nothing is lost or doubled, and some pictures are drawn twice. That is why it is a
// command for people.
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
	deleted := false
	err = c.try(ctx, "deleting consumer "+want.Durable, func(ctx context.Context) error {
		if deleted {
			return nil
		}
		have, err := c.js.Consumer(ctx, c.names.JobsStream(), want.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		cfg := have.CachedInfo().Config
		want.AckWait, want.PauseUntil = cfg.AckWait, cfg.PauseUntil
		err = c.js.DeleteConsumer(ctx, c.names.JobsStream(), want.Durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil
		}
		deleted = err == nil
		return err
	})
	if err != nil {
		return err
	}
	_, err = c.ensureConsumer(ctx, want)
	return err
}
