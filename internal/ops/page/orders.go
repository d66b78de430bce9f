package page

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// Bounds of an order: more is for enqueue, which says how far it is, and goes on after a crash.
const (
	mostJobs    = 100_000
	listedJobs  = 1000 // of which the answer names
	submitsName = "request"
)

// Orders puts jobs into the queue of a system.
type Orders struct {
	*System

	Tracing batch.Tracing // the zero value traces nothing
	// Begin starts the span of an order, which end ends with what became of it; nil starts none.
	Begin func(ctx context.Context, batch string, jobs int64) (in context.Context, end func(error))
}

// Submit enqueues jobs as enqueue does: each row with every combination of a value of each axis.
func (o Orders) Submit(ctx context.Context, order web.Order) (_ web.Submitted, err error) {
	plan, err := planOf(order)
	if err != nil {
		return web.Submitted{}, forPeople(err)
	}
	census, err := plan.Count()
	switch {
	case err != nil:
		return web.Submitted{}, &web.Error{Status: http.StatusBadRequest, Err: err}
	case census.Jobs > mostJobs:
		return web.Submitted{}, web.Errorf(http.StatusRequestEntityTooLarge, "these are %d jobs, and the page takes %d at most: use enqueue, which takes any number", census.Jobs, mostJobs)
	}
	id := order.Batch
	if id == "" {
		id = batch.NewID(time.Now())
	}
	done := web.Submitted{Batch: id, Jobs: []string{}, Total: census.Jobs}
	if o.Begin != nil {
		in, end := o.Begin(ctx, id, census.Jobs)
		ctx = in
		defer func() { end(err) }()
	}
	err = o.work(ctx, func(ctx context.Context, c *queue.Client) error {
		if _, err := c.Ensure(ctx, queue.Layout{}); err != nil {
			return err
		}
		model, err := modelFor(ctx, c, census.Models)
		if err != nil {
			return err
		}
		if plan.Defaults.Model == "" {
			plan.Defaults.Model = model
		}
		_, err = batch.Submit(ctx, c, batch.Submission{Batch: id, Priority: order.Priority, Plan: plan, Total: census.Jobs, Tracing: o.Tracing})
		return err
	})
	for i := range min(census.Jobs, listedJobs) {
		done.Jobs = append(done.Jobs, fmt.Sprintf("%s/%d", id, i))
	}
	return done, forPeople(err)
}

// planOf makes a plan of an order.
func planOf(o web.Order) (batch.Plan, error) {
	if o.Batch != "" {
		if err := batch.ValidateID(o.Batch); err != nil {
			return batch.Plan{}, err
		}
	}
	if o.Priority != "" && !slices.Contains(queue.Priorities(), o.Priority) {
		return batch.Plan{}, web.Errorf(http.StatusBadRequest, "priority is %q: it is one of %s", o.Priority, strings.Join(queue.Priorities(), ", "))
	}
	var rows bytes.Buffer
	for i, j := range o.Jobs {
		if err := json.Compact(&rows, j); err != nil { // one a line
			return batch.Plan{}, web.Errorf(http.StatusBadRequest, "job %d cannot be read: %w", i+1, err)
		}
		rows.WriteByte('\n')
	}
	plan := batch.Plan{Rows: func(yield func(batch.Row, error) bool) {
		batch.Read(batch.JSONLFormat, submitsName, bytes.NewReader(rows.Bytes()))(yield) // it is read twice
	}}
	for _, a := range o.Axes {
		axis, err := axisOf(a)
		if err != nil {
			return plan, &web.Error{Status: http.StatusBadRequest, Err: err}
		}
		plan.Groups = append(plan.Groups, batch.Group{axis})
	}
	return plan, nil
}

// axisOf reads the values of a field, each as it is; where one of them is none, ranges such as 1..8 are tried.
func axisOf(a web.Axis) (batch.Axis, error) {
	axis, err := batch.NewAxis(a.Field, a.Values...)
	if err == nil {
		return axis, nil
	}
	if ranges, rangeErr := batch.ParseAxis(a.Field, strings.Join(a.Values, ",")); rangeErr == nil {
		return ranges, nil
	}
	return axis, err
}

// modelFor checks the models that jobs name, and returns the one of those that name none.
func modelFor(ctx context.Context, c *queue.Client, named []string) (string, error) {
	registered, err := c.ListModels(ctx)
	if err != nil {
		return "", err
	}
	known := make([]string, len(registered))
	for i, m := range registered {
		known[i] = m.Name
	}
	if len(known) == 0 {
		return "", ops.Input(errors.New("no worker has registered a model yet: start one"))
	}
	for _, name := range named {
		if name != "" && !slices.Contains(known, name) {
			return "", ops.Input(fmt.Errorf("no worker has registered the model %q: choose one of %s", name, strings.Join(known, ", ")))
		}
	}
	switch {
	case !slices.Contains(named, ""):
		return "", nil
	case len(known) > 1:
		return "", ops.Input(fmt.Errorf("which model? choose one of %s", strings.Join(known, ", ")))
	}
	return known[0], nil
}

