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

// room is where text encoders and decoders take a place before they call the model: either a lane, so that no more calls run than there are cores, or a
// number of places of their own beside the lanes, which a GPU can use.
type room interface {
	enter(ctx context.Context) (leave func(), err error)
}

func (l *Lanes) enter(ctx context.Context) (leave func(), err error) {
	select {
	case one := <-l.free:
		return func() { l.free <- one }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// places is a room of its own: a token for each call at once.
type places chan struct{}

func (p places) enter(ctx context.Context) (leave func(), err error) {
	select {
	case p <- struct{}{}:
		return func() { <-p }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// roomFor returns n places beside the lanes, or the lanes themselves for 0.
func roomFor(n int, lanes *Lanes) room {
	if n > 0 {
		return make(places, n)
	}
	return lanes
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
