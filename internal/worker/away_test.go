package worker

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestStorageAway: jobs wait with their pictures, at most one a slot, none fails, and none is drawn twice.
func TestStorageAway(t *testing.T) {
	const slots, jobs = 3, 8
	r := startWorker(t, func(c *Config) { c.Slots = slots })
	r.publish(quick("b", 0))
	r.result("b", 0)
	if err := shared.store.Suspend(); err != nil {
		t.Fatal(err)
	}
	resume := func() {
		if err := shared.store.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	defer resume()
	for i := int64(1); i < jobs; i++ {
		r.publish(quick("b", i))
	}
	r.awaitLog("nothing more is fetched meanwhile")
	r.awaitHeld(slots)
	time.Sleep(2 * time.Second) // a lease: this is about nothing happening
	r.awaitHeld(slots)
	resume()
	for i := int64(1); i < jobs; i++ {
		res := r.result("b", i)
		r.checkImage(res)
		if res.Attempt != 1 {
			t.Errorf("job %d took %d attempts: it was drawn again", i, res.Attempt)
		}
	}
}

// swallow is a store that takes connections and answers nothing to the requests that are meant.
func swallow(t *testing.T, meant func(*http.Request) bool) (endpoint string) {
	return proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !meant(r) {
			pass.ServeHTTP(w, r)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err == nil { // a server does not look for the client's end before
			<-r.Context().Done() // the client has given up
		}
	})
}

// blackHole is a store that, while it is asked to, swallows everything that has to do with images.
func blackHole(t *testing.T) (endpoint string, silent *atomic.Bool) {
	silent = &atomic.Bool{}
	return swallow(t, func(r *http.Request) bool {
		return silent.Load() && strings.HasPrefix(r.URL.Path, "/"+bucket+"/"+prefix(t)+"/b/")
	}), silent
}

// TestAStoreThatSwallowsRequests hangs nothing: each try has its time, the worker says so, and goes on when it is answered again.
func TestAStoreThatSwallowsRequests(t *testing.T) {
	endpoint, silent := blackHole(t)
	r := startWorker(t, func(c *Config) {
		c.Store.Endpoint, c.Store.AttemptTimeout, c.Store.MaxAttempts, c.HTTPAddr = endpoint, 200*time.Millisecond, 2, "127.0.0.1:0"
	})
	silent.Store(true)
	r.publish(quick("b", 0))
	r.awaitLog("waiting for a service that is away")
	if body := r.get("/readyz"); !strings.Contains(body, "no answer within") {
		t.Errorf("/readyz says %s", body)
	}
	silent.Store(false)
	res := r.result("b", 0)
	r.checkImage(res)
	if res.Attempt != 1 {
		t.Errorf("it took %d attempts", res.Attempt)
	}
}

// TestLeavingWhileServicesAreAway: nothing that does not answer holds a worker up.
func TestLeavingWhileServicesAreAway(t *testing.T) {
	for _, c := range []struct {
		name  string
		away  func(silent *atomic.Bool)
		back  func() error
		until string // the log says, before the worker is told to leave
	}{
		{"a store that swallows requests, at the first try", func(s *atomic.Bool) { s.Store(true) }, nil, ""},
		{"the broker", func(*atomic.Bool) { shared.broker.Suspend() }, shared.broker.Resume, "waiting for the broker"},
		{"the broker, at the record", func(*atomic.Bool) { shared.broker.Suspend() }, shared.broker.Resume, "waiting for a service that is away"},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpoint, silent := blackHole(t)
			var m *hanging
			r := startWorker(t, func(c *Config) {
				m = hang(t, c)
				c.Store.Endpoint, c.DrainTimeout, c.FlushTimeout, c.askTime = endpoint, time.Second, 500*time.Millisecond, 300*time.Millisecond
			})
			r.awaitReady()
			m.from.Store(true)
			job := quick("b", 0)
			job.NumInferenceSteps = new(500)
			r.publish(job)
			<-m.hung // so that it is not done before the service is away
			c.away(silent)
			m.release()
			if c.until != "" {
				r.awaitLog(c.until)
			}
			begin := time.Now()
			if err := r.stop(); err != nil {
				t.Errorf("Run returned %v", err)
			}
			if took := time.Since(begin); took > 2*time.Second+slack {
				t.Errorf("leaving took %v, want DRAIN_TIMEOUT + FLUSH_TIMEOUT + 0.5 s at most", took)
			}
			if c.back != nil {
				if err := c.back(); err != nil {
					t.Fatal(err)
				}
			}
			next := startWorker(t, nil)
			if res := next.result("b", 0); res.Status != queue.Succeeded {
				t.Errorf("got %+v, %+v", res, res.Error)
			}
		})
	}
}
