package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// handBackTime bounds what a job says to the broker after its own context has ended: leaving must not wait for a broker that is away.
const handBackTime = 2 * time.Second

// settle ends the delivery as the table of error types says, and returns the outcome for span and metrics.
func (j *job) settle(ctx context.Context, err error) (outcome string) {
	switch {
	case err == nil:
		return j.ack(ctx, otel.OutcomeCompleted)
	case errors.Is(err, errDone):
		j.log.InfoContext(ctx, "recorded before: acknowledging")
		j.forget(ctx)
		return j.ack(ctx, otel.OutcomeDuplicate)
	case errors.Is(err, errExpired):
		return j.end(ctx, queue.Expired, otel.OutcomeExpired, err)
	case errors.Is(err, errCancelled):
		return j.end(ctx, queue.Cancelled, otel.OutcomeCancelled, err)
	}
	typ := queue.ErrorType(err)
	switch class, _ := queue.ClassOf(typ); { // ErrorType is always on the list
	case class == queue.Held:
		typ = queue.TypeInterrupted // it was held until the worker left
	case class == queue.Retried && j.attempt == 0: // it failed on the way to its start, which counts as one
		if other := j.cause(ctx, j.begin(ctx)); other != nil {
			return j.settle(ctx, other)
		}
	}
	switch queue.Decide(typ, j.attempt, j.cfg.MaxAttempts, j.d.LeaseLost()) {
	case queue.Retry:
		return j.retry(ctx, err)
	case queue.HandBack:
		return j.handBack(ctx, typ, err)
	case queue.DeadLetter:
		return j.deadLetter(ctx, typ, err)
	default: // Drop
		return j.drop(ctx, err)
	}
}

func (j *job) ack(ctx context.Context, outcome string) string {
	ctx, cancel := j.outlive(ctx)
	defer cancel()
	if err := j.exchange(ctx, otel.OperationAck, func() error { return j.d.Ack(ctx) }); err != nil {
		// The record is written: whoever gets the message again finds it and acknowledges.
		j.log.WarnContext(ctx, "the acknowledgement did not get through", slog.Any("error", err))
	}
	return outcome
}

// retry counts the attempt and gives the job back for later.
func (j *job) retry(ctx context.Context, err error) string {
	delay := queue.RetryDelay(j.attempt)
	attrs := []any{slog.Any("error", err), slog.Int("attempt", j.attempt), slog.Duration("delay", delay)}
	var typed *infer.Error
	if errors.As(err, &typed) && typed.Stack != nil {
		attrs = append(attrs, slog.String("stack", string(typed.Stack)))
	}
	j.log.WarnContext(ctx, "the job failed: it is tried again", attrs...)
	j.writeFailed(ctx, queue.ResultError{Type: queue.ErrorType(err), Message: err.Error()})
	j.giveBack(ctx, delay)
	return otel.OutcomeRetry
}

// handBack gives the job to the next worker without counting the attempt.
func (j *job) handBack(ctx context.Context, typ string, err error) string {
	if typ == queue.TypeVersion {
		j.log.WarnContext(ctx, "handing the job back for a newer worker", slog.Any("error", err))
		j.telemetry.Metrics.UnknownVersion(ctx)
	} else {
		j.log.InfoContext(ctx, "handing the job back", slog.Any("error", err))
		j.keep(ctx)
	}
	j.writeHandedBack(ctx)
	j.giveBack(ctx, queue.HandBackDelay(typ))
	return otel.OutcomeRequeued
}

