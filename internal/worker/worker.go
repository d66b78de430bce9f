// Package worker is the job loop: it fetches as many jobs as it has free slots, draws each, stores the picture, records the result, and settles the
// message, in this order. It is the one package besides commands that sees the others.
//
// Who owns what: Run starts and ends everything. One goroutine a job (handle) owns the job from fetch to settlement; the fetch loop, the status ticker
// and an engine's Run are one goroutine each. Two contexts: intake ends with the signal and stops the fetching; work ends a drain period later and
// stops the jobs.
package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/infer/ort"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Worker is a running worker's parts.
type Worker struct {
	cfg           Config
	log           *slog.Logger
	telemetry     *otel.Telemetry
	runtime       *ort.Runtime
	models        map[string]*model
	queue         *queue.Client
	cancellations *queue.Cancellations
	store         *store
	encoder       upload.Encoder
	slots         *slots
	gate          gate
	started       time.Time

	drain drain

	mu     sync.Mutex
	jobs   map[*job]struct{} // held now
	state  string            // a queue.Worker… constant
	broken error             // why the worker cannot go on

	handling sync.WaitGroup // the fetch loop and the jobs
	ended    chan struct{}  // closed when no job and no engine is left; work makes it
	stuck    bool           // a call to a model has not returned

	stopIntake func(why error) // begins the leaving; set by work before it starts an engine
}

// store is the bucket, with the prefix of its keys.
type store struct {
	*upload.Store
	keyPrefix string
}

func (s *store) prefix() string { return s.keyPrefix }

// fetchLoop takes free slots and fetches exactly as many jobs, until intake ends (nil) or the source does. It gives every slot back that it could not fill.
func (w *Worker) fetchLoop(intake, work context.Context, source *queue.Source) error {
	err := w.fetch(intake, work, source)
	if intake.Err() != nil {
		err = nil // told to stop
	}
	return err
}

func (w *Worker) fetch(intake, work context.Context, source *queue.Source) error {
	for {
		if err := w.gate.wait(intake); err != nil {
			return err
		}
		n, err := w.slots.take(intake) // the only taker: gives come from handle, which ends
		if err != nil {
			return err
		}
		if w.gate.reason() != nil { // shut while all slots were taken
			w.slots.give(n)
			continue
		}
		var deliveries []*queue.Delivery
		err = w.exchange(intake, otel.OperationReceive, func() (err error) {
			deliveries, err = source.Fetch(intake, n)
			return err
		})
		w.slots.give(n - len(deliveries))
		for _, d := range deliveries {
			w.handling.Go(func() {
				defer w.slots.give(1)
				w.handle(work, d)
			})
		}
		if err == nil && len(deliveries) == 0 {
			err = source.Wait(intake)
		}
		if err != nil {
			return fmt.Errorf("fetching jobs: %w", err)
		}
	}
}

// handle sees one delivery through, whatever happens.
func (w *Worker) handle(work context.Context, d *queue.Delivery) {
	var body map[string]string
	if tc := d.Job.TraceContext; tc != nil {
		body = map[string]string{"traceparent": tc.Traceparent, "tracestate": tc.Tracestate}
	}
	ctx := w.telemetry.Propagator.Extract(work, d.Header, body)
	ctx, span := w.telemetry.Propagator.StartConsumer(ctx, w.telemetry.Tracer(), otel.SpanTextToImage, trace.WithTimestamp(d.Received), trace.WithAttributes(
		otel.MessagingSystem.String(otel.SystemNATS), otel.MessagingOperationName.String(otel.OperationProcess), otel.MessagingOperationType.String(otel.OperationProcess),
		otel.MessagingDestination.String(d.Subject), otel.MessagingConsumerGroup.String(d.Consumer), otel.MessagingMessageID.String(messageID(d, w.queue.Names().JobsStream())),
		otel.MessagingConversationID.String(d.String()), otel.NATSStream.String(w.queue.Names().JobsStream()), otel.NATSSequence.Int64(int64(d.StreamSeq)),
		otel.NATSDeliveryCount.Int(d.NumDelivered), otel.JobID.String(d.String()), otel.JobQueueTime.Float64(max(0, d.Received.Sub(d.Published).Seconds()))))
	defer span.End()
	// What ends the drawing (leaving, JOB_TIMEOUT) does not end ctx: what became of the job must still be told.
	drawing, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	j := &job{Worker: w, d: d, span: span, cancel: cancel, phases: startPhases(d.Received),
		log: w.log.With(slog.String("job", d.String()), slog.Int("delivery", d.NumDelivered))}
	w.metricsOf(ctx, j, 1)
	w.add(j)
	defer w.remove(j)

	err := j.guard(drawing)
	j.settling.Store(true)
	err = j.lastLook(ctx, err)
	outcome := j.settle(ctx, err)
	span.SetAttributes(otel.JobOutcome.String(outcome))
	failed := ""
	if err != nil && outcome != otel.OutcomeDuplicate && outcome != otel.OutcomeExpired && outcome != otel.OutcomeCancelled && outcome != otel.OutcomeRequeued {
		failed = queue.ErrorType(err)
		otel.Fail(span, err, failed)
	}
	w.finished(ctx, j, outcome, failed)
}

