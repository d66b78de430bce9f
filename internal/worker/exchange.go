package worker

import (
	"context"
	"time"

	"github.com/stipple-ai/stipple/internal/otel"
)

// exchange measures one exchange with the broker: an Operation constant for its name.
func (w *Worker) exchange(ctx context.Context, name string, talk func() error) error {
	begin := time.Now()
	err := talk()
	failed := ""
	if err != nil {
		failed = otel.ErrorTypeOf(err, "")
	}
	w.telemetry.Metrics.Operation(ctx, name, failed, time.Since(begin))
	return err
}

// publish is exchange for one message to a stream, which is counted when the broker has confirmed it.
func (w *Worker) publish(ctx context.Context, stream string, talk func() error) error {
	err := w.exchange(ctx, otel.OperationPublish, talk)
	if err == nil {
		w.telemetry.Metrics.Sent(ctx, stream, 1)
	}
	return err
}

// nak gives the job back.
func (j *job) nak(ctx context.Context, delay time.Duration) error {
	return j.exchange(ctx, otel.OperationNak, func() error { return j.d.Nak(ctx, delay) })
}
