package infer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestWaitOfOneThatLeaves: the time that a sample waits for a lane between two steps is booked as such, also if it leaves there.
func TestWaitOfOneThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Second
		e, _ := start(t, m, 1, Config{Encoders: 1})
		s, err := newSample(unguided(1, 4), m.info)
		if err != nil {
			t.Fatal(err)
		}
		if s.rows[0].text, err = m.Encode(t.Context(), m.Tokenize("the same", false)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		left := make(chan error, 1)
		go func() { left <- e.denoise(ctx, s, &Result{}) }() // ends with ctx
		time.Sleep(500 * time.Millisecond)
		// Somebody else has the lane after the first step.
		if err := e.lanes.do(t.Context(), func() { time.Sleep(9 * time.Second) }); err != nil {
			t.Fatal(err)
		}
		if err := <-left; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want its deadline", err)
		}
		if s.step != 1 || s.denoise != time.Second || s.wait != 5*time.Second {
			t.Errorf("after step %d: %v of denoising and %v of waiting, want 1 s and 5 s", s.step, s.denoise, s.wait)
		}
	})
}
