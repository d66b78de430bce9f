package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// drawing draws a picture again.
type drawing struct {
	*app
	flags  *verifyFlags
	t      *otel.Telemetry
	client *queue.Client
	stores *ops.Stores
	logger *slog.Logger
	v      *verification
}

// verify draws, compares, tidies up and tells.
func (d drawing) verify(ctx context.Context, x *explainer) error {
	if err := d.v.checkModel(ctx, d.client, d.flags.force, d.logger); err != nil {
		return interrupted(ctx, err, "nothing was sent")
	}
	if err := d.submit(ctx); err != nil {
		return interrupted(ctx, err, "the job of batch "+d.v.BatchID+" may be in the queue: enqueue cancel takes it out")
	}
	r, err := d.wait(ctx)
	if err != nil {
		return interrupted(ctx, err, "the job goes on; take it out with: enqueue cancel "+d.v.BatchID)
	}
	switch {
	case r.Error != nil:
		return fmt.Errorf("drawing the picture again: job %s has %s: %s: %s", r.Identity(), r.Status, r.Error.Type, r.Error.Message)
	case r.Image == nil:
		return fmt.Errorf("drawing the picture again: job %s is %s", r.Identity(), r.Status)
	}
	compareErr := d.v.compare(ctx, x, r, d.stores)
	d.tidy(ctx, *r.Image)
	if compareErr != nil {
		return interrupted(ctx, compareErr, "the picture was drawn and not compared")
	}
	if d.flags.json {
		err = writeLine(d.stdout, d.v)
	} else {
		d.v.write(d.stdout)
	}
	if err == nil && !d.v.Same {
		return input(fmt.Errorf("%s is not what its job draws", x.name()))
	}
	return err
}

// submit sends the job as a batch of its own, under the command's span.
func (d drawing) submit(ctx context.Context) (err error) {
	ctx, span := d.t.Tracer().Start(ctx, otel.SpanEnqueue, trace.WithAttributes(
		attribute.String("batch.id", d.v.BatchID), attribute.Int64("batch.jobs", 1)))
	defer func() {
		otel.Fail(span, err, "")
		span.End()
	}()
	if err := prepare(ctx, d.client, d.logger); err != nil {
		return err
	}
	job := d.v.job
	job.ID, job.BatchID = "", "" // the batch gives them
	rows := func(yield func(batch.Row, error) bool) { yield(batch.Row{Job: job, Source: "picture", Line: 1}, nil) }
	_, err = batch.Submit(ctx, d.client, batch.Submission{
		Batch: d.v.BatchID, Priority: d.flags.priority, Plan: batch.Plan{Rows: rows}, Total: 1,
		Tracing: tracing(d.t),
		OnFull: func(wait time.Duration) {
			d.logger.WarnContext(ctx, "the queue is full: waiting for room", slog.Duration("wait", wait.Round(time.Millisecond)))
		},
	})
	return err
}

// wait waits for the result.
func (d drawing) wait(ctx context.Context) (r queue.Result, err error) {
	show := newProgress(d.stderr)
	defer show.end()
	found := false
	for u, err := range batch.Follow(ctx, d.client, d.v.BatchID) {
		if err != nil {
			return r, err
		}
		if u.Result != nil {
			r, found = *u.Result, true
		}
		show.update(u)
	}
	switch {
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case !found:
		return r, errors.New("drawing the picture again: the batch was cancelled")
	}
	d.v.TraceID = r.TraceID
	return r, nil
}

// tidyTimeout bounds the removal of the new picture.
const tidyTimeout = 10 * time.Second

// tidy deletes the new picture, unless it shall stay.
func (d drawing) tidy(ctx context.Context, image queue.Image) {
	if d.flags.keep {
		d.v.Kept = image.Key
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	store, err := d.stores.Get(ctx, image.Bucket)
	if err == nil {
		err = store.Delete(ctx, image.Key)
	}
	if err != nil {
		d.v.Kept = image.Key
		d.logger.WarnContext(ctx, "the new picture was not deleted", slog.Any("error", err))
	}
}
