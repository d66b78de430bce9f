package queue

import (
	"context"
	"sync"
	"time"
)

// Acknowledgements that a worker sends for a message, the bodies of requests to its reply subject. All are sent
// as requests: the answer comes from the consumer itself, so it says that the word arrived, through any cluster
// and against any permissions, which a flush of the connection does not.
const (
	ackDone     = "+ACK"  // done, delete it
	ackNak      = "-NAK"  // deliver it again
	ackProgress = "+WPI"  // start the lease anew
	ackTerm     = "+TERM" // delete it and say why
)

// heartbeatTimeout bounds one heartbeat; a shorter lease bounds it further.
const heartbeatTimeout = 2 * time.Second

// heart keeps the lease of one delivery alive: it sends a heartbeat every AckWait/3 until it is stopped or the
// job has run for too long, and remembers the last one that is known to have arrived.
//
// start begins the one goroutine, run; stop ends it and waits for it. Everything below mu is shared with
// callers of the Delivery, the rest is set before start.
type heart struct {
	send    func(ctx context.Context, payload string) error // returns nil once the consumer has answered
	ackWait time.Duration
	timeout time.Duration // how long the job may be held, time of holds not counted

	cancel   context.CancelFunc
	done     chan struct{} // closed by run when it ends
	timedOut chan struct{} // closed by run when the job is past its timeout
	wake     chan struct{} // holds changed; capacity 1, so that nobody waits for run

	mu        sync.Mutex
	started   time.Time     // when the timeout's clock began
	confirmed time.Time     // when the last word that arrived was sent: the lease runs from there or later
	lost      bool          // the lease has run out once; never reset
	holds     int           // calls of hold not ended
	heldSince time.Time     // while holds > 0
	held      time.Duration // of ended holds
}

// start begins to beat for a delivery that was asked for at asked: the lease began then or later.
func (h *heart) start(asked time.Time) {
	ctx, cancel := context.WithCancel(context.Background()) // ended by stop
	h.cancel = cancel
	h.done, h.timedOut, h.wake = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	h.started, h.confirmed = time.Now(), asked
	go h.run(ctx)
}

// stop ends the heartbeat and returns when no more can be sent, so that none follows a Nak and undoes its delay.
func (h *heart) stop() {
	h.cancel()
	<-h.done
}

func (h *heart) run(ctx context.Context) {
	defer close(h.done)
	interval := h.ackWait / 3
	next := h.started.Add(interval)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		left, counting := h.left(now)
		if counting && left <= 0 {
			close(h.timedOut)
			return
		}
		wait := next.Sub(now)
		if counting {
			wait = min(wait, left)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-timer.C:
			if !time.Now().Before(next) {
				next = h.beat(ctx, interval)
			}
		}
	}
}

// beat sends one heartbeat and returns when the next is due: sooner if it failed, so that a broker that is back
// learns at once that the job is alive.
func (h *heart) beat(ctx context.Context, interval time.Duration) time.Time {
	ctx, cancel := context.WithTimeout(ctx, min(interval, heartbeatTimeout))
	defer cancel()
	sent := time.Now()
	if h.send(ctx, ackProgress) != nil { // seen by leaseLost, and what the broker refuses is in the client's log
		return time.Now().Add(min(interval/4, 500*time.Millisecond))
	}
	h.confirm(sent, time.Now())
	return sent.Add(interval)
}

// confirm notes that a word sent at sent had arrived by now. If the lease before it ran out before now, it may
// have arrived too late.
func (h *heart) confirm(sent, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.expire(now)
	h.confirmed = sent
}

// leaseLost reports whether the message may have been given to another worker: no heartbeat is known to have
// arrived for AckWait, now or once before. Later heartbeats do not change that.
func (h *heart) leaseLost() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.expire(time.Now())
}

func (h *heart) expire(now time.Time) bool {
	// The wall clock is asked too: the monotonic one may stand still while a machine is suspended.
	elapsed := max(now.Sub(h.confirmed), now.Round(0).Sub(h.confirmed.Round(0)))
	h.lost = h.lost || elapsed >= h.ackWait
	return h.lost
}

// left is the time left of the timeout, and whether it is counted down: not during a hold.
func (h *heart) left(now time.Time) (left time.Duration, counting bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds > 0 {
		return 0, false
	}
	return h.timeout - (now.Sub(h.started) - h.held), true
}

// hold stops the timeout's clock until the returned function is called. Holds may overlap.
func (h *heart) hold() (end func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holds == 0 {
		h.heldSince = time.Now()
	}
	h.holds++
	h.notify()
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.holds--; h.holds == 0 {
			h.held += time.Since(h.heldSince)
		}
		h.notify()
	})
}

// notify makes run look at the holds again.
func (h *heart) notify() {
	select {
	case h.wake <- struct{}{}:
	default: // it will look anyway
	}
}
