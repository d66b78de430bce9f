package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
	"github.com/stipple-ai/stipple/internal/queue"
)

// failsOneSize is a model that cannot do pictures of 96 × 96.
type failsOneSize struct{ infer.Model }

func (m failsOneSize) Denoise(ctx context.Context, c *infer.Call) error {
	if c.Size.Width == 12 {
		return errors.New("no memory for this one")
	}
	return m.Model.Denoise(ctx, c)
}

// TestJobsThatFailLeaveTheWayFree: they wait for their next attempt at the broker and hold no slot, so that healthy jobs that come later pass them; and when they have had
// their attempts they are dead letters.
func TestJobsThatFailLeaveTheWayFree(t *testing.T) {
	const failing, healthy = 60, 10
	w := startWorker(t, func(c *Config) {
		c.Slots, c.MaxAttempts = 4, 2
		c.wrap = func(inner infer.Model) infer.Model { return failsOneSize{inner} }
	})
	for i := range int64(failing) {
		j := quick("bad", i)
		j.Width, j.Height = new(96), new(96)
		w.publish(j)
	}
	for i := range int64(healthy) {
		w.publish(quick("good", i))
	}
	for i := range int64(healthy) {
		res := w.result("good", i)
		w.checkImage(res)
		if res.Attempt != 1 {
			t.Errorf("a healthy job took attempt %d", res.Attempt)
		}
	}
	for i := range int64(failing) {
		if res := w.result("bad", i); res.Status != queue.Failed || res.Error.Type != queue.TypeModelError || res.Attempt != 2 {
			t.Errorf("job %d: got %+v, %+v; want failed after two attempts", i, res, res.Error)
		}
	}
	w.awaitHeld(0)
}
