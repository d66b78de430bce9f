package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
)

// overview is what there is on the broker. Its JSON is that of `enqueue status --json`.
type overview struct {
	Type     string            `json:"type"` // status
	Batches  []batchOverview   `json:"batches"`
	Older    int               `json:"older"` // batches that are left out
	Queue    []queue.Depth     `json:"queue"`
	Stranded []queue.Stranding `json:"stranded"` // jobs that no consumer delivers any more
	Workers  []queue.Status    `json:"workers"`
}

// batchOverview is one batch in a list.
type batchOverview struct {
	BatchID string    `json:"batch_id"`
	State   string    `json:"state"`
	Created time.Time `json:"created,omitzero"`
	Total   int64     `json:"total"`
	Sent    int64     `json:"sent"`    // jobs that were published
	Waiting int64     `json:"waiting"` // in the queue, those that run included
	Done    int64     `json:"done"`    // that have a result, or were cancelled before they had one
	// Summary says what became of those that are done. nil for a batch with so many results that reading them takes
	// too long for a list.
	Summary *queue.Summary `json:"summary,omitempty"`
}

// listedResults is how many results of a batch are read for a list.
const listedResults = 100_000

// counter counts the jobs of a batch that have a result, and by what became of them, nil if that is not known.
type counter func(ctx context.Context, batch string) (done int64, s *queue.Summary, err error)

// look gathers the overview, of so many batches, 0 for all.
func (o *overview) look(ctx context.Context, c *queue.Client, limit int, results counter) error {
	o.Type, o.Batches, o.Queue, o.Stranded, o.Workers = "status", []batchOverview{}, []queue.Depth{}, []queue.Stranding{}, []queue.Status{}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		workers, err := ops.HearWorkers(ctx, c)
		o.Workers = append(o.Workers, workers...)
		return err
	})
	group.Go(func() error {
		depth, err := c.QueueDepth(ctx)
		o.Queue = append(o.Queue, depth...)
		return err
	})
	group.Go(func() error {
		models, err := c.ListModels(ctx)
		if err != nil {
			return err
		}
		stranded, err := c.Stranded(ctx, layoutOf(models))
		o.Stranded = append(o.Stranded, stranded...)
		return err
	})
	group.Go(func() error {
		all, err := c.ListBatches(ctx)
		if err != nil {
			return err
		}
		if limit > 0 && len(all) > limit {
			o.Older, all = len(all)-limit, all[:limit]
		}
		for _, b := range all {
			one, err := overviewOf(ctx, c, b, results)
			if err != nil {
				return err
			}
			o.Batches = append(o.Batches, one)
		}
		return nil
	})
	return group.Wait()
}

// overviewOf counts the jobs of one batch.
func overviewOf(ctx context.Context, c *queue.Client, b queue.Batch, results counter) (batchOverview, error) {
	o := batchOverview{BatchID: b.ID, State: b.State, Created: b.Created, Total: b.Total, Sent: b.Cursor}
	var err error
	if o.Waiting, err = c.WaitingJobs(ctx, b.ID); err != nil {
		return o, err
	}
	if b.Summary != nil && b.Summary.Total() >= b.Total && o.Waiting == 0 {
		o.Done, o.Summary = b.Total, b.Summary
		return o, nil
	}
	if o.Done, o.Summary, err = results(ctx, b.ID); err != nil {
		return o, err
	}
	if b.State == queue.BatchCancelled {
		purged := max(b.Total-o.Done, 0)
		o.Done += purged
		if o.Summary != nil {
			o.Summary.Cancelled += purged
		}
	}
	return o, nil
}

// countStored counts the results that are stored.
func countStored(c *queue.Client) counter {
	return func(ctx context.Context, batch string) (int64, *queue.Summary, error) {
		done, err := c.CountResults(ctx, batch)
		if err != nil || done > listedResults {
			return done, nil, err
		}
		var t queue.Tally
		for r, err := range c.ReadResults(ctx, batch) {
			if err != nil {
				return 0, nil, err
			}
			t.Add(r.Result)
		}
		s := t.Summary()
		return s.Total(), &s, nil
	}
}

// layoutOf is the layout of registered models.
func layoutOf(models []queue.Model) queue.Layout {
	var l queue.Layout
	for _, m := range models {
		l.Models = append(l.Models, m.Name)
	}
	return l
}
