package infer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// suspect reports whether the device may be broken: two samples in a row failed alone. That may be bad luck (a size that the model cannot do, met twice), so
// a call that is known to be good decides. No other call starts before its answer, or it might take more samples with it.
func (l *loop) suspect() bool { return l.failures >= 2 }

// doubt tells Run of a text encoding or a decoding that failed, unless it was told to stop. Of a GPU that is lost every call fails, and new samples get no farther
// than their text.
func (e *Engine) doubt(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	select {
	case e.doubts <- struct{}{}:
	default: // Run has not come to the one before; or it has ended
	}
}

// judge takes the probe's answer. A call that succeeded while the probe was in its lane speaks for the device, too.
func (l *loop) judge(err error) {
	l.probing = false
	switch {
	case err == nil:
		l.failures = 0
		l.cfg.Logger.Info("the call succeeded: the device is sound")
	case l.suspect():
		l.breakDown(fmt.Errorf("two samples in a row failed alone, and so did a call of noise at the model's own size: %w: %w", err, ErrBroken))
	default:
		l.cfg.Logger.Warn("the call failed, but others succeeded meanwhile", slog.Any("error", err))
	}
}

// breakDown notes that the device is broken, and tells whoever wants to know at once.
func (l *loop) breakDown(err error) {
	if l.broken != nil {
		l.broken = fmt.Errorf("%w; and %w", l.broken, err)
		return
	}
	l.broken = err
	if l.cfg.OnBroken != nil {
		l.cfg.OnBroken(err)
	}
}

// abandon ends every sample: those with no row in a lane at once, the others when the calls under way, which were told to stop, have come back. A step that is
// done by then counts. Once a call hangs, abandon waits for none.
func (l *loop) abandon(ctx context.Context) {
	l.endAll(ErrStopped.Type, func(s *sample) bool { return s.riding == 0 })
	for len(l.flights) > 0 && !errors.Is(l.broken, ErrHung) {
		select {
		case f := <-l.back:
			l.land(ctx, f)
			l.endAll(ErrStopped.Type, func(s *sample) bool { return s.riding == 0 })
		case <-l.dog.life.Done():
			l.breakDown(l.dog.why())
		}
	}
	for _, f := range l.flights {
		if time.Since(f.began) >= l.dog.limit {
			l.endAll("timeout", f.carries)
		}
	}
	l.endAll(ErrStopped.Type, func(*sample) bool { return true })
}

// endAll ends the samples that are meant, with an error of that type and the reason why Run ends.
func (l *loop) endAll(typ string, meant func(*sample) bool) {
	why := ErrStopped
	if l.broken != nil {
		why = &Error{Type: typ, Err: l.broken}
	}
	for _, s := range slices.Clone(l.samples) {
		if meant(s) {
			l.end(s, why)
		}
	}
}