// deadLetter keeps the job with the reason, records the failure, and takes the message out of the queue, in this order.
func (j *job) deadLetter(ctx context.Context, typ string, err error) string {
	j.log.ErrorContext(ctx, "the job failed for good: it is a dead letter now", slog.String("error.type", typ), slog.Any("error", err), slog.Int("attempt", j.attempt))
	failure := queue.ResultError{Type: typ, Message: err.Error()}
	err = j.ask(ctx, "publishing the dead letter", func(ctx context.Context) error {
		return j.publish(ctx, j.queue.Names().DeadStream(), func() error {
			return j.queue.DeadLetter(ctx, j.d, queue.Failure{Type: typ, Message: failure.Message, TraceID: j.span.SpanContext().TraceID().String(), Attempts: j.attempt})
		})
	})
	if err == nil && j.d.HasID {
		r := j.result(queue.Failed)
		r.Error = &failure
		err = j.record(ctx, r)
	}
	if err != nil {
		return j.unsaid(ctx, &failure, err)
	}
	j.telemetry.Metrics.DeadLetter(ctx, j.d.Model, typ)
	j.last(ctx, "terminating the message", func(ctx context.Context) error {
		return j.exchange(ctx, otel.OperationTerm, func() error { return j.d.Term(ctx, typ+": "+failure.Message) })
	})
	if typ == queue.TypeInvalidJob {
		return otel.OutcomeInvalid
	}
	return otel.OutcomeDeadLetter
}

// end records what became of a job that is neither drawn nor at fault, and acknowledges.
func (j *job) end(ctx context.Context, status, outcome string, why error) string {
	j.log.InfoContext(ctx, "the job ends without a picture", slog.Any("reason", why))
	if err := j.record(ctx, j.result(status)); err != nil {
		return j.unsaid(ctx, nil, err)
	}
	return j.ack(ctx, outcome)
}

// unsaid ends a delivery whose last word did not get through: the message stays, and the next attempt ends in the same way. A start that failed stays counted.
func (j *job) unsaid(ctx context.Context, failure *queue.ResultError, err error) string {
	if errors.Is(err, queue.ErrLeaseLost) {
		return j.drop(ctx, err)
	}
	j.log.WarnContext(ctx, "leaving before it was recorded what became of the job: it is delivered again", slog.Any("error", err))
	if failure != nil && j.attempt > 0 {
		j.writeFailed(ctx, *failure)
	} else {
		j.writeHandedBack(ctx)
	}
	j.giveBack(ctx, 0)
	return otel.OutcomeRequeued
}

// drop lets go of the job without a word, for any would be about a job that may be another worker's.
func (j *job) drop(ctx context.Context, err error) string {
	j.log.WarnContext(ctx, "the lease may be lost: saying nothing, the job may be another worker's", slog.Any("error", err))
	j.d.Release()
	return otel.OutcomeRequeued
}

func (j *job) writeFailed(ctx context.Context, failure queue.ResultError) {
	j.last(ctx, "writing the attempt", func(ctx context.Context) error { return j.queue.Failed(ctx, j.d, failure) })
}

func (j *job) writeHandedBack(ctx context.Context) {
	j.last(ctx, "writing the hand-back", func(ctx context.Context) error { return j.queue.HandedBack(ctx, j.d) })
}

func (j *job) giveBack(ctx context.Context, delay time.Duration) {
	j.last(ctx, "handing the job back", func(ctx context.Context) error { return j.nak(ctx, delay) })
}

// last says one of the job's last words. Each has its own moment: one that the broker did not take must not cost the next one's.
func (j *job) last(ctx context.Context, doing string, word func(context.Context) error) {
	ctx, cancel := j.outlive(ctx)
	defer cancel()
	j.say(ctx, doing, word(ctx))
}

// say logs a word that did not reach the broker: the lease then runs out and the job is delivered again, which every attempt allows for.
func (j *job) say(ctx context.Context, doing string, err error) {
	if err != nil {
		j.log.WarnContext(ctx, "not told to the broker: the job is delivered again when its lease runs out", slog.String("doing", doing), slog.Any("error", err))
	}
}

// outlive gives the last words of a job a moment of their own when its context has ended, at most until the drain does: a broker that is away must not hold it up.
func (j *job) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	end := time.Now().Add(handBackTime)
	if by := j.lastWord(); !by.IsZero() && by.Before(end) {
		end = by
	}
	return context.WithDeadline(context.WithoutCancel(ctx), end)
}
