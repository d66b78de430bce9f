package worker

import (
	"context"
	"log/slog"
	"time"

	"github.com/stipple-ai/stipple/internal/infer"
)

// saver writes checkpoints of a job that runs, in the background: at most one is on its way, and of those that wait the last one counts. The job owns it and its
// goroutine, which guard ends at the latest. A nil saver has nothing to end.
type saver struct {
	job  *job
	next chan infer.State // buffer 1
	idle context.CancelFunc
	stop context.CancelFunc
	done chan struct{}
}

func (j *job) startSaver(ctx context.Context) *saver {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx)) // one may end after the drawing
	waiting, idle := context.WithCancel(writing)
	s := &saver{job: j, next: make(chan infer.State, 1), idle: idle, stop: stop, done: make(chan struct{})}
	go func() { // ends with rest or end
		defer close(s.done)
		for waiting.Err() == nil {
			select {
			case state := <-s.next:
				s.write(writing, state)
			case <-waiting.Done():
			}
		}
	}()
	return s
}

// offer takes a checkpoint in place of one that was not begun. The engine's Run calls it, one at a time: it does not wait.
func (s *saver) offer(state infer.State) {
	select {
	case <-s.next:
	default:
	}
	s.next <- state // there is room: nobody else sends
}

func (s *saver) write(ctx context.Context, state infer.State) {
	if err := s.job.writeCheckpoint(ctx, state); err != nil && ctx.Err() == nil {
		s.job.log.WarnContext(ctx, "a checkpoint was not written", slog.Int("step", state.Step), slog.Any("error", err))
	}
}

// rest begins nothing more.
func (s *saver) rest() {
	if s != nil {
		s.idle()
	}
}

// finish returns when nothing is on its way. What is there still after a time, or when ctx ends, is given up: a store may yet take it then, after the removal.
func (s *saver) finish(ctx context.Context, most time.Duration) {
	if s == nil {
		return
	}
	s.rest()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	s.end()
}

// end gives up what is on its way, and returns when nothing is.
func (s *saver) end() {
	if s != nil {
		s.stop()
		<-s.done
	}
}
