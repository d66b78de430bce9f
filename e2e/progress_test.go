package e2e_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// progress is what workers announce of running jobs.
type progress struct {
	BatchID string `json:"batch_id"`
	Index   int    `json:"index"`
	Worker  string `json:"worker"`
	Step    int    `json:"step"`
	Steps   int    `json:"steps"`

	heard time.Time
}

// listener hears the progress of a batch from the moment it is made.
type listener struct {
	w     *world
	batch string

	mu    sync.Mutex
	heard []progress
}

func (w *world) listen(batch string) *listener {
	w.t.Helper()
	l := &listener{w: w, batch: batch}
	sub, err := w.nc.Subscribe(w.subject("progress", batch, "*"), func(m *nats.Msg) {
		p := progress{heard: time.Now()}
		if err := json.Unmarshal(m.Data, &p); err != nil {
			w.t.Errorf("progress %q: %v", m.Data, err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.heard = append(l.heard, p)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { sub.Unsubscribe() })
	if err := w.nc.Flush(); err != nil {
		w.t.Fatal(err)
	}
	return l
}

// await waits until a worker is at work on a job, "" for any worker and -1 for any job, and returns what was heard first.
func (l *listener) await(worker string, index int, within time.Duration) progress {
	l.w.t.Helper()
	var found progress
	eventually(l.w.t, within, func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range l.heard {
			if (worker == "" || p.Worker == worker) && (index < 0 || p.Index == index) {
				found = p
				return ""
			}
		}
		return fmt.Sprintf("no progress of job %d of %s by worker %q", index, l.batch, worker)
	})
	return found
}

// awaitMore waits for progress of any job that comes from now on.
func (l *listener) awaitMore(within time.Duration) {
	l.w.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.heard)
	}
	before := count()
	eventually(l.w.t, within, func() string {
		if count() == before {
			return "no progress of " + l.batch
		}
		return ""
	})
}

// awaitHeld waits until n messages are in the hands of workers.
func (w *world) awaitHeld(priority string, n int) {
	w.t.Helper()
	eventually(w.t, 20*time.Second, func() string {
		if held := w.consumer(priority, "sd15").NumAckPending; held != n {
			return fmt.Sprintf("%d jobs are in the hands of workers, want %d", held, n)
		}
		return ""
	})
}
