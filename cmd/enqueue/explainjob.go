package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// askJob asks the queue about a job: its result; else, or if that is not the end of it, where it is and why.
func (x *explainer) askJob(ctx context.Context, c *queue.Client) error {
	job := x.subject.job
	r, found, err := c.Lookup(ctx, job.batch, job.index)
	if err != nil {
		return err
	}
	if found {
		x.take(r)
	}
	if !found || r.Status != queue.Succeeded {
		if err := x.askLetter(ctx, c); err != nil {
			return err
		}
		if err := x.askWaiting(ctx, c); err != nil {
			return err
		}
	}
	if !x.known {
		if err := x.askRecord(ctx, c); err != nil {
			return err
		}
	}
	return x.askBatch(ctx, c)
}

// askLetter looks for the dead letter of a job.
func (x *explainer) askLetter(ctx context.Context, c *queue.Client) error {
	d, found, err := c.DeadLetterOf(ctx, x.subject.job.batch, x.subject.job.index)
	if err != nil || !found {
		return err
	}
	if job, err := queue.Decode(d.Data, d.ID); err == nil {
		x.e.takeJob(job)
	} else {
		x.notef("the job cannot be read: %v", err)
	}
	if x.result == nil { // the result is gone, or not written yet
		x.known = true
		x.e.Status, x.e.Error = queue.Failed, &queue.ResultError{Type: d.Type, Message: d.Message}
		x.e.TraceID, x.e.Attempt = d.TraceID, d.Attempts
	}
	x.e.Why = fmt.Sprintf("it is a dead letter since %s UTC, after %s: enqueue dlq show %s/%d",
		d.Stored.UTC().Format(time.DateTime), count(int64(d.Attempts), "start"), x.subject.job.batch, x.subject.job.index)
	return nil
}

// askWaiting looks for a job in the queue.
func (x *explainer) askWaiting(ctx context.Context, c *queue.Client) error {
	q, found, err := c.FindJob(ctx, x.subject.job.batch, x.subject.job.index)
	if err != nil || !found || x.result != nil && q.ID.Retry <= x.result.Retry { // done, and about to leave the queue
		return err
	}
	x.known = true
	if q.Err == nil {
		x.e.takeJob(q.Job)
	} else {
		x.notef("the job cannot be read, and the worker that comes to it will say so: %v", q.Err)
	}
	place := &queuePlace{
		State: statusWaiting, Priority: q.Priority, Published: q.Published.UTC(), Ahead: q.Ahead, Consumer: q.Consumer,
		PausedUntil: q.PausedUntil, Starts: q.Start.Attempt, LastError: q.Start.LastError,
	}
	x.e.Queue = place
	why := x.e.Why
	switch {
	case q.Delivered:
		place.State = statusRunning
		err = x.hearProgress(ctx, c, place)
		x.e.Why = place.running()
	default:
		x.e.Why, err = place.waiting(ctx, c, q.Job.Model)
	}
	if err != nil {
		return err
	}
	cancelled, err := c.Cancelled(ctx, x.subject.job.batch, x.subject.job.index)
	if err != nil {
		return err
	}
	if cancelled {
		x.e.Why += "; it is cancelled, and the worker that comes to it will record that"
	}
	if x.result != nil {
		x.e.Why += fmt.Sprintf("; it is put back, and before that it %s", x.result.Status)
	} else if why != "" {
		x.e.Why += "; " + why
	}
	x.e.Status = place.State
	return nil
}

// hearFirst is how long the progress of a job is listened to: it is told a few times a second, or as often as the model
// takes a step.
const hearFirst = 1500 * time.Millisecond

// hearProgress listens for the worker that draws a job.
func (x *explainer) hearProgress(ctx context.Context, c *queue.Client, place *queuePlace) error {
	ctx, cancel := context.WithTimeout(ctx, hearFirst)
	defer cancel()
	words, err := c.WatchProgress(ctx, x.subject.job.batch)
	if err != nil {
		return err
	}
	for p := range words {
		if p.Index == x.subject.job.index {
			place.Worker, place.Step, place.Steps = p.Worker, p.Step, p.Steps
			return nil
		}
	}
	return nil
}

