package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/batch"
	"github.com/stipple-ai/stipple/internal/gallery"
	"github.com/stipple-ai/stipple/internal/ops"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// ordered is a batch that was put into the queue, and what became of it.
type ordered struct {
	model   queue.Model // which draws it
	jobs    []queue.Job // by their index
	results map[int64]queue.Result
	files   map[int64]upload.Object // of the jobs that succeeded
	took    time.Duration           // from the first job's publishing to the last picture
}

// order is the customer's side of the queue: it waits for the worker's model, publishes the plan's jobs, and fetches
// each picture once its result is there.
func order(ctx context.Context, client *queue.Client, s *services, c *config, plan batch.Plan, total int64, show *progress) (o ordered, err error) {
	t, err := otel.Setup(ctx, otel.Options{Getenv: s.getenv, Logger: c.log, ServiceName: "enqueue"})
	if err != nil {
		return o, err
	}
	defer func() {
		flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		err = errors.Join(err, t.Shutdown(flush))
	}()
	store, err := upload.Open(ctx, s.storeConfig(), t.Tracer())
	if err != nil {
		return o, err
	}
	defer store.Close()

	name := c.served[0].Name
	show.note("loading " + name)
	if o.model, err = awaitModel(ctx, client, name); err != nil {
		return o, err
	}
	show.start(int(total))
	began := time.Now()
	id := "demo-" + batch.NewID(began)
	if o.jobs, err = publish(ctx, client, t, id, plan, total); err != nil {
		return o, err
	}
	o.results, o.files = make(map[int64]queue.Result), make(map[int64]upload.Object)
	for r, err := range client.FollowResults(ctx, id, 0) {
		if err != nil {
			return o, err
		}
		if _, known := o.results[r.Index]; known {
			continue
		}
		o.results[r.Index] = r.Result
		detail := r.Status
		if r.Status == queue.Succeeded {
			if o.files[r.Index], err = store.Get(ctx, r.Image.Key); err != nil {
				return o, err
			}
			detail = "trace " + r.TraceID
			if r.Timings != nil {
				detail = gallery.FormatDuration(time.Duration(r.Timings.Total)) + ", " + detail
			}
		}
		show.step(queue.Or(o.jobs[r.Index].Prompt, ""), detail)
		if len(o.results) == len(o.jobs) {
			break
		}
	}
	o.took = time.Since(began)
	if len(o.results) < len(o.jobs) {
		return o, context.Cause(ctx)
	}
	return o, nil
}

// awaitModel returns the model once a worker has registered it.
func awaitModel(ctx context.Context, client *queue.Client, name string) (queue.Model, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		models, err := client.ListModels(ctx)
		if err != nil {
			return queue.Model{}, err
		}
		if i := slices.IndexFunc(models, func(m queue.Model) bool { return m.Name == name }); i >= 0 {
			return models[i], nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return queue.Model{}, context.Cause(ctx)
		}
	}
}

// publish puts the plan's jobs into the queue, in the span enqueue, and returns them by their index.
func publish(ctx context.Context, client *queue.Client, t *otel.Telemetry, id string, plan batch.Plan, total int64) (jobs []queue.Job, err error) {
	ctx, span := t.Tracer().Start(ctx, otel.SpanEnqueue)
	defer span.End()
	_, err = batch.Submit(ctx, client, batch.Submission{
		Batch: id, Plan: plan, Total: total,
		Tracing: tracing(t),
		OnJobs: func(published []batch.Published) {
			for _, p := range published {
				jobs = append(jobs, p.Job)
			}
		},
	})
	if err != nil {
		fail(span, err)
	}
	return jobs, err
}

// page shows the batch, with the spans of each job's trace.
func (o ordered) page(traces map[string][]gallery.Span) gallery.Page {
	page := gallery.Page{Took: o.took}
	drawn := 0
	for _, j := range o.jobs {
		r, file := o.results[j.Index], o.files[j.Index]
		p := gallery.Picture{
			ID: j.Identity().String(), Prompt: queue.Or(j.Prompt, ""), NegativePrompt: queue.Or(j.NegativePrompt, ""),
			Seed: j.SeedOrDefault(), Model: j.Model, Steps: queue.Or(j.NumInferenceSteps, o.model.Defaults.NumInferenceSteps),
			Guidance: queue.Or(j.GuidanceScale, o.model.Defaults.GuidanceScale), Scheduler: queue.Or(j.Scheduler, o.model.Defaults.Scheduler),
			ContentType: file.ContentType, Data: file.Body, TraceID: r.TraceID, Spans: traces[r.TraceID],
		}
		if r.Image != nil {
			drawn++
			p.Width, p.Height, p.Location = r.Image.Width, r.Image.Height, "s3://"+r.Image.Bucket+"/"+r.Image.Key
		}
		if r.Timings != nil {
			p.Took, p.Queued = time.Duration(r.Timings.Total), time.Duration(r.Timings.Queue)
		}
		if r.Error != nil {
			p.Error = r.Error.Type + ": " + r.Error.Message
		}
		page.Pictures = append(page.Pictures, p)
	}
	page.Title = fmt.Sprintf("%s, %s", ops.Plural(len(o.jobs), "prompt"), ops.Plural(drawn, "picture"))
	page.Lede = fmt.Sprintf("Each prompt went as a job through NATS JetStream to a worker, which drew it with %s on ONNX Runtime and put it into an S3 bucket, and left a trace on its way.", o.model.Name)
	return page
}

// tracing lets jobs carry their traces.
func tracing(t *otel.Telemetry) batch.Tracing {
	return batch.Tracing{Tracer: t.Tracer(), Inject: t.Propagator.Inject, Fail: fail}
}

// fail marks a span as failed, if err is one.
func fail(span trace.Span, err error) { otel.Fail(span, err, queue.ErrorType(err)) }