// messageID names a delivery's message: by its Nats-Msg-Id, or where its publisher gave it none by its place in the stream.
func messageID(d *queue.Delivery, stream string) string {
	return cmp.Or(d.Header.Get("Nats-Msg-Id"), fmt.Sprintf("%s:%d", stream, d.StreamSeq))
}

// guard draws the job within JOB_TIMEOUT and contains a panic in its goroutine.
func (j *job) guard(ctx context.Context) (err error) {
	defer otel.Recover(j.span, &err)
	defer j.watchTimeout()()
	defer func() { j.saver.end() }()
	return j.cause(ctx, j.draw(ctx))
}

// watchTimeout ends the drawing when the job is past JOB_TIMEOUT; the returned function ends the watching.
func (j *job) watchTimeout() (stop func()) {
	done := make(chan struct{})
	go func() { // ends with the drawing
		select {
		case <-j.d.TimedOut():
			j.cancel(errTimeout)
		case <-done:
		}
	}()
	return func() { close(done) }
}

func (w *Worker) metricsOf(ctx context.Context, j *job, delta int) {
	w.telemetry.Metrics.InFlight(ctx, delta)
	if delta > 0 {
		w.telemetry.Metrics.Delivered(ctx, w.queue.Names().JobsStream(), j.d.Consumer, uint64(j.d.NumDelivered))
		w.telemetry.Metrics.QueueTime(ctx, j.d.Model, j.d.Received.Sub(j.d.Published))
	}
}

// finished logs and counts what became of the job.
func (w *Worker) finished(ctx context.Context, j *job, outcome, failed string) {
	took := time.Since(j.d.Received)
	w.metricsOf(ctx, j, -1)
	j.count(outcome)
	w.telemetry.Metrics.JobDone(ctx, otel.JobStats{Model: j.d.Model, Outcome: outcome, ErrorType: failed, Stream: w.queue.Names().JobsStream(), Consumer: j.d.Consumer, Duration: took})
	j.log.InfoContext(ctx, "job", slog.String("outcome", outcome), slog.Duration("took", took.Round(time.Millisecond)))
}

func (w *Worker) add(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs[j] = struct{}{}
	if w.state == queue.WorkerDraining { // fetched while the signal came: it has not started
		j.cancel(errLeaving)
	}
}

func (w *Worker) remove(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.jobs, j)
}

// held returns the jobs held now.
func (w *Worker) held() []*job {
	w.mu.Lock()
	defer w.mu.Unlock()
	jobs := make([]*job, 0, len(w.jobs))
	for j := range w.jobs {
		jobs = append(jobs, j)
	}
	return jobs
}

// reasons says why the worker is not ready; none means ready.
func (w *Worker) reasons() []string {
	w.mu.Lock()
	state, client := w.state, w.queue
	w.mu.Unlock()
	var reasons []string
	if state != queue.WorkerReady {
		reasons = append(reasons, state)
	}
	if client != nil && !client.Connected() {
		reasons = append(reasons, "the broker is away")
	}
	if why := w.gate.reason(); why != nil {
		reasons = append(reasons, why.Error())
	}
	return reasons
}
