package main

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// verdict is what a proxy does with what it has in hand at an edge.
type verdict int

const (
	pass verdict = iota // on with it
	drop                // the worker was killed before it was sent
	cut                 // reset the connection: the network failed, or the server was killed
)

// trap is a fault that waits at an edge for the first worker that comes there.
type trap struct {
	fault  fault
	kill   func()        // what kills a server; nil where the worker is the one that is hurt
	sprung chan struct{} // closed when it is over
}

// edges are where traps are laid and workers come by. Proxies call reach, each connection in its own goroutine.
type edges struct {
	log *slog.Logger

	mu    sync.Mutex
	traps map[edge][]*trap
}

// lay lays a trap for the next worker at an edge. With kill it is a server that dies when a worker comes there.
func (e *edges) lay(at edge, f fault, kill func()) *trap {
	t := &trap{fault: f, kill: kill, sprung: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.traps == nil {
		e.traps = map[edge][]*trap{}
	}
	e.traps[at] = append(e.traps[at], t)
	return t
}

// take takes the oldest trap at an edge, nil where there is none.
func (e *edges) take(at edge) *trap {
	e.mu.Lock()
	defer e.mu.Unlock()
	traps := e.traps[at]
	if len(traps) == 0 {
		return nil
	}
	e.traps[at] = traps[1:]
	return traps[0]
}

// reach is called with a life of a worker at an edge, before what it sends or is sent is passed on. It springs the oldest
// trap there: when it returns the worker, or a server, is dead, or the worker was frozen and is awake again.
func (e *edges) reach(ctx context.Context, at edge, w *life) verdict {
	if !w.running() { // what it sent before is still on its way
		return pass
	}
	t := e.take(at)
	if t == nil {
		return pass
	}
	log := e.log.With(slog.Int("fault", t.fault.Number), slog.String("kind", string(t.fault.Kind)), slog.String("edge", string(at)), slog.String("worker", w.name))
	if t.kill != nil {
		defer close(t.sprung)
		log.Info("killing a server")
		t.kill()
		return cut
	}
	switch t.fault.Kind {
	case freeze:
		defer close(t.sprung)
		log.Info("freezing", slog.Duration("for", t.fault.For))
		w.send(syscall.SIGSTOP)
		wait(ctx, t.fault.For)
		w.send(syscall.SIGCONT)
		log.Info("awake")
		return pass
	case storeReset:
		defer close(t.sprung)
		log.Info("resetting the connection")
		return cut
	case killFetched, killStep: // some time later
		time.AfterFunc(t.fault.For, func() {
			defer close(t.sprung)
			log.Info("killing")
			w.send(os.Kill)
		})
		return pass
	default:
		defer close(t.sprung)
		log.Info("killing")
		w.send(os.Kill)
		return drop
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
