package otel

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// flushTime is how long a Shutdown without a deadline may take.
const flushTime = 4 * time.Second

// Shutdown delivers what is waiting, spans and metrics side by side, and ends
// the providers. It returns when ctx ends at the latest (after four seconds
// where ctx has no deadline), whatever a collector does: an export that hangs
// is cut off and made again, and what cannot be delivered in time is dropped.
// End all spans before; later ones are not exported.
//
// The error says what was lost and has not been logged yet; it is for the
// caller to log, and no reason to fail. Only the first call does anything; the
// others wait for it and return the same.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.stop.Do(func() { t.lost = t.shutdown(ctx) })
	return t.lost
}

func (t *Telemetry) shutdown(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(flushTime)
	}
	// A last part of the time is for the providers to take note of what the senders gave up.
	left := time.Until(deadline)
	drain, cancel := context.WithDeadline(ctx, deadline.Add(-min(left/10, 100*time.Millisecond)))
	defer cancel()
	outer, cancelOuter := context.WithDeadline(ctx, deadline)
	defer cancelOuter()
	// The providers do not stop at all under a context that has ended, so theirs is another one. It bounds nothing: the senders do.
	providers := context.WithoutCancel(ctx)

	t.losses.drain()
	for _, s := range t.senders {
		s.beginShutdown(drain)
	}
	var g errgroup.Group
	for _, stop := range t.stops {
		g.Go(func() error { return stop(providers) })
	}
	// This goroutine ends with the providers, when the senders give up; but for
	// a reader whose callback blocks, which is left behind rather than waited for.
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	var err error
	select {
	case err = <-done:
	case <-outer.Done():
		err = outer.Err()
	}
	for _, tr := range t.idle {
		tr.CloseIdleConnections()
	}
	t.losses.close(t.queues)
	if lost := t.losses.report(); lost != nil {
		return fmt.Errorf("flushing telemetry: %w", lost)
	}
	if err != nil {
		return fmt.Errorf("flushing telemetry: %w", err)
	}
	return nil
}
