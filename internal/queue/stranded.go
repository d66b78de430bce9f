package queue

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stranding is jobs that no worker will get: they are in JOBS, and their consumer neither has them before it nor waits
// for their acknowledgement. Brokers that crashed have done that. Repair mends it.
type Stranding struct {
	Priority string `json:"priority"`
	Model    string `json:"model"`
	Consumer string `json:"consumer"`
	Jobs     int64  `json:"jobs"`
	Missing  bool   `json:"missing"` // there is no such consumer: the next worker that serves the model makes it, where it may
}

// Of the looks at a consumer and its jobs.
const (
	strandLooks = 4                     // in a round
	strandGap   = 25 * time.Millisecond // between two
	strandPause = 2 * time.Second       // between two rounds
)

// Stranded looks for stranded jobs of a layout's models. It counts in two places while jobs come and go, so it looks
// several times and takes the smallest number: what is stranded stays. That takes 2 s if there seem to be some. While
// jobs are published it may miss some, and the next call finds them.
func (c *Client) Stranded(ctx context.Context, l Layout) ([]Stranding, error) {
	return c.stranded(ctx, l, strandPause)
}

func (c *Client) stranded(ctx context.Context, l Layout, pause time.Duration) ([]Stranding, error) {
	l, err := l.withDefaults()
	if err != nil {
		return nil, err
	}
	var suspects []Stranding
	for _, m := range l.Models {
		for _, p := range Priorities() {
			suspects = append(suspects, Stranding{Priority: p, Model: m, Consumer: ConsumerName(p, m)})
		}
	}
	if suspects, err = c.countStranded(ctx, suspects); err != nil || len(suspects) == 0 {
		return nil, err
	}
	first := make(map[string]int64, len(suspects))
	for _, s := range suspects {
		first[s.Consumer] = s.Jobs
	}
	if err := sleep(ctx, pause); err != nil {
		return nil, &brokerError{"looking for stranded jobs", err}
	}
	if suspects, err = c.countStranded(ctx, suspects); err != nil {
		return nil, err
	}
	for i, s := range suspects {
		suspects[i].Jobs = min(s.Jobs, first[s.Consumer])
	}
	return suspects, nil
}

// countStranded returns those of some consumers that have stranded jobs now.
func (c *Client) countStranded(ctx context.Context, some []Stranding) ([]Stranding, error) {
	var found []Stranding
	for _, s := range some {
		err := c.try(ctx, "looking for stranded jobs of "+s.Consumer, func(ctx context.Context) (err error) {
			s.Jobs, s.Missing, err = c.lookStranded(ctx, s.Consumer, c.names.consumerFilter(s.Priority, s.Model))
			return err
		})
		if err != nil {
			return nil, err
		}
		if s.Jobs > 0 {
			found = append(found, s)
		}
	}
	return found, nil
}

// lookStranded counts the messages on a consumer's subjects, before and after it asks how many of them the consumer
// knows. One that is published in between is not in the first count, and one that is settled not in the second; the
// consumer hears of a message a moment after it is stored, which is what more looks are for.
func (c *Client) lookStranded(ctx context.Context, consumer, filter string) (stranded int64, missing bool, err error) {
	s, err := c.js.Stream(ctx, c.names.JobsStream())
	if err != nil {
		return 0, false, err
	}
	stored := func() (n int64, err error) {
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
		if err != nil {
			return 0, err
		}
		for _, ofBatch := range info.State.Subjects {
			n += int64(ofBatch)
		}
		return n, nil
	}
	for look := range strandLooks {
		if look > 0 {
			if err := sleep(ctx, strandGap); err != nil {
				return 0, false, err
			}
		}
		before, err := stored()
		if err != nil {
			return 0, false, err
		}
		have, err := s.Consumer(ctx, consumer)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return before, true, nil
		}
		if err != nil {
			return 0, false, err
		}
		after, err := stored()
		if err != nil {
			return 0, false, err
		}
		info := have.CachedInfo()
		surplus := max(min(before, after)-int64(info.NumPending)-int64(info.NumAckPending), 0) // of which some wait for a delayed retry
		if look == 0 || surplus < stranded {
			stranded = surplus
		}
		if stranded == 0 {
			break
		}
	}
	return stranded, false, nil
}
