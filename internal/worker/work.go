package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/queue"
)

// work runs engines, ticker and fetch loop until ctx ends or something breaks, and then leaves.
func (w *Worker) work(ctx context.Context, models []*model, source *queue.Source, started time.Time) error {
	w.ended = make(chan struct{})
	intake, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	w.stopIntake = func(why error) {
		w.startDrain() // first, so that whoever sees the intake's end finds when the drain does
		stop(why)
	}
	work, stopWork := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopWork(nil)
	engineCtx, stopEngines := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngines()

	var engines, background sync.WaitGroup
	for _, m := range models {
		engines.Go(func() {
			if err := m.engine.Run(engineCtx); err != nil {
				w.breakDown(m.name, err)
			}
		})
	}
	w.setState(queue.WorkerReady)
	defer context.AfterFunc(ctx, func() { w.stopIntake(context.Cause(ctx)) })()
	w.gate.close(w, errors.New("the store has not answered yet"))
	background.Go(func() { w.watchStore(intake) })
	background.Go(func() { w.announce(engineCtx) })
	background.Go(func() { w.watchStranded(intake, w.layout()) })
	background.Go(func() { w.observe(engineCtx) })
	w.log.Info("ready", slog.String("worker", w.cfg.Name), slog.String("models", w.modelNames()), slog.String("provider", w.runtime.Provider()),
		slog.Int("lanes", w.cfg.Lanes), slog.Int("max_rows", w.cfg.MaxRows), slog.Int("slots", w.cfg.Slots), slog.Duration("started_in", time.Since(started).Round(time.Millisecond)))
	fetched := make(chan error, 1)
	w.handling.Go(func() {
		err := w.fetchLoop(intake, work, source)
		fetched <- err
		if err != nil {
			w.stopIntake(err)
		}
	})
	<-intake.Done()
	left := w.leave(context.Cause(intake), stopEngines, stopWork)
	stopEngines()
	quiet := make(chan struct{})
	go func() { // ends with the last goroutine that may be in a call to a model, or use the connection
		if !left {
			w.handling.Wait()
		}
		engines.Wait()
		close(w.ended)
		background.Wait()
		close(quiet)
	}()
	var failed error
	select {
	case failed = <-fetched: // nil, or why it left
	default: // in its last words with the broker
	}
	grace := max(lastWordTime, time.Until(w.drainEnd()))
	if w.stuck = !left || !within(w.ended, grace) || errors.Is(w.fault(), infer.ErrHung); w.stuck {
		failed = errors.Join(failed, errStuck)
	} else {
		within(quiet, grace)
	}
	return errors.Join(w.fault(), failed)
}
