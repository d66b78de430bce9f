package page

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/local/natsd"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/web"
)

// TestFresh holds that a broker on which nothing was made yet has nothing, and that this is told.
func TestFresh(t *testing.T) {
	broker, err := natsd.Start(natsd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { must(t, broker.Stop()) })
	w := &world{t: t, System: New(Config{Queue: queue.Config{URL: broker.URL()}})}
	w.pace = pace{assemble: 20 * time.Millisecond, check: 100 * time.Millisecond, poll: 100 * time.Millisecond, strand: time.Second, store: time.Second}
	w.run(w.System)
	w.until("a queue that is new", says("the queue is new"))
	for name, q := range map[string]web.ImageQuery{"newest": {Order: web.Newest, Limit: 10}, "by index": {Batch: "b", Order: web.ByIndex, Limit: 10}, "recorded": {Batch: "b", Limit: 10}} {
		if p, err := w.Images(t.Context(), q); err != nil || len(p.Images) != 0 || p.Next != "" {
			t.Errorf("images, %s: %+v, %v", name, p, err)
		}
	}
	if l, err := w.Dead(t.Context(), 0, 10); err != nil || l.Count != 0 {
		t.Errorf("letters: %+v, %v", l, err)
	}
	for name, ask := range map[string]func() error{
		"batch":  func() error { _, err := w.Batch(t.Context(), "b"); return err },
		"job":    func() error { _, err := w.Job(t.Context(), "b", 1); return err },
		"cancel": func() error { _, err := (Controls{w.System}).Cancel(t.Context(), "b", -1); return err },
	} {
		if err := ask(); statusOf(t, err) != http.StatusNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An order makes what is missing, and asks for a worker.
	if _, err := (Orders{System: w.System}).Submit(t.Context(), order("b")); statusOf(t, err) != http.StatusBadRequest || !strings.Contains(err.Error(), "start one") {
		t.Errorf("order: %v", err)
	}
	w.until("a queue that is set up", func(st *web.State) bool { return len(st.Problems) == 0 })
}
