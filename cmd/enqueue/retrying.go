package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// retrying is one run of "enqueue retry".
type retrying struct {
	*app
	flags  *retryFlags
	client *queue.Client
	logger *slog.Logger
	batch  string
	plan   *batch.Plan // nil without rows

	wanted map[int64]bool // indexes of jobs that are not back in the queue yet
	told   retryLine
}

// retryLine says what was found and done.
type retryLine struct {
	Type        string `json:"type"` // retry
	BatchID     string `json:"batch_id"`
	Failed      int64  `json:"failed"`       // jobs whose result says so
	Missing     int64  `json:"missing"`      // jobs that succeeded and whose picture is gone
	FromLetters int64  `json:"from_letters"` // that were put back from their dead letters
	FromRows    int64  `json:"from_rows"`    // that were published again
	Left        int64  `json:"left"`         // that could not be
}

func (r *retrying) run(ctx context.Context) error {
	r.told, r.wanted = retryLine{Type: "retry", BatchID: r.batch}, map[int64]bool{}
	record, err := r.client.GetBatch(ctx, r.batch)
	switch {
	case errors.Is(err, queue.ErrNoBatch):
		return input(fmt.Errorf("%w; is --queue-prefix right?", err))
	case err != nil:
		return err
	case record.State == queue.BatchCancelled:
		return fmt.Errorf("batch %s: %w: enqueue its rows as a new one", r.batch, batch.ErrCancelled)
	}
	if err := r.find(ctx); err != nil {
		return err
	}
	if len(r.wanted) > 0 {
		if err := batch.KeepSummary(ctx, r.client, r.batch, nil); err != nil { // the counts will be others
			return err
		}
	}
	if r.flags.failed {
		err = r.fromLetters(ctx)
	}
	if err == nil && len(r.wanted) > 0 && r.plan != nil {
		err = r.fromRows(ctx, record)
	}
	r.told.Left = int64(len(r.wanted))
	if err = errors.Join(err, r.tell()); err != nil {
		return err
	}
	return r.why()
}

// find goes through the results and notes the jobs to retry.
func (r *retrying) find(ctx context.Context) error {
	store := r.flags.store.config
	store.Bucket = "" // that of each result: in another one everything would be missing
	lies := &bucketKeys{batch: r.batch, stores: ops.Stores{Config: store}, prefix: store.Prefix}
	defer lies.stores.Close()
	status := map[int64]string{} // of those that are wanted: a later result takes an earlier one's place
	for f, err := range r.client.ReadResults(ctx, r.batch) {
		if err != nil {
			return err
		}
		delete(status, f.Index)
		switch {
		case f.Status == queue.Failed && r.flags.failed:
			status[f.Index] = queue.Failed
		case f.Status == queue.Succeeded && r.flags.missing && f.Image != nil:
			there, err := lies.has(ctx, f.Image.Bucket, f.Image.Key)
			if err != nil {
				return fmt.Errorf("looking for the pictures of batch %s: %w", r.batch, err)
			}
			if !there {
				status[f.Index] = queue.Succeeded
			}
		}
	}
	for index, s := range status {
		r.wanted[index] = true
		if s == queue.Failed {
			r.told.Failed++
		} else {
			r.told.Missing++
		}
	}
	return nil
}

// bucketKeys knows which pictures of a batch lie in the buckets that its results name. Each is listed once.
type bucketKeys struct {
	batch  string
	stores ops.Stores
	prefix string
	listed map[string]map[string]bool // keys by bucket and what they begin with
}

// has reports whether a key is there. Keys of a batch lie together, below what the result's key says.
func (k *bucketKeys) has(ctx context.Context, bucket, key string) (bool, error) {
	below := key[:strings.LastIndexByte(key, '/')+1]
	if below == "" {
		below = upload.BatchPrefix(k.prefix, k.batch)
	}
	place := bucket + "/" + below
	keys, ok := k.listed[place]
	if !ok {
		store, err := k.stores.Get(ctx, bucket)
		if err != nil {
			return false, err
		}
		keys = map[string]bool{}
		for o, err := range store.List(ctx, below) {
			if err != nil {
				return false, err
			}
			keys[o.Key] = true
		}
		if k.listed == nil {
			k.listed = map[string]map[string]bool{}
		}
		k.listed[place] = keys
	}
	return keys[key], nil
}

