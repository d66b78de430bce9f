package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/upload"
)

// Why a job's context ends; the cause decides how it is settled.
var (
	errLeaving   error = &infer.Error{Type: queue.TypeInterrupted, Err: errors.New("the worker is leaving")}
	errTimeout   error = &infer.Error{Type: queue.TypeTimeout, Err: errors.New("the job ran longer than JOB_TIMEOUT")}
	errCancelled error = &infer.Error{Type: queue.TypeInterrupted, Err: errors.New("the job was cancelled")}
)

// errDone says that the job was recorded before: acknowledge it, nothing else.
var errDone = errors.New("the job was recorded before")

// job is one delivery on its way through the worker, in the goroutine of handle. Leaving reads what is atomic, and cancel may be called by anyone.
type job struct {
	*Worker
	d      *queue.Delivery
	log    *slog.Logger
	span   trace.Span
	cancel context.CancelCauseFunc // of the drawing
	phases *phases

	model     *model
	resolved  resolved
	attempt   int          // counted starts, this one included; 0 before the job is begun
	suspended *infer.State // where the engine was stopped, if it was
	saved     atomic.Bool  // a checkpoint was sent: it may lie in the store
	saver     *saver       // writes checkpoints while the job is drawn; nil if none are asked for

	looked bool // the store was asked for its image, has none or will not say, and was sent none since

	drawn        atomic.Bool // the picture is there: leaving lets it be stored
	begun        atomic.Bool // a row of it has been in a lane: leaving waits for it
	counted      bool        // in the drain's tally; under Worker.mu
	checkpointed bool        // and as one that the next worker goes on with
	holding      atomic.Bool // it waits for a service that is away: leaving does not wait for it
	settling     atomic.Bool // its goroutine has come back from the drawing and says what became of it: nobody else may
}

// draw takes the job from its message to its record. It returns nil once the job is recorded, errDone where it was before, or why not. An image that an earlier
// attempt has stored is looked for before anything is judged: the job is done then, whatever became of its starts and its deadline meanwhile.
func (j *job) draw(ctx context.Context) error {
	if j.d.Err != nil {
		if errors.Is(j.d.Err, queue.ErrNewerVersion) && j.isCancelled() { // no newer worker need see it
			return errCancelled
		}
		return j.d.Err
	}
	var err error
	j.model = j.models[j.d.Model]
	if j.resolved, err = resolve(j.d.Job, j.d.Priority, j.model, j.store.prefix()); err != nil {
		return err
	}
	if err := j.lookUp(ctx); err != nil {
		return err
	}
	j.describe()
	if j.d.NumDelivered > 1 {
		if done, err := j.recordStored(ctx); done || err != nil {
			return err
		}
	}
	if j.isCancelled() {
		return errCancelled
	}
	if err := j.begin(ctx); err != nil {
		return err
	}
	if err := j.judge(); err != nil {
		return err
	}
	img, res, err := j.generate(ctx)
	if err != nil {
		return err
	}
	return j.deliver(ctx, img, res)
}

// lookUp returns errDone if the job has its record.
func (j *job) lookUp(ctx context.Context) error {
	return j.ask(ctx, "looking up the job", func(ctx context.Context) error {
		record, found, err := j.queue.Lookup(ctx, j.d.ID.Batch, j.d.ID.Index)
		if err == nil && found && record.Retry >= j.d.ID.Retry {
			return errDone
		}
		return err
	})
}

// begin counts the start, before the engine sees the job: one that kills its worker each time is counted too.
func (j *job) begin(ctx context.Context) error {
	return j.ask(ctx, "counting the start", func(ctx context.Context) error {
		start, err := j.queue.Begin(ctx, j.d)
		if err != nil {
			return err
		}
		j.attempt = start.Attempt
		if start.Attempt > j.cfg.MaxAttempts {
			j.attempt-- // this start is not made
			return exhausted(start)
		}
		return nil
	})
}

// judge decides whether the engine takes the job, now.
func (j *job) judge() error {
	if err := j.model.engine.Validate(j.resolved.request); err != nil {
		return err
	}
	if deadline := j.d.Job.Deadline; deadline != nil && time.Now().After(*deadline) {
		return errExpired
	}
	return nil
}

// exhausted is the error of a job that has had its starts; one that never said why has killed its workers.
func exhausted(s queue.Start) error {
	if last := s.LastError; last != nil {
		return &infer.Error{Type: last.Type, Err: fmt.Errorf("%s (and that was start %d)", last.Message, s.Attempt-1)}
	}
	return &infer.Error{Type: queue.TypePanic, Err: fmt.Errorf("%d starts ended without a word: the job kills its worker", s.Attempt-1)}
}

// errExpired says that the job's deadline had passed when it would have entered the engine.
var errExpired = errors.New("the job's deadline has passed")

