package otel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// The tempo of retries: it doubles from retryFirst to retryMost, ±50 %.
// A process that is leaving has less patience.
const (
	retryFirst   = time.Second
	retryMost    = 5 * time.Second
	drainFirst   = 100 * time.Millisecond
	drainMost    = 500 * time.Millisecond
	drainAtLeast = 200 * time.Millisecond // shortest cap of an attempt while leaving
)

var (
	errDraining = errors.New("the process is leaving")
	errNoTime   = &exportError{reason: reasonShutdown, items: -1, err: errors.New("no time left before the process ends")}
)

// sender makes the attempts of one signal: it retries what may yet arrive,
// keeps to Retry-After across batches, and obeys a shutdown. The SDK's own
// retries are off: they do not cover connection errors, and an export they
// hold up is not cancelled by a shutdown.
type sender struct {
	mu        sync.Mutex
	notBefore time.Time               // the collector asked for quiet until then
	interrupt context.CancelCauseFunc // ends the attempt in flight; nil when there is none
	drain     context.Context         //nolint:containedctx // set once by beginShutdown: the SDK calls exports without it, and they must obey it
}

// beginShutdown cancels the attempt in flight, which is then made anew under
// the shutdown's clock: until ctx ends each attempt gets half of what is left,
// so that a hanging connection does not cost everything behind it.
func (s *sender) beginShutdown(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drain != nil {
		return
	}
	s.drain = ctx
	if s.interrupt != nil {
		s.interrupt(errDraining)
	}
}

// do calls send until it succeeds, fails for good, or time is up: ctx's, or
// once a shutdown has begun the shutdown's. The error is nil or an *exportError.
// One goroutine at a time.
func (s *sender) do(ctx context.Context, send func(context.Context) error) error {
	var last error
	for try := 0; ; try++ {
		attempt, done, err := s.begin(ctx)
		if err != nil {
			return cmp.Or(last, err)
		}
		err = send(attempt)
		interrupted := errors.Is(context.Cause(attempt), errDraining)
		done()
		if err == nil {
			return nil
		}
		e := classify(err)
		last = e
		if interrupted {
			// Whether it arrived is unknown. Twice is better than never: ids tell a backend what it has.
			try = -1
			continue
		}
		if !e.retryable || !s.pause(ctx, try, e.after) {
			return e
		}
	}
}

// begin waits until the collector wants to hear from us and returns the
// context of one attempt. The error says that there is no time for one.
func (s *sender) begin(ctx context.Context) (attempt context.Context, done func(), err error) {
	for {
		s.mu.Lock()
		drain, wait := s.drain, max(0, time.Until(s.notBefore))
		if drain == nil && wait <= 0 && ctx.Err() == nil {
			attempt, cancel := context.WithCancelCause(ctx)
			s.interrupt = cancel
			s.mu.Unlock()
			return attempt, func() { s.clear(cancel) }, nil
		}
		s.mu.Unlock()
		if drain != nil {
			return s.beginDraining(drain, wait)
		}
		if wait <= 0 { // what was sent before, in the same batch, took all the time
			return nil, nil, classify(fmt.Errorf("no time was left to send it: %w", ctx.Err()))
		}
		if !s.sleep(ctx, wait) {
			return nil, nil, &exportError{reason: reasonThrottled, items: -1, err: errors.New("the collector asked to wait longer than a batch may")}
		}
	}
}

// beginDraining is begin while leaving. The caller's context has no say: the
// processors cancel it as part of their shutdown.
func (s *sender) beginDraining(drain context.Context, wait time.Duration) (context.Context, func(), error) {
	if drain.Err() != nil {
		return nil, nil, errNoTime
	}
	left := time.Minute // a shutdown without a deadline
	if deadline, ok := drain.Deadline(); ok {
		left = time.Until(deadline)
	}
	if wait > left {
		return nil, nil, &exportError{reason: reasonThrottled, items: -1, err: errors.New("the collector asked to wait longer than the process has left")}
	}
	if wait > 0 && !s.sleep(drain, wait) {
		return nil, nil, errNoTime
	}
	attempt, cancel := context.WithTimeout(drain, max((left-wait)/2, drainAtLeast))
	return attempt, cancel, nil
}

// pause waits before the next try; false when time is up first.
func (s *sender) pause(ctx context.Context, try int, after time.Duration) bool {
	s.mu.Lock()
	first, most := retryFirst, retryMost
	if s.drain != nil {
		ctx, first, most = s.drain, drainFirst, drainMost
	}
	if after > 0 {
		s.notBefore = time.Now().Add(after)
	}
	s.mu.Unlock()
	if after > 0 {
		return ctx.Err() == nil // begin waits
	}
	base := min(first<<min(try, 10), most)
	return s.sleep(ctx, base/2+rand.N(base))
}

// sleep returns true after d, or as soon as a shutdown begins, and false when ctx ends first. Under the shutdown's own context it sleeps on.
func (s *sender) sleep(ctx context.Context, d time.Duration) bool {
	wake, cancel := context.WithCancelCause(ctx)
	defer s.clear(cancel)
	s.mu.Lock()
	begun := s.drain != nil
	if !begun {
		s.interrupt = cancel
	}
	late := begun && ctx != s.drain // it began since the caller looked
	s.mu.Unlock()
	if late {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake.Done():
		return errors.Is(context.Cause(wake), errDraining)
	}
}

// clear ends what begin or sleep began.
func (s *sender) clear(cancel context.CancelCauseFunc) {
	s.mu.Lock()
	s.interrupt = nil
	s.mu.Unlock()
	cancel(nil)
}

// classify makes any error of an attempt an *exportError.
func classify(err error) *exportError {
	var e *exportError
	var timeout net.Error
	switch {
	case errors.As(err, &e):
		// The text that the SDK and net/http put around it names the URL.
		return &exportError{reason: e.reason, retryable: e.retryable, after: e.after, items: e.items, err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return &exportError{reason: reasonTimeout, retryable: true, items: -1, err: err}
	case errors.Is(err, context.Canceled):
		return &exportError{reason: reasonShutdown, items: -1, err: err}
	default: // marshalling, a request too large for the client
		return &exportError{reason: reasonOther, items: -1, err: err}
	}
}
