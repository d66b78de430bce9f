package queue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Depth is how many jobs of a priority and model are in the queue.
type Depth struct {
	Priority    string    `json:"priority"`
	Model       string    `json:"model"`                 // as workers have registered it; else its token in subjects
	Waiting     int64     `json:"waiting"`               // not delivered to a worker yet, or without a consumer
	Running     int64     `json:"running"`               // with a worker, or handed back with a delay
	Stranded    int64     `json:"stranded"`              // that the consumer knows nothing of; while jobs come and go, a few for a moment
	Consumer    bool      `json:"consumer"`              // there is one: some worker has served the model
	PausedUntil time.Time `json:"paused_until,omitzero"` // the consumer delivers nothing before
}

// QueueDepth returns how many jobs are in the queue, by priority, the most urgent first, and model, as the consumers
// know them; see Stranded for others. A priority and model of which there are neither jobs nor a consumer is left out.
func (c *Client) QueueDepth(ctx context.Context) ([]Depth, error) {
	type place struct{ priority, token string }
	depths := map[place]*Depth{}
	at := func(p place) *Depth {
		if depths[p] == nil {
			depths[p] = &Depth{Priority: p.priority, Model: p.token}
		}
		return depths[p]
	}
	err := c.try(ctx, "measuring the queue", func(ctx context.Context) error {
		clear(depths)
		s, err := c.js.Stream(ctx, c.names.JobsStream())
		if err != nil {
			return err
		}
		consumers := s.ListConsumers(ctx)
		for info := range consumers.Info() {
			priority, token, _, ok := c.names.parseJobSubject(info.Config.FilterSubject)
			if !ok {
				continue // not one of the queue's
			}
			d := at(place{priority, token})
			d.Consumer, d.Waiting, d.Running = true, int64(info.NumPending), int64(info.NumAckPending)
			if info.Paused {
				d.PausedUntil = time.Now().Add(info.PauseRemaining).UTC().Truncate(time.Second)
			}
		}
		if err := consumers.Err(); err != nil {
			return err
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(c.names.BatchFilter("*")))
		if err != nil {
			return err
		}
		for subject, n := range info.State.Subjects {
			priority, token, _, ok := c.names.parseJobSubject(subject)
			if !ok {
				continue
			}
			if d := at(place{priority, token}); !d.Consumer {
				d.Waiting += int64(n)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	names, err := c.modelNames(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Depth, 0, len(depths))
	for _, d := range depths {
		if i := slices.IndexFunc(names, func(name string) bool { return ModelToken(name) == d.Model }); i >= 0 {
			d.Model = names[i]
		}
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Depth) int {
		return cmp.Or(cmp.Compare(slices.Index(Priorities(), a.Priority), slices.Index(Priorities(), b.Priority)), cmp.Compare(a.Model, b.Model))
	})
	return all, nil
}
