package worker

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

const (
	storeEvery = 10 * time.Second // between looks at a store that answers
	storeAgain = time.Second      // and at one that does not
	storeTime  = 5 * time.Second  // for one look
	storeFirst = 7                // times as long for one that finds out what the store can do: it makes so many requests
)

// watchStore shuts the gate while the store does not answer, from the first moment on, so that nothing is drawn that could not be stored. It ends with ctx.
func (w *Worker) watchStore(ctx context.Context) {
	pause := time.Duration(0)
	for away, known := false, false; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		err := w.checkStore(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.gate.close(w, err)
			if !away {
				w.log.Warn("the store cannot take pictures: nothing is fetched", slog.Any("error", err))
			}
			away, pause = true, storeAgain
		default:
			w.gate.open(w)
			switch {
			case !known:
				known = w.warnOfStore()
			case away:
				w.log.Info("the store answers again")
			}
			away, pause = false, storeEvery
		}
	}
}

// warnOfStore says what the store and the worker's rights lack, and what that costs. It reports whether that is known.
func (w *Worker) warnOfStore() bool {
	c, known := w.store.Capabilities()
	if !known {
		return false
	}
	for _, warning := range c.Warnings() {
		w.log.Warn("the store can do less than it should", slog.String("what", warning))
	}
	return true
}

func (w *Worker) checkStore(ctx context.Context) error {
	limit := w.cfg.storeTime
	if _, known := w.store.Capabilities(); !known {
		limit *= storeFirst
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return w.store.Check(ctx)
}

const statusEvery = 2 * time.Second

// announce publishes what the worker does. Nobody may be listening, and nothing waits for it. It ends with ctx.
func (w *Worker) announce(ctx context.Context) {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	last, before := time.Now(), w.calls(ctx)
	for {
		select {
		case now := <-ticker.C:
			calls := w.calls(ctx)
			w.queue.AnnounceStatus(w.status(ctx, float64(calls-before)/now.Sub(last).Seconds()))
			last, before = now, calls
		case <-ctx.Done():
			if w.leaving() { // a farewell, so that whoever listens does not take silence for a death
				w.queue.AnnounceStatus(w.status(ctx, 0))
			}
			return
		}
	}
}

// calls returns the UNet calls done since the start.
func (w *Worker) calls(ctx context.Context) int64 {
	var n int64
	for _, m := range w.models {
		n += m.engine.Load(ctx).Calls
	}
	return n
}

func (w *Worker) status(ctx context.Context, rate float64) queue.Status {
	s := queue.Status{Worker: w.cfg.Name, State: w.currentState(), Slots: w.cfg.Slots, Jobs: len(w.held()), StepsPerSecond: max(0, rate),
		Provider: orCPU(w.cfg.Runtime.Provider), MaxRows: w.cfg.MaxRows, Lanes: w.cfg.Lanes, Started: w.started}
	if w.cfg.gpu() {
		s.Device = strconv.Itoa(w.cfg.Runtime.Device)
	}
	for _, p := range w.cfg.Models {
		s.Models = append(s.Models, p.Name)
		s.Rows += w.models[p.Name].engine.Load(ctx).Rows
	}
	if s.State == queue.WorkerReady && w.gate.reason() != nil {
		s.State = queue.WorkerHolding
	}
	return s
}
