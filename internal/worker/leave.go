package worker

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

// tailMost bounds the last part of the drain, in which what is not done is handed back: a fifth of DrainTimeout, and at most this.
const tailMost = 2 * time.Second

// leave gives the worker's jobs up within DrainTimeout, from now: what has not begun, or waits for a service that is away, goes back at once; what has begun may
// finish; what has not finished when the last fifth begins goes back too.
func (w *Worker) leave(ctx context.Context, stopWork func(why error)) {
	begin := time.Now()
	close(w.draining)
	w.setDrainEnd(begin.Add(w.cfg.DrainTimeout))
	w.setState(queue.WorkerDraining)
	jobs := w.held()
	_, span := w.telemetry.Tracer().Start(context.WithoutCancel(ctx), otel.SpanDrain, trace.WithNewRoot(), trace.WithAttributes(otel.DrainReason.String(reason(ctx))))
	defer span.End()
	w.log.Info("leaving: nothing more is fetched", slog.String("reason", reason(ctx)), slog.Int("held", len(jobs)), slog.Duration("drain_timeout", w.cfg.DrainTimeout))
	back := 0
	for _, j := range jobs {
		if !j.begun.Load() || j.holding.Load() {
			j.cancel(errLeaving)
			back++
		}
	}
	done := make(chan struct{})
	go func() { // ends with the last job
		w.handling.Wait()
		close(done)
	}()
	tail := min(w.cfg.DrainTimeout/5, tailMost)
	if !within(done, w.cfg.DrainTimeout-tail) {
		late := len(w.held())
		back += late
		w.log.Warn("not done in time: handing back", slog.Int("jobs", late))
		stopWork(errLeaving)
		// The calls to the model return between two of its nodes, and the words to the broker have their own bound.
		within(done, time.Until(begin.Add(w.cfg.DrainTimeout)))
	}
	left := len(w.held())
	span.SetAttributes(otel.DrainFinished.Int(max(0, len(jobs)-back)), otel.DrainHandedBack.Int(back))
	w.log.Info("left", slog.Int("finished", max(0, len(jobs)-back)), slog.Int("handed_back", back), slog.Int("still_held", left), slog.Duration("took", time.Since(begin).Round(time.Millisecond)))
	<-done
}

func (w *Worker) setDrainEnd(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drainBy = t
}

// drainEnd is when the worker means to be done with its jobs; zero while it does not leave.
func (w *Worker) drainEnd() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drainBy
}

func reason(ctx context.Context) string {
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	return "the engine ended"
}

// within reports whether done was closed within d.
func within(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