// describe puts what is now known of the job on its span.
func (j *job) describe() {
	j.span.SetAttributes(append(j.attributes(),
		otel.ModelRevision.String(j.model.digest),
		otel.ImageWidth.Int(j.resolved.request.Width), otel.ImageHeight.Int(j.resolved.request.Height),
		otel.ImageCount.Int(1),
	)...)
}

// attributes are those that text-to-image and inference share.
func (j *job) attributes() []attribute.KeyValue {
	r := j.resolved.request
	return []attribute.KeyValue{
		otel.ModelName.String(j.model.name), otel.PromptLength.Int(utf8.RuneCountInString(r.Prompt)),
		otel.NumInferenceSteps.Int(r.Steps), otel.GuidanceScale.Float64(r.Guidance), otel.Scheduler.String(j.scheduler()),
	}
}

// scheduler is the job's, or the class of the model's own.
func (j *job) scheduler() string {
	if s := j.resolved.request.Scheduler; s != "" {
		return s
	}
	return j.model.engine.Info().Schedule.Class()
}

func (j *job) isCancelled() bool { return j.cancellations.Cancelled(j.d.ID.Batch, j.d.ID.Index) }

// generate draws the picture, in the span inference. It ends at the next step when the job is cancelled; a picture that is drawn is delivered.
func (j *job) generate(ctx context.Context) (infer.Image, *infer.Result, error) {
	begin := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer j.cancellations.OnCancel(j.d.ID.Batch, j.d.ID.Index, func() { cancel(errCancelled) })()
	ctx, span := j.telemetry.Tracer().Start(ctx, otel.SpanInference, trace.WithAttributes(append(j.attributes(),
		otel.GenAIOperationName.String(otel.GenAIGenerateContent), otel.GenAIOutputType.String(otel.GenAIImage),
		otel.GenAIRequestModel.String(j.model.name), otel.GenAIProviderName.String(otel.ProviderONNXRuntime),
		otel.GenAIRequestSeed.Int64(int64(j.resolved.request.Seed)), // OTLP's integers are signed: a seed of 2^63 and more reads as negative
		otel.InferenceProvider.String(j.runtime.Provider()), otel.InferenceDevice.String(j.runtime.Device()))...))
	defer span.End()
	r := j.resolved.request
	r.OnBegin = func() { j.begun.Store(true) }
	r.OnStep = j.queue.NewReporter(queue.Progress{BatchID: j.d.ID.Batch, Index: j.d.ID.Index, Retry: j.d.ID.Retry, Attempt: j.attempt, Worker: j.cfg.Name}).Report
	res, err := j.draws(ctx, r)
	j.telemetry.Metrics.Inference(ctx, j.model.name, errorType(ctx, err), time.Since(begin))
	if err != nil {
		if err = j.cause(ctx, err); !handedBack(err) {
			otel.Fail(span, err, queue.ErrorType(err))
		}
		return infer.Image{}, nil, err
	}
	j.span.SetAttributes(otel.PromptTruncated.Bool(res.PromptTruncated))
	for p, d := range map[phase]time.Duration{textEncoding: res.Ledger.Tokenize + res.Ledger.TextEncode, denoising: res.Ledger.Denoise, decoding: res.Ledger.Decode} {
		j.phases.move(p, d)
	}
	for stage, d := range map[string]time.Duration{otel.SpanTokenize: res.Ledger.Tokenize, otel.SpanTextEncode: res.Ledger.TextEncode, otel.SpanDenoise: res.Ledger.Denoise, otel.SpanVAEDecode: res.Ledger.Decode} {
		j.telemetry.Metrics.Stage(ctx, j.model.name, stage, d)
	}
	return res.Image, res, nil
}

// cause replaces the error of a context that ended by the reason why it did.
func (j *job) cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, infer.ErrStopped)) {
		return context.Cause(ctx)
	}
	return err
}

func errorType(ctx context.Context, err error) string {
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return queue.ErrorType(err)
}

// handedBack reports whether err is no failure: another worker, or a newer one, will do the job.
func handedBack(err error) bool {
	class, _ := queue.ClassOf(queue.ErrorType(err)) // ErrorType is always on the list
	return class == queue.NoAttempt
}

// meta is what the picture's file tells of it.
func (j *job) meta() (upload.Meta, error) {
	r := j.resolved.request
	spec, err := j.d.Job.CanonicalSpec()
	if err != nil {
		return upload.Meta{}, fmt.Errorf("describing the job: %w", err)
	}
	return upload.Meta{
		Prompt: r.Prompt, NegativePrompt: r.NegativePrompt, Steps: r.Steps, Scheduler: j.scheduler(), Guidance: r.Guidance, Seed: r.Seed,
		Model: j.model.name, ModelDigest: j.model.digest, Job: spec, TraceID: j.span.SpanContext().TraceID().String(),
		Detail: j.cfg.Detail,
	}, nil
}
