package infer

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Lanes are the goroutines that call models, shared by all engines of a process: a CPU wants a lane for each core and one row a call, a GPU one lane of
// many rows. Make them with [NewLanes] and end them with Close.
type Lanes struct {
	free chan *lane // holds the idle lanes; who takes one hands it work and puts it back
	all  []*lane
	wg   sync.WaitGroup
}

// lane is a goroutine, and the channel by which the one that holds it hands it a call of a model.
type lane struct{ work chan func() }

// NewLanes starts n lanes.
func NewLanes(n int) *Lanes {
	l := &Lanes{free: make(chan *lane, n)}
	for range n {
		one := &lane{work: make(chan func())}
		l.all = append(l.all, one)
		l.free <- one
		l.wg.Go(one.run)
	}
	return l
}

// Count returns the number of lanes.
func (l *Lanes) Count() int { return len(l.all) }

// Close ends the lanes. Every engine's Run, and every Generate, must have returned. It waits for the calls in them, so after [ErrHung] it may never return.
func (l *Lanes) Close() {
	for _, one := range l.all {
		close(one.work)
	}
	l.wg.Wait()
}

// run is the lane's goroutine; it ends when Close closes work. It stays on one thread, so that what native code keeps for a thread (caches, the allocator's
// arena) is made once a lane.
func (l *lane) run() {
	runtime.LockOSThread()
	for f := range l.work {
		f()
	}
}

// flight is a call on its way through a lane. While it flies it belongs to the lane, otherwise to the engine's Run.
type flight struct {
	lane     *lane
	rows     []*row // nil for a probe
	call     Call
	denoise  func(context.Context) error // makes the call
	began    time.Time
	err      error
	sound    bool // the call succeeded, and gave numbers for one row at least
	duration time.Duration
}

// errNoNumbers is of a call that succeeded, and gave nothing that is of any use.
var errNoNumbers = errors.New("the UNet gives NaN or infinite values for every row")

// fly makes the call and sends the flight back.
func (f *flight) fly(ctx context.Context, dog watchdog, back chan<- *flight) {
	returned := dog.watch("a UNet call")
	start := time.Now()
	f.err = f.contained(ctx)
	returned()
	f.duration = time.Since(start)
	f.sound = f.err == nil && (f.rows == nil || slices.ContainsFunc(f.call.Rows, func(r Row) bool { return finite(r.Out) }))
	if f.err == nil && !f.sound && len(f.rows) > 1 {
		f.err = errNoNumbers // one by one, so that of a crowd on a broken device two are lost
	}
	back <- f
}

// carries reports whether a row of s rides in f.
func (f *flight) carries(s *sample) bool {
	return slices.ContainsFunc(f.rows, func(r *row) bool { return r.sample == s })
}

// samples are those whose rows ride in f.
func (f *flight) samples() []*sample {
	var all []*sample
	for i, r := range f.rows {
		if i == 0 || f.rows[i-1].sample != r.sample { // the rows of a sample stand together
			all = append(all, r.sample)
		}
	}
	return all
}

// contained contains a panic in the model: it fails the call, not the process.
func (f *flight) contained(ctx context.Context) (err error) {
	defer recovered(&err, "denoising")
	return f.denoise(ctx)
}

// room is where text encoders and decoders run: in a lane, so that no more calls run than there are cores, or beside the lanes, which a GPU can use.
// do waits for a place, runs f there, and returns when f has; the error is ctx's, when it ended before.
type room interface {
	do(ctx context.Context, f func()) error
}

func (l *Lanes) do(ctx context.Context, f func()) error {
	select {
	case one := <-l.free:
		done := make(chan struct{})
		one.work <- func() {
			defer close(done)
			f()
		}
		<-done
		l.free <- one
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// places is a room of its own: a token for each call at once, which runs in the caller's goroutine.
type places chan struct{}

func (p places) do(ctx context.Context, f func()) error {
	select {
	case p <- struct{}{}:
		defer func() { <-p }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roomFor returns n places beside the lanes, or the lanes themselves for 0.
func roomFor(n int, lanes *Lanes) room {
	if n > 0 {
		return make(places, n)
	}
	return lanes
}

// recovered turns a panic into an error of type panic, with its stack.
func recovered(err *error, doing string) {
	if p := recover(); p != nil {
		*err = &Error{Type: "panic", Err: fmt.Errorf("%s: panic: %v", doing, p), Stack: debug.Stack()}
	}
}
