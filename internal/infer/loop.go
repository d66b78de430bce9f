package infer

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// loop is the state of Run; only its goroutine touches it.
type loop struct {
	*Engine
	samples  []*sample
	seq      uint64
	flights  []*flight // calls in lanes
	calls    int64
	failures int  // samples that failed alone, in whatever part, since the last UNet call that succeeded with numbers
	probing  bool // a probe is in a lane
	fits     fits
	broken   error        // why the device is taken for broken
	back     chan *flight // lanes → Run
}

func (l *loop) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	for ctx.Err() == nil && l.broken == nil {
		var free <-chan *lane
		if l.wantsLane() {
			free = l.lanes.free
		}
		select {
		case s := <-l.door:
			l.join(s)
		case s := <-l.leave:
			s.leaving = true
			l.endIfLeaving(s)
		case <-l.doubts:
			l.failures++
		case f := <-l.back:
			l.land(ctx, f)
		case lane := <-free:
			l.fly(ctx, lane)
		case <-l.dog.life.Done():
			l.breakDown(l.dog.why())
		case reply := <-l.state:
			reply <- l.load()
		case <-ctx.Done():
		}
	}
	cancel()
	close(l.stopped)
	l.abandon(ctx)
	return l.broken
}

func (l *loop) load() Load {
	load := Load{Samples: len(l.samples), Calls: l.calls}
	for _, s := range l.samples {
		load.Rows += s.riding
	}
	return load
}

func (l *loop) join(s *sample) {
	l.seq++
	s.seq = l.seq
	l.samples = append(l.samples, s)
}

func (l *loop) wantsLane() bool {
	if l.suspect() {
		return !l.probing
	}
	return slices.ContainsFunc(l.samples, (*sample).ready)
}

// fly sends the next rows into a lane, or the probe.
func (l *loop) fly(ctx context.Context, lane *lane) {
	f := &flight{lane: lane, began: time.Now()}
	if l.suspect() {
		l.probing = true
		f.denoise = l.runProbe
		l.cfg.Logger.Warn("two samples in a row failed alone: trying a call that is known to be good")
	} else {
		f.rows = l.fits.cut(pick(l.samples, l.cfg.MaxRows, l.info.OneSample))
		f.call = Call{Size: f.rows[0].sample.size, Rows: board(l.samples, f.rows, f.began), Pad: pad(len(f.rows), l.cfg.RowShapes)}
		f.denoise = func(ctx context.Context) error { return l.model.Denoise(ctx, &f.call) }
	}
	l.flights = append(l.flights, f)
	lane.work <- func() { f.fly(ctx, l.dog, l.back) }
}

// land takes a call back: rows, then the steps of the samples that are whole again, then the lane.
func (l *loop) land(ctx context.Context, f *flight) {
	l.flights = slices.DeleteFunc(l.flights, func(o *flight) bool { return o == f })
	switch {
	case l.broken != nil, f.err != nil && ctx.Err() != nil:
		// What a broken device gives is worth nothing, and what failed after it was told to stop says nothing of its samples, nor of the device.
		for _, r := range f.rows {
			r.sample.takeBack(r)
		}
	case f.rows == nil:
		l.judge(f.err)
	default:
		l.landRows(f)
	}
	l.lanes.free <- f.lane
}

func (l *loop) landRows(f *flight) {
	failed := f.err != nil
	if failed {
		l.cfg.Logger.Warn("a UNet call failed", slog.Int("rows", len(f.rows)), slog.Any("error", f.err))
		l.fits.failed(&f.call, f.err)
	} else {
		l.fits.succeeded(&f.call)
		l.calls++
		if f.sound {
			l.failures = 0
		}
		if l.cfg.OnCall != nil {
			l.cfg.OnCall(len(f.rows), f.call.Pad, f.duration)
		}
	}
	for _, r := range f.rows {
		r.sample.giveBack(r, len(f.rows), failed)
	}
	if s := f.rows[0].sample; failed && len(f.rows) == 1 {
		l.fail(s, classed("model_error", f.err))
		return
	}
	landed := f.samples()
	for i, err := range takeSteps(landed) {
		if err != nil && !f.sound {
			l.failures++ // a device that gives no numbers for anything would else fail a queue of jobs
		}
		l.settle(landed[i], err)
	}
}

// takeSteps takes the step of every sample whose rows are all back, all of them at once: the device waits, and one after the other it would wait for as long as a
// full call has samples. It returns what went wrong, sample by sample.
func takeSteps(samples []*sample) []error {
	errs := make([]error, len(samples))
	var steps sync.WaitGroup
	for i, s := range samples {
		switch {
		case !s.whole():
		case i < len(samples)-1:
			steps.Go(func() { errs[i] = s.advance() })
		default:
			errs[i] = s.advance()
		}
	}
	steps.Wait()
	return errs
}

// fail ends a sample whose row failed alone. A sample counts once, whatever its other row does.
func (l *loop) fail(s *sample, err error) {
	if s.failure == nil {
		s.failure, s.leaving = err, true
		l.failures++
	}
	l.endIfLeaving(s)
}

// settle moves a sample on after rows of it came back; err is of the step, if they were the last of one. A step whose rows are all there is taken even if its caller
// has gone: the state that it leaves behind has it.
func (l *loop) settle(s *sample, err error) {
	if s.riding > 0 {
		return
	}
	if s.whole() {
		if err == nil {
			err = s.turn()
		}
		if err != nil || s.finished() {
			l.end(s, err)
			return
		}
	}
	if !l.endIfLeaving(s) {
		s.settleTime(time.Now())
	}
}

func (l *loop) endIfLeaving(s *sample) bool {
	if !s.leaving || s.riding > 0 {
		return false
	}
	l.end(s, context.Canceled)
	return true
}

// end gives the sample back to its Generate. No row of it is riding, or in a call that hangs: that one goes on reading the sample's input and writing the rows'
// outputs, which nobody else looks at any more, and which the garbage collector leaves alone as long as the call has them.
func (l *loop) end(s *sample, err error) {
	i := slices.Index(l.samples, s)
	if i < 0 {
		return // its caller left just as it ended
	}
	l.samples = slices.Delete(l.samples, i, i+1)
	if s.failure != nil {
		err = s.failure
	}
	s.settleTime(time.Now())
	s.done <- err
}
