package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Backlog is what a consumer has before it. Workers that share a consumer are told the same.
type Backlog struct {
	Stream, Consumer string
	Pending          int64 // jobs that were not delivered yet
	Held             int64 // delivered, and neither settled nor given back
	Redelivered      int64 // of those held, not for the first time
}

// Backlog asks the broker for that of each priority's consumer of a model. A
// consumer that is missing has none. It asks once: a broker that is away is an error.
func (c *Client) Backlog(ctx context.Context, model string) ([]Backlog, error) {
	var all []Backlog
	for _, priority := range Priorities() {
		name := ConsumerName(priority, model)
		consumer, err := c.js.Consumer(ctx, c.names.JobsStream(), name)
		switch {
		case errors.Is(err, jetstream.ErrConsumerNotFound):
			continue
		case err != nil:
			return all, fmt.Errorf("asking for the backlog of %s: %w", name, err)
		}
		info := consumer.CachedInfo() // just asked for
		all = append(all, Backlog{
			Stream: c.names.JobsStream(), Consumer: name,
			Pending: int64(info.NumPending), Held: int64(info.NumAckPending), Redelivered: int64(info.NumRedelivered),
		})
	}
	return all, nil
}