// fromLetters puts jobs back from their dead letters.
func (r *retrying) fromLetters(ctx context.Context) error {
	q := requeuing{app: r.app, client: r.client, json: r.flags.json}
	for d, err := range r.client.DeadLetters(ctx, queue.DeadFilter{Batch: r.batch}) {
		if err != nil {
			return err
		}
		if !d.HasID || !r.wanted[d.ID.Index] {
			continue
		}
		before := q.sum.Requeued
		if err := q.requeue(ctx, d); err != nil {
			return err
		}
		if q.sum.Requeued > before {
			r.told.FromLetters++
			delete(r.wanted, d.ID.Index)
		}
	}
	return nil
}

// fromRows publishes jobs again that their rows make.
func (r *retrying) fromRows(ctx context.Context, record queue.Batch) (err error) {
	t, logger, flush, err := r.flags.telemetry.start(ctx, r.getenv, r.logger)
	if err != nil {
		return err
	}
	defer flush()
	r.logger = logger
	ctx, span := t.Tracer().Start(ctx, otel.SpanEnqueue, trace.WithAttributes(
		attribute.String("batch.id", r.batch), attribute.Int("batch.jobs", len(r.wanted))))
	defer func() {
		otel.Fail(span, err, "")
		span.End()
	}()
	census, err := r.plan.Count()
	if err != nil {
		if errors.Is(err, errInterrupted) {
			return err
		}
		return input(err)
	}
	model, err := defaultModel(ctx, r.client, census.Models, true)
	if err != nil {
		return err
	}
	if r.plan.Defaults.Model == "" {
		r.plan.Defaults.Model = model
	}
	var between error // two chunks
	_, err = batch.Again(ctx, r.client, batch.Repetition{
		Record: record, Priority: r.flags.priority, Plan: *r.plan,
		Wanted:  func(index int64) bool { return r.wanted[index] },
		Tracing: tracing(t),
		OnJobs: func(ids []queue.Identity) {
			for _, id := range ids {
				r.told.FromRows++
				delete(r.wanted, id.Index)
				if r.flags.json {
					// Standard output remembers what went wrong.
					_ = writeLine(r.stdout, requeuedLine{"requeued", id.String(), id.Batch, id.Index, id.Retry})
				}
			}
			if len(r.wanted) > 0 { // others may have found the batch done, and written its counts down
				between = errors.Join(between, batch.KeepSummary(ctx, r.client, r.batch, nil))
			}
		},
		OnFull: func(wait time.Duration) {
			r.logger.WarnContext(ctx, "the queue is full: waiting for room", slog.Duration("wait", wait.Round(time.Millisecond)))
		},
	})
	if errors.Is(err, batch.ErrIncomplete) {
		return input(fmt.Errorf("%w: enqueue the rest first", err))
	}
	return errors.Join(err, between)
}

// tell tells what was done.
func (r *retrying) tell() error {
	if r.flags.json {
		return writeLine(r.stdout, r.told)
	}
	l := r.told
	if r.flags.failed {
		fmt.Fprintf(r.stdout, "%s failed\n", ops.Plural(l.Failed, "job"))
	}
	if r.flags.missing {
		fmt.Fprintf(r.stdout, "%s missing\n", isOrAre(l.Missing, "picture"))
	}
	fmt.Fprintf(r.stdout, "%s put back into the queue (%d from dead letters, %d from rows)\n", wasOrWere(uint64(l.FromLetters+l.FromRows), "job"), l.FromLetters, l.FromRows)
	return nil
}

// why is the error for jobs that could not be retried.
func (r *retrying) why() error {
	if r.told.Left == 0 {
		return nil
	}
	left := ops.Plural(r.told.Left, "job")
	if r.plan != nil {
		return fmt.Errorf("%s could not be put back: %w", left, errJobsFailed)
	}
	return input(fmt.Errorf("%s of batch %s cannot be retried from dead letters: a job that succeeded leaves none, and that of a failed one was purged, cannot be read, or is back in the queue already; "+
		"give the rows and flags that the batch was enqueued with, as in: enqueue retry %s%s --file ROWS …", left, r.batch, r.batch, r.flags.which()))
}

// which are the flags that say which jobs.
func (f *retryFlags) which() string {
	s := ""
	if f.failed {
		s += " --failed"
	}
	if f.missing {
		s += " --missing"
	}
	return s
}