// running says where a job is that was given to a worker.
func (p *queuePlace) running() string {
	why := fmt.Sprintf("a worker has it, of which nothing was heard for %v: it prepares, uploads or waits to try again, or is dead, and another gets the job when its lease has run out", hearFirst)
	if p.Worker != "" {
		why = fmt.Sprintf("%s draws it: step %d of %d", p.Worker, p.Step, p.Steps)
	}
	if p.LastError != nil {
		why += fmt.Sprintf("; %s ended badly, the last with %s: %s", count(int64(p.Starts), "start"), p.LastError.Type, p.LastError.Message)
	}
	return why
}

// waiting says why a job has not been given to a worker.
func (p *queuePlace) waiting(ctx context.Context, c *queue.Client, model string) (string, error) {
	why := fmt.Sprintf("it waits in the queue, with %s of its priority and model before it", count(p.Ahead, "job"))
	switch {
	case !p.Consumer:
		return "it waits in the queue, and no worker has served the model yet: start one", nil
	case !p.PausedUntil.IsZero():
		return why + fmt.Sprintf("; the queue is paused until %s UTC", p.PausedUntil.Format(time.DateTime)), nil
	}
	workers, err := hearWorkers(ctx, c)
	if err != nil {
		return "", err
	}
	n := len(serving(workers, []string{model}))
	if n == 0 {
		return why + fmt.Sprintf("; no worker that serves the model was heard within %v: start one", hearFor), nil
	}
	return why + fmt.Sprintf("; %s the model", serveOrServes(n)), nil
}

func serveOrServes(n int) string {
	if n == 1 {
		return "1 worker serves"
	}
	return count(int64(n), "worker") + " serve"
}

// askRecord says of a job that is neither done nor in the queue what its batch's record says.
func (x *explainer) askRecord(ctx context.Context, c *queue.Client) error {
	job := x.subject.job
	b, err := c.GetBatch(ctx, job.batch)
	switch {
	case errors.Is(err, queue.ErrNoBatch):
		return input(fmt.Errorf("%w, and no job of it is known; is --queue-prefix right?", err))
	case err != nil:
		return err
	case b.Total > 0 && job.index >= b.Total:
		return input(fmt.Errorf("batch %s has jobs 0 to %d, and no %d", job.batch, b.Total-1, job.index))
	}
	x.known = true
	x.e.TraceID = b.TraceID
	switch {
	case b.State == queue.BatchCancelled:
		x.e.Status, x.e.Why = queue.Cancelled, "its batch was cancelled before it was drawn"
	case job.index >= b.Cursor:
		x.e.Status, x.e.Why = statusUnsent, fmt.Sprintf("enqueue has sent %d of %d jobs of its batch, and not this one", b.Cursor, b.Total)
	default:
		x.e.Status, x.e.Why = statusGone, "its result is gone: they are kept for seven days"
		x.find(ctx)
	}
	return nil
}

// find looks in the bucket for the picture of a job that has no result.
func (x *explainer) find(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	store, err := x.stores.get(ctx, "")
	if err != nil {
		x.notef("its picture was not looked for: %v", strings.Replace(err.Error(), "the result names no bucket; ", "", 1))
		return
	}
	job := x.subject.job
	begin := fmt.Sprintf("%s%08d-", upload.BatchPrefix(x.stores.config.Prefix, job.batch), job.index)
	for o, err := range store.List(ctx, begin) {
		if err != nil {
			x.notef("its picture was not looked for: %v", err)
			return
		}
		if k, ok := upload.ParseKey(x.stores.config.Prefix, o.Key); ok && k.Index == job.index {
			x.subject.key = o.Key
			x.e.Status = queue.Succeeded
			return
		}
	}
	x.e.Why += ", and there is no picture under " + begin
}
