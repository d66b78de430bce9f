package worker

import (
	"context"
	"sync"
)

// gate stops the fetching while a service that every job needs is away. Jobs close it, each for itself, and open it when they got through.
type gate struct {
	mu     sync.Mutex
	closed map[any]error // by whom, and why
	opened chan struct{} // closed when the gate opens; nil while it is open
}

// close shuts the gate on behalf of who.
func (g *gate) close(who any, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = map[any]error{}
	}
	g.closed[who] = why
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
}

// open takes who's reason away; the gate opens with the last one.
func (g *gate) open(who any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.closed, who)
	if len(g.closed) == 0 && g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// reason returns why the gate is shut, or nil.
func (g *gate) reason() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, why := range g.closed {
		return why
	}
	return nil
}

// wait returns when the gate is open, or ctx's error.
func (g *gate) wait(ctx context.Context) error {
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return ctx.Err()
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
