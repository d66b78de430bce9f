package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
)

const (
	// tailMost bounds the last part of the drain, in which what is not done is handed back: a fifth of DrainTimeout, and at most this.
	tailMost = 2 * time.Second
	// lastWordTime is what is left to say something in when the drain has ended.
	lastWordTime = 100 * time.Millisecond
)

// drain is the worker's leaving: when it must be done, and what became of the jobs that were held when it began.
type drain struct {
	once  sync.Once
	begun chan struct{} // closed by start
	by    time.Time     // zero before; under Worker.mu
	tally tally         // under Worker.mu
}

// tally counts jobs that end while the worker leaves, each once.
type tally struct{ finished, checkpointed, handedBack int }

// startDrain marks the moment from which DrainTimeout counts, whatever it is that began the leaving. Only the first call does something.
func (w *Worker) startDrain() {
	w.drain.once.Do(func() {
		w.mu.Lock()
		w.drain.by = time.Now().Add(w.cfg.DrainTimeout)
		w.mu.Unlock()
		w.setState(queue.WorkerDraining)
		close(w.drain.begun)
		if w.cfg.OnLeave != nil {
			w.cfg.OnLeave()
		}
	})
}

// leave gives the worker's jobs up within DrainTimeout, from startDrain: what has not begun, or waits for a service that is away, goes back at once; what has begun
// may finish; what is not drawn when the last fifth begins goes back too, and a picture that is being stored then has until the end. It reports whether all of them
// are gone: a call to the model that does not return keeps its jobs.
func (w *Worker) leave(why error, stopEngines func(), stopWork func(why error)) (left bool) {
	end := w.drainEnd()
	begin := end.Add(-w.cfg.DrainTimeout)
	jobs := w.held()
	_, span := w.telemetry.Tracer().Start(context.Background(), otel.SpanDrain, trace.WithTimestamp(begin), trace.WithAttributes(otel.DrainReason.String(why.Error())))
	defer span.End()
	w.log.Info("leaving: nothing more is fetched", slog.String("reason", why.Error()), slog.Int("held", len(jobs)), slog.Duration("drain_timeout", w.cfg.DrainTimeout))
	for _, j := range jobs {
		if !j.begun.Load() || j.holding.Load() {
			j.cancel(errLeaving)
		}
	}
	done := make(chan struct{})
	go func() { // ends with the last job and the fetch loop
		w.handling.Wait()
		close(done)
	}()
	if !within(done, time.Until(end.Add(-tailTime(w.cfg.DrainTimeout)))) {
		late := 0
		for _, j := range w.held() {
			if !j.drawn.Load() {
				j.cancel(errLeaving)
				late++
			}
		}
		w.log.Warn("not done in time: handing back", slog.Int("jobs", late))
		stopEngines() // so that native calls return between two nodes and not after their step
		within(done, time.Until(end))
	}
	stopWork(errLeaving)
	stuck := w.giveUp(done)
	tally := w.tallied()
	span.SetAttributes(otel.DrainFinished.Int(tally.finished), otel.DrainCheckpointed.Int(tally.checkpointed), otel.DrainHandedBack.Int(tally.handedBack))
	w.log.Info("left", slog.Int("finished", tally.finished), slog.Int("checkpointed", tally.checkpointed), slog.Int("handed_back", tally.handedBack), slog.Int("still_held", stuck), slog.Duration("took", time.Since(begin).Round(time.Millisecond)))
	return stuck == 0
}

// tailTime is the last part of a drain.
func tailTime(drain time.Duration) time.Duration { return min(drain/5, tailMost) }

// giveUp hands back the jobs that are still held when the drain has ended, in the time of a last word, but for those that are about to say themselves what became
// of them. It returns how many do not come back even then. Their goroutines stay where they are, in a call to the model, until that returns or the process ends.
func (w *Worker) giveUp(done <-chan struct{}) (stuck int) {
	jobs := w.held()
	if len(jobs) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWordTime)
	defer cancel()
	end := time.Now().Add(lastWordTime * 3 / 2) // the others' time begins when they have heard that it does
	var words sync.WaitGroup
	for _, j := range jobs {
		if !j.settling.Load() {
			words.Go(func() { j.abandon(ctx) })
		}
	}
	words.Wait()
	within(done, time.Until(end))
	for _, j := range w.held() {
		if !j.settling.Load() {
			stuck++
		}
	}
	return stuck
}

// abandon says for a job whose goroutine does not come back what that would say, unless it has. Of a broken device the start stays counted: the job may be what broke it.
func (j *job) abandon(ctx context.Context) {
	if why := j.fault(); why != nil {
		j.say(ctx, "writing the attempt", j.queue.Failed(ctx, j.d, queue.ResultError{Type: queue.ErrorType(why), Message: why.Error()}))
	} else {
		j.say(ctx, "writing the hand-back", j.queue.HandedBack(ctx, j.d))
	}
	switch err := j.nak(ctx, 0); {
	case err == nil:
		j.count(otel.OutcomeRequeued)
	case !errors.Is(err, queue.ErrSettled): // by its own goroutine, which is about to end
		j.say(ctx, "handing the job back", err)
	}
}

// errStuck ends a worker whose calls to the model do not return.
var errStuck = errors.New("a call to the model has not returned: the process ends without it")

// breakDown notes why the worker cannot go on, and has it leave. The first reason stays.
func (w *Worker) breakDown(model string, err error) {
	w.mu.Lock()
	if w.broken == nil {
		w.broken = &infer.Error{Type: queue.TypeModelError, Err: fmt.Errorf("model %s: %w", model, err)}
	}
	why := w.broken
	w.mu.Unlock()
	w.stopIntake(why)
}

// fault returns why the worker cannot go on, or nil.
func (w *Worker) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// count tallies what became of a job, once, if the worker is leaving.
func (j *job) count(outcome string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.drain.by.IsZero() || j.counted {
		return
	}
	j.counted = true
	switch {
	case outcome == otel.OutcomeRequeued && j.checkpointed:
		j.drain.tally.checkpointed++
	case outcome == otel.OutcomeRequeued, outcome == otel.OutcomeRetry:
		j.drain.tally.handedBack++
	default:
		j.drain.tally.finished++
	}
}

func (w *Worker) tallied() tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drain.tally
}

// drainEnd is when the worker means to be done with its jobs; zero while it does not leave.
func (w *Worker) drainEnd() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drain.by
}

// lastWord is when a word to the broker that is begun now must be through while the worker leaves; zero while it does not.
func (w *Worker) lastWord() time.Time {
	by := w.drainEnd()
	if least := time.Now().Add(lastWordTime); !by.IsZero() && by.Before(least) { // a job whose last call to the model came back late
		return least
	}
	return by
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
