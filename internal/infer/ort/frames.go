package ort

import (
	"errors"
	"slices"
	"sync"
)

// frames keeps frames that no call is using, the oldest making room for the newest.
type frames struct {
	mu     sync.Mutex
	idle   []*frame // oldest first
	bytes  int      // of idle
	closed bool
}

// idleFrames and idleBytes bound what a session keeps: enough for a call on every lane in a handful of sizes, and less of those that are large.
const (
	idleFrames = 16
	idleBytes  = 64 << 20
)

// take returns an idle frame of that key, or one made by build.
func (p *frames) take(key frameKey, build func() (*frame, error)) (*frame, error) {
	p.mu.Lock()
	for i, f := range slices.Backward(p.idle) {
		if f.key == key {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.bytes -= f.bytes()
			p.mu.Unlock()
			return f, nil
		}
	}
	p.mu.Unlock()
	return build()
}

// give takes a frame back; the call that used it has returned.
func (p *frames) give(f *frame) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return f.destroy()
	}
	p.idle = append(p.idle, f)
	p.bytes += f.bytes()
	var errs []error
	for len(p.idle) > idleFrames || (p.bytes > idleBytes && len(p.idle) > 1) {
		p.bytes -= p.idle[0].bytes()
		errs = append(errs, p.idle[0].destroy())
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	return errors.Join(errs...)
}

func (p *frames) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var errs []error
	for _, f := range p.idle {
		errs = append(errs, f.destroy())
	}
	p.idle = nil
	return errors.Join(errs...)
}
