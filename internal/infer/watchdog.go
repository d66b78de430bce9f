package infer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// watchdog tells everyone of a native call that does not return. Go cannot end such a call: a device that hangs is left with its process.
type watchdog struct {
	limit time.Duration   // 0: a call may take as long as it likes
	life  context.Context //nolint:containedctx // of the device: no call hands it down, and all of them watch it
	bark  context.CancelCauseFunc
}

func newWatchdog(limit time.Duration) watchdog {
	w := watchdog{limit: limit}
	w.life, w.bark = context.WithCancelCause(context.Background())
	return w
}

// watch watches a call that begins now, until returned is called. One that takes longer than the limit ends life, and is its cause.
func (w watchdog) watch(call string) (returned func()) {
	if w.limit <= 0 {
		return func() {}
	}
	t := time.AfterFunc(w.limit, func() {
		w.bark(fmt.Errorf("%s has not returned for %v, %w", call, w.limit, ErrHung))
	})
	return func() { t.Stop() }
}

// why is the call that hangs.
func (w watchdog) why() error { return context.Cause(w.life) }

// bound returns a context that ends when ctx does, and when a call hangs: then nobody waits for a lane or a place any more.
func (w watchdog) bound(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.life, func() { cancel(&Error{Type: ErrStopped.Type, Err: w.why()}) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// explained replaces the error of a bound context that ended because a call hangs by that reason.
func explained(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) && errors.Is(cause, ErrHung) {
		return cause
	}
	return err
}

// over is r with every call in it watched.
func (w watchdog) over(r room, call string) room { return watched{r, w, call} }

type watched struct {
	room

	dog  watchdog
	call string
}

func (w watched) do(ctx context.Context, f func()) error {
	return w.room.do(ctx, func() {
		defer w.dog.watch(w.call)()
		f()
	})
}
