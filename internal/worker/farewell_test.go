package worker

import (
	"context"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestFarewell: a worker that leaves at once, between two of its announcements, says so all the same; its silence is not
// taken for a death.
func TestFarewell(t *testing.T) {
	r := startWorker(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	words, err := r.client.WatchStatus(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	var last queue.Status
	for s := range words {
		if last.Worker == "" { // the next would come in 2 s
			go func() { stopped <- r.stop() }()
		}
		if last = s; s.State == queue.WorkerDraining {
			break
		}
	}
	if last.State != queue.WorkerDraining || last.Provider != "cpu" || last.MaxRows == 0 || last.Lanes == 0 || last.Started.IsZero() || last.Device != "" {
		t.Errorf("the last word: %+v", last)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
