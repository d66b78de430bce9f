package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestNothingIsFetchedWhileTheGateIsShut, not even by a loop that was waiting for a slot when it was shut.
func TestNothingIsFetchedWhileTheGateIsShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{slots: newSlots(1)}
		if n, err := w.slots.take(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		intake, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.fetchLoop(intake, t.Context(), nil) }() // a fetch would panic: there is no source
		synctest.Wait()                                                // it waits for a slot
		w.gate.close("a test", errors.New("away"))
		w.slots.give(1)
		synctest.Wait()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n, err := w.slots.take(t.Context()); n != 1 || err != nil {
			t.Errorf("%d slots are free, want the one that the loop did not use (%v)", n, err)
		}
	})
}
