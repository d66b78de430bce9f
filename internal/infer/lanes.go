package infer

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Lanes are the goroutines that run UNet calls, shared by all engines of a process: a CPU wants a lane for each core and one row a call, a GPU one lane of
// many rows. Make them with [NewLanes] and end them with Close.
type Lanes struct {
	free chan *lane // holds the idle lanes; engines take one with a call in hand and it comes back with the call
	all  []*lane
	wg   sync.WaitGroup
}

// lane is a goroutine and the channel by which the engine that holds it hands it a call.
type lane struct{ calls chan *flight }

// flight is a call on its way through a lane. Between the lane's two channels it belongs to the lane, otherwise to the engine's Run.
type flight struct {
	ctx      context.Context
	model    Denoiser
	call     Call
	rows     []*row
	lane     *lane
	back     chan<- *flight
	err      error
	duration time.Duration
}

// NewLanes starts n lanes.
func NewLanes(n int) *Lanes {
	l := &Lanes{free: make(chan *lane, n)}
	for range n {
		one := &lane{calls: make(chan *flight)}
		l.all = append(l.all, one)
		l.free <- one
		l.wg.Go(one.run)
	}
	return l
}

// Count returns the number of lanes.
func (l *Lanes) Count() int { return len(l.all) }

// Close ends the lanes. Every engine's Run must have returned.
func (l *Lanes) Close() {
	for _, one := range l.all {
		close(one.calls)
	}
	l.wg.Wait()
}

// run is the lane's goroutine; it ends when Close closes calls.
func (l *lane) run() {
	for f := range l.calls {
		start := time.Now()
		f.err = denoise(f)
		f.duration = time.Since(start)
		f.back <- f
	}
}

// denoise contains a panic in the model: it fails the call, not the process.
func denoise(f *flight) (err error) {
	defer recovered(&err, "denoising")
	return f.model.Denoise(f.ctx, &f.call)
}

// recovered turns a panic into an error of type panic, with its stack.
func recovered(err *error, doing string) {
	if p := recover(); p != nil {
		*err = &Error{Type: "panic", Err: fmt.Errorf("%s: panic: %v", doing, p), Stack: debug.Stack()}
	}
}
