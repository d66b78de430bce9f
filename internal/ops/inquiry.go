package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Inquiry asks the queue about one job, and where that knows no picture of it any more, the store. It belongs to one
// goroutine.
type Inquiry struct {
	Batch string
	Index int64

	Explanation *Explanation // to add to
	Known       bool         // something is known of the job
	Result      *queue.Result
	Key         string // of the picture of a job that has no result

	Timeout time.Duration // for what can be told without
	Prefix  string        // of keys
	// Store opens the store of a bucket, "" for the one that is set.
	Store func(ctx context.Context, bucket string) (*upload.Store, error)
	// Workers are those that are heard now; nil listens.
	Workers func(ctx context.Context, c *queue.Client) ([]queue.Status, error)
}

// Ask asks about the job: its result; else, or if that is not the end of it, where it is and why. The error of a job that
// cannot be is an InputError.
func (x *Inquiry) Ask(ctx context.Context, c *queue.Client) error {
	// A job that is done between the look at its result and the one into the queue is in neither: the second time it has its result.
	for range 2 {
		if err := x.ask(ctx, c); err != nil || x.Known {
			return err
		}
	}
	return x.askRecord(ctx, c)
}

// ask looks for the job's result, and where that is not all for its letter and its place in the queue.
func (x *Inquiry) ask(ctx context.Context, c *queue.Client) error {
	r, found, err := c.Lookup(ctx, x.Batch, x.Index)
	if err != nil {
		return err
	}
	if found {
		x.Result, x.Known = &r, true
		x.Explanation.TakeResult(r)
	}
	if !found || r.Status != queue.Succeeded {
		if err := x.askLetter(ctx, c); err != nil {
			return err
		}
		return x.askWaiting(ctx, c)
	}
	return nil
}

// notef keeps what could not be learned.
func (x *Inquiry) notef(format string, args ...any) {
	x.Explanation.Notes = append(x.Explanation.Notes, fmt.Sprintf(format, args...))
}

// askLetter looks for the dead letter of a job.
func (x *Inquiry) askLetter(ctx context.Context, c *queue.Client) error {
	d, found, err := c.DeadLetterOf(ctx, x.Batch, x.Index)
	if err != nil || !found {
		return err
	}
	if job, err := queue.Decode(d.Data, d.ID); err == nil {
		x.Explanation.TakeJob(job)
	} else {
		x.notef("the job cannot be read: %v", err)
	}
	if x.Result == nil { // the result is gone, or not written yet
		x.Known = true
		x.Explanation.Status, x.Explanation.Error = queue.Failed, &queue.ResultError{Type: d.Type, Message: d.Message}
		x.Explanation.TraceID, x.Explanation.Attempt = d.TraceID, d.Attempts
	}
	x.Explanation.Why = fmt.Sprintf("it is a dead letter since %s UTC, after %s: enqueue dlq show %s/%d",
		d.Stored.UTC().Format(time.DateTime), Plural(d.Attempts, "start"), x.Batch, x.Index)
	return nil
}

// askWaiting looks for a job in the queue.
func (x *Inquiry) askWaiting(ctx context.Context, c *queue.Client) error {
	q, found, err := c.FindJob(ctx, x.Batch, x.Index)
	if err != nil || !found || x.Result != nil && q.ID.Retry <= x.Result.Retry { // done, and about to leave the queue
		return err
	}
	x.Known = true
	if q.Err == nil {
		x.Explanation.TakeJob(q.Job)
	} else {
		x.notef("the job cannot be read, and the worker that comes to it will say so: %v", q.Err)
	}
	place := &QueuePlace{
		State: StatusWaiting, Priority: q.Priority, Published: q.Published.UTC(), Ahead: q.Ahead, Consumer: q.Consumer,
		PausedUntil: q.PausedUntil, Starts: q.Start.Attempt, LastError: q.Start.LastError,
	}
	x.Explanation.Queue = place
	why := x.Explanation.Why
	switch {
	case q.Delivered:
		place.State = StatusRunning
		err = x.hearProgress(ctx, c, place)
		x.Explanation.Why = place.running()
	default:
		x.Explanation.Why, err = place.waiting(ctx, c, q.Job.Model, x.Workers)
	}
	if err != nil {
		return err
	}
	cancelled, err := c.Cancelled(ctx, x.Batch, x.Index)
	if err != nil {
		return err
	}
	if cancelled {
		x.Explanation.Why += "; it is cancelled, and the worker that comes to it will record that"
	}
	if x.Result != nil {
		x.Explanation.Why += fmt.Sprintf("; it is put back, and before that it %s", x.Result.Status)
	} else if why != "" {
		x.Explanation.Why += "; " + why
	}
	x.Explanation.Status = place.State
	return nil
}

