package page

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// TestJobThatIsPutBack holds that a job that has failed and is back in the queue is one that waits: it is not put back once
// more, and can be cancelled.
func TestJobThatIsPutBack(t *testing.T) {
	w := newWorld(t)
	orders, controls := Orders{System: w.System}, Controls{w.System}
	w.until("the model", func(st *web.State) bool { return len(st.Models) == 1 })
	if _, err := orders.Submit(t.Context(), web.Order{Batch: "monday", Jobs: []json.RawMessage{[]byte(`{"prompt":"a cat"}`)}}); err != nil {
		t.Fatal(err)
	}
	w.work(1, func(queue.Job) bool { return true })
	if _, err := controls.Cancel(t.Context(), "monday", 0); statusOf(t, err) != http.StatusConflict || !strings.Contains(err.Error(), "failed already") {
		t.Errorf("cancelling a job that has failed: %v", err)
	}
	if n, err := orders.Retry(t.Context(), "monday", 0, web.RetryFailed); err != nil || n != 1 {
		t.Fatalf("put back %d, %v", n, err)
	}
	if n, err := orders.Retry(t.Context(), "monday", 0, web.RetryFailed); err != nil || n != 0 {
		t.Errorf("put back %d once more, %v", n, err)
	}
	if _, err := orders.Retry(t.Context(), "monday", -1, web.RetryFailed); statusOf(t, err) != http.StatusConflict || !strings.Contains(err.Error(), "back in the queue") {
		t.Errorf("putting all back once more: %v", err)
	}
	if n, err := controls.Cancel(t.Context(), "monday", 0); err != nil || n != 1 {
		t.Errorf("cancelled %d, %v", n, err)
	}
	if cancelled, err := w.client.Cancelled(t.Context(), "monday", 0); err != nil || !cancelled {
		t.Errorf("cancelled: %t, %v", cancelled, err)
	}
}

// TestServing holds that a job is not said to have workers that are gone.
func TestServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		s.facts.steady = time.Now()
		s.facts.heard(queue.Status{Worker: "rembrandt", Models: []string{"m"}}, time.Now())
		for _, want := range []int{1, 0} {
			s.assemble(time.Now())
			if all, err := s.serving(t.Context(), nil); err != nil || len(all) != want {
				t.Errorf("%d workers serve, %v, want %d", len(all), err, want)
			}
			time.Sleep(2 * silent)
		}
	})
}