// work lets something be done that may take longer than an answer.
func (s *System) work(ctx context.Context, do func(context.Context, *queue.Client) error) error {
	c, err := s.broker()
	if err != nil {
		return err
	}
	return do(ctx, c)
}

// Retry puts jobs back from their dead letters: index -1 means all of a batch that failed.
func (o Orders) Retry(ctx context.Context, id string, index int64, what string) (int64, error) {
	if what == web.RetryMissing {
		return 0, web.Errorf(http.StatusConflict, "a job that succeeded leaves nothing in the queue to draw it from again: give enqueue its rows, as in: enqueue retry %s --missing --file ROWS", id)
	}
	var put int64
	var kept error // why a letter stays where it is
	err := o.work(ctx, func(ctx context.Context, c *queue.Client) error {
		wanted, err := failed(ctx, c, id, index)
		if err != nil {
			return err
		}
		for d, err := range c.DeadLetters(ctx, queue.DeadFilter{Batch: id}) {
			if err != nil {
				return err
			}
			if !d.HasID || !wanted[d.ID.Index] {
				continue
			}
			_, err := ops.Requeue(ctx, c, d)
			switch {
			case errors.Is(err, queue.ErrNotRequeued), errors.Is(err, queue.ErrJobCancelled):
				kept = err
				continue
			case err != nil:
				return err
			}
			put++
			delete(wanted, d.ID.Index)
		}
		if put == 0 && kept != nil {
			return kept
		}
		if put == 0 && len(wanted) > 0 {
			return web.Errorf(http.StatusConflict, "no dead letter is left that %d of %s could be put back from: where they are not back in the queue already, give enqueue the rows, as in: enqueue retry %s --failed --file ROWS", len(wanted), id, id)
		}
		return nil
	})
	return put, forPeople(err)
}

// failed are the indexes of the jobs of a batch that failed; of one job, that it did and is not back in the queue.
func failed(ctx context.Context, c *queue.Client, id string, index int64) (map[int64]bool, error) {
	wanted := map[int64]bool{}
	if index >= 0 {
		r, found, err := c.Lookup(ctx, id, index)
		switch {
		case err != nil:
			return nil, err
		case !found:
			return nil, web.Errorf(http.StatusConflict, "job %s/%d has no result: it waits or runs, or its result is gone", id, index)
		case r.Status != queue.Failed:
			return nil, web.Errorf(http.StatusConflict, "job %s/%d is %s: only one that failed has a dead letter to be drawn from again; enqueue it anew by the command below its picture", id, index, r.Status)
		}
		back, err := putBack(ctx, c, r)
		if err == nil && !back {
			wanted[index] = true
		}
		return wanted, err
	}
	if _, err := c.GetBatch(ctx, id); err != nil && !errors.Is(err, queue.ErrNoBatch) {
		return nil, err
	}
	for f, err := range c.ReadResults(ctx, id) {
		if err != nil {
			return nil, err
		}
		if f.Status == queue.Failed {
			wanted[f.Index] = true
		} else {
			delete(wanted, f.Index) // a later result takes an earlier one's place
		}
	}
	return wanted, nil
}

// Requeue puts the jobs of dead letters back.
func (o Orders) Requeue(ctx context.Context, letters []uint64) (int64, error) {
	var put int64
	var kept []error
	err := o.work(ctx, func(ctx context.Context, c *queue.Client) error {
		for _, sequence := range letters {
			p, err := c.PageDead(ctx, "", sequence-1, 1)
			if err != nil {
				return err
			}
			if len(p.Entries) == 0 || p.Entries[0].Sequence != sequence {
				kept = append(kept, fmt.Errorf("there is no dead letter %d any more", sequence))
				continue
			}
			_, err = ops.Requeue(ctx, c, p.Entries[0])
			switch {
			case errors.Is(err, queue.ErrNotRequeued), errors.Is(err, queue.ErrJobCancelled):
				kept = append(kept, err)
			case err != nil:
				return err
			default:
				put++
			}
		}
		return nil
	})
	if err == nil && put == 0 && len(kept) > 0 {
		err = &web.Error{Status: http.StatusConflict, Err: kept[0]}
	}
	return put, forPeople(err)
}
