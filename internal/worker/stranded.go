package worker

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// strandedEvery is the time between looks for stranded jobs, ± half: the workers of a queue look for the same.
const strandedEvery = time.Minute

// strandedTime bounds one look, which takes two seconds where there are some.
const strandedTime = 20 * time.Second

// watchStranded looks every now and then for jobs that lie in the queue and that no consumer delivers, and says how to mend that. It ends with ctx.
func (w *Worker) watchStranded(ctx context.Context, layout queue.Layout) {
	told := map[string]int64{} // by consumer, what was warned of last
	for {
		select {
		case <-time.After(w.cfg.strandedEvery/2 + rand.N(w.cfg.strandedEvery)):
		case <-ctx.Done():
			return
		}
		w.lookForStranded(ctx, layout, told)
	}
}

func (w *Worker) lookForStranded(ctx context.Context, layout queue.Layout, told map[string]int64) {
	ctx, cancel := context.WithTimeout(ctx, strandedTime)
	defer cancel()
	found, err := w.queue.Stranded(ctx, layout)
	if err != nil {
		w.log.DebugContext(ctx, "the queue does not tell whether jobs are stranded", slog.Any("error", err))
		return
	}
	now := map[string]queue.Stranding{}
	for _, s := range found {
		now[s.Consumer] = s
	}
	for _, model := range layout.Models {
		for _, priority := range queue.Priorities() {
			consumer := queue.ConsumerName(priority, model)
			s := now[consumer]
			w.telemetry.Metrics.Stranded(ctx, w.queue.Names().JobsStream(), consumer, s.Jobs)
			if s.Jobs > 0 && s.Jobs != told[consumer] {
				w.log.WarnContext(ctx, "jobs are stranded: they lie in the queue, and their consumer does not deliver them; if this does not go away, run `enqueue repair`",
					slog.String("consumer", consumer), slog.Int64("jobs", s.Jobs), slog.Bool("consumer_missing", s.Missing))
			}
			told[consumer] = s.Jobs
		}
	}
}
