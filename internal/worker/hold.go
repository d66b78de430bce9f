package worker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// Pauses between tries of a service that is away.
const (
	holdPause = 250 * time.Millisecond
	holdMost  = 5 * time.Second
)

// askTime bounds one call to the broker: a client waits for an absent broker inside the call, and would do so for ever, with the gate open and JOB_TIMEOUT running.
const askTime = 5 * time.Second

// ask is hold for a call to the broker.
func (j *job) ask(ctx context.Context, doing string, op func(context.Context) error) error {
	return j.hold(ctx, doing, func(ctx context.Context) error {
		once, cancel := context.WithTimeoutCause(ctx, j.cfg.askTime, fmt.Errorf("no answer within %v", j.cfg.askTime))
		defer cancel()
		return op(once)
	})
}

// hold runs op until it is done or fails for a reason that is the job's own. While the store or the broker is away, the job keeps its picture and its
// lease, and nothing more is fetched: the work is not thrown away, and no job fails. Its time does not count, from the first try on, which may take a minute to
// fail. It ends with ctx.
func (j *job) hold(ctx context.Context, doing string, op func(context.Context) error) error {
	defer j.d.Hold()()
	defer func() {
		if j.holding.Load() {
			j.holding.Store(false)
			j.gate.open(j)
		}
	}()
	for pause := holdPause; ; pause = min(2*pause, holdMost) {
		err := op(ctx)
		if err == nil {
			if j.holding.Load() {
				j.log.InfoContext(ctx, "it is back", slog.String("doing", doing))
			}
			return nil
		}
		if class, known := queue.ClassOf(queue.ErrorType(err)); !known || class != queue.Held || ctx.Err() != nil {
			return err
		}
		if j.leaving() { // the picture is dropped: another worker draws it, or finds it
			return errLeaving
		}
		if !j.holding.Swap(true) {
			j.log.WarnContext(ctx, "waiting for a service that is away; nothing more is fetched meanwhile", slog.String("doing", doing), slog.Any("error", err))
		}
		j.gate.close(j, err)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-j.drain.begun: // one more try
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
