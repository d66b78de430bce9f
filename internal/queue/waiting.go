package queue

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
)

// WaitingJobs returns how many jobs of a batch, "*" for all batches, are in the queue: those that wait, for a worker
// or a delayed retry, and those that a worker holds. A job that is done leaves it a moment after it has its result.
func (c *Client) WaitingJobs(ctx context.Context, batch string) (int64, error) {
	var waiting int64
	err := c.try(ctx, "counting jobs in the queue", func(ctx context.Context) error {
		s, err := c.js.Stream(ctx, c.names.JobsStream())
		if err != nil {
			return err
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(c.names.BatchFilter(batch)))
		if err != nil {
			return err
		}
		waiting = 0
		for _, n := range info.State.Subjects { // one for each priority and model of a batch
			waiting += int64(n)
		}
		return nil
	})
	return waiting, err
}