// hearFirst is how long the progress of a job is listened to: it is told a few times a second, or as often as the model
// takes a step.
const hearFirst = 1500 * time.Millisecond

// hearProgress listens for the worker that draws a job.
func (x *Inquiry) hearProgress(ctx context.Context, c *queue.Client, place *QueuePlace) error {
	ctx, cancel := context.WithTimeout(ctx, hearFirst)
	defer cancel()
	words, err := c.WatchProgress(ctx, x.Batch)
	if err != nil {
		return err
	}
	for p := range words {
		if p.Index == x.Index {
			place.Worker, place.Step, place.Steps = p.Worker, p.Step, p.Steps
			return nil
		}
	}
	return nil
}

// running says where a job is that was given to a worker.
func (p *QueuePlace) running() string {
	why := fmt.Sprintf("a worker has it, of which nothing was heard for %v: it prepares, uploads or waits to try again, or is dead, and another gets the job when its lease has run out", hearFirst)
	if p.Worker != "" {
		why = fmt.Sprintf("%s draws it: step %d of %d", p.Worker, p.Step, p.Steps)
	}
	if p.LastError != nil {
		why += fmt.Sprintf("; %s ended badly, the last with %s: %s", Plural(p.Starts, "start"), p.LastError.Type, p.LastError.Message)
	}
	return why
}

// waiting says why a job has not been given to a worker.
func (p *QueuePlace) waiting(ctx context.Context, c *queue.Client, model string, hear func(context.Context, *queue.Client) ([]queue.Status, error)) (string, error) {
	why := fmt.Sprintf("it waits in the queue, with %s of its priority and model before it", Plural(p.Ahead, "job"))
	switch {
	case !p.Consumer:
		return "it waits in the queue, and no worker has served the model yet: start one", nil
	case !p.PausedUntil.IsZero():
		return why + fmt.Sprintf("; the queue is paused until %s UTC", p.PausedUntil.Format(time.DateTime)), nil
	}
	if hear == nil {
		hear = HearWorkers
	}
	workers, err := hear(ctx, c)
	if err != nil {
		return "", err
	}
	n := len(Serving(workers, []string{model}))
	if n == 0 {
		return why + fmt.Sprintf("; no worker that serves the model was heard within %v: start one", HearFor), nil
	}
	return why + fmt.Sprintf("; %s the model", serveOrServes(n)), nil
}

func serveOrServes(n int) string {
	if n == 1 {
		return "1 worker serves"
	}
	return Plural(n, "worker") + " serve"
}

// askRecord says of a job that is neither done nor in the queue what its batch's record says.
func (x *Inquiry) askRecord(ctx context.Context, c *queue.Client) error {
	b, err := c.GetBatch(ctx, x.Batch)
	switch {
	case errors.Is(err, queue.ErrNoBatch):
		return Input(fmt.Errorf("%w, and no job of it is known; is --queue-prefix right?", err))
	case err != nil:
		return err
	case b.Total > 0 && x.Index >= b.Total:
		return Input(fmt.Errorf("batch %s has jobs 0 to %d, and no %d", x.Batch, b.Total-1, x.Index))
	}
	x.Known = true
	x.Explanation.TraceID = b.TraceID
	switch {
	case b.State == queue.BatchCancelled:
		x.Explanation.Status, x.Explanation.Why = queue.Cancelled, "its batch was cancelled before it was drawn"
	case x.Index >= b.Cursor:
		x.Explanation.Status, x.Explanation.Why = StatusUnsent, fmt.Sprintf("enqueue has sent %d of %d jobs of its batch, and not this one", b.Cursor, b.Total)
	default:
		x.Explanation.Status, x.Explanation.Why = StatusGone, "its result is gone: they are kept for seven days"
		x.find(ctx)
	}
	return nil
}

// find looks in the bucket for the picture of a job that has no result.
func (x *Inquiry) find(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, x.Timeout)
	defer cancel()
	store, err := x.Store(ctx, "")
	if err != nil {
		x.notef("its picture was not looked for: %v", strings.Replace(err.Error(), "the result names no bucket; ", "", 1))
		return
	}
	begin := fmt.Sprintf("%s%08d-", upload.BatchPrefix(x.Prefix, x.Batch), x.Index)
	for o, err := range store.List(ctx, begin) {
		if err != nil {
			x.notef("its picture was not looked for: %v", err)
			return
		}
		if k, ok := upload.ParseKey(x.Prefix, o.Key); ok && k.Index == x.Index {
			x.Key = o.Key
			x.Explanation.Status = queue.Succeeded
			return
		}
	}
	x.Explanation.Why += ", and there is no picture under " + begin
}
