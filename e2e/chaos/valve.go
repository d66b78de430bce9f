package main

import (
	"context"
	"sync"
)

// valve holds back what passes while it is shut. Several may shut it at once; it opens with the last one.
type valve struct {
	mu   sync.Mutex
	shut int
	open chan struct{} // closed when it opens; nil while it is open
}

// close shuts the valve until the returned function is called.
func (v *valve) close() (open func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut++; v.shut == 1 {
		v.open = make(chan struct{})
	}
	return sync.OnceFunc(func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.shut--; v.shut == 0 {
			close(v.open)
			v.open = nil
		}
	})
}

// wait returns when the valve is open, or with ctx's error when that ends first.
func (v *valve) wait(ctx context.Context) error {
	for {
		v.mu.Lock()
		open := v.open
		v.mu.Unlock()
		if open == nil {
			return ctx.Err()
		}
		select {
		case <-open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
