package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Scope names consumers: those of some models and priorities. The zero value names all.
type Scope struct {
	Models     []string
	Priorities []string
}

// includes reports whether a consumer of a priority and model token is meant.
func (s Scope) includes(priority, modelToken string) bool {
	return (len(s.Priorities) == 0 || slices.Contains(s.Priorities, priority)) &&
		(len(s.Models) == 0 || slices.ContainsFunc(s.Models, func(m string) bool { return ModelToken(m) == modelToken }))
}

// pauseForGood is how long a pause without an end lasts.
const pauseForGood = 100 * 365 * 24 * time.Hour

// Pause stops the delivery of jobs until a time, or with a zero one for good, and returns the names of the consumers
// that it paused, sorted. Jobs that run are not touched; jobs go on being published. A model that no worker has
// served yet has no consumer that could be paused.
func (c *Client) Pause(ctx context.Context, s Scope, until time.Time) ([]string, error) {
	if until.IsZero() {
		until = time.Now().Add(pauseForGood)
	}
	return c.eachConsumer(ctx, s, "pausing", func(ctx context.Context, stream, consumer string) error {
		_, err := c.js.PauseConsumer(ctx, stream, consumer, until)
		return err
	})
}

// Resume ends pauses and returns the names of the consumers, sorted, those that were not paused among them. Workers
// notice within seconds.
func (c *Client) Resume(ctx context.Context, s Scope) ([]string, error) {
	return c.eachConsumer(ctx, s, "resuming", func(ctx context.Context, stream, consumer string) error {
		_, err := c.js.ResumeConsumer(ctx, stream, consumer)
		return err
	})
}

// eachConsumer does something with the consumers of a scope and returns their names.
func (c *Client) eachConsumer(ctx context.Context, s Scope, doing string, do func(ctx context.Context, stream, consumer string) error) ([]string, error) {
	stream := c.names.JobsStream()
	var names []string
	err := c.try(ctx, "listing consumers", func(ctx context.Context) error {
		jobs, err := c.js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		names = nil
		consumers := jobs.ListConsumers(ctx)
		for info := range consumers.Info() {
			if priority, modelToken, _, ok := c.names.parseJobSubject(info.Config.FilterSubject); ok && s.includes(priority, modelToken) {
				names = append(names, info.Name)
			}
		}
		return consumers.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var done []string
	for _, name := range names {
		gone := false
		err := c.try(ctx, doing+" consumer "+name, func(ctx context.Context) error {
			err := do(ctx, stream, name)
			if gone = errors.Is(err, jetstream.ErrConsumerNotFound); gone {
				return nil
			}
			return err
		})
		if err != nil {
			return done, err
		}
		if !gone {
			done = append(done, name)
		}
	}
	return done, nil
}
