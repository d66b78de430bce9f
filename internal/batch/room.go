package batch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// The waits for room in the queue double between these; a random half is taken off each, so that several
// commands do not come back together.
const (
	fullWaitMin = 250 * time.Millisecond
	fullWaitMax = 10 * time.Second
)

// whenRoom publishes as soon as the queue has room. onFull, unless it is nil, hears of each wait.
func whenRoom(ctx context.Context, onFull func(wait time.Duration), publish func() error) error {
	for wait := fullWaitMin; ; wait = min(2*wait, fullWaitMax) {
		err := publish()
		if !errors.Is(err, queue.ErrQueueFull) {
			return err
		}
		pause := wait - rand.N(wait/2)
		if onFull != nil {
			onFull(pause)
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
	}
}
