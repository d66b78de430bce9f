package worker

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// isImage tells requests for the images of batch b from all others.
func isImage(t *testing.T, method string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && strings.HasPrefix(r.URL.Path, "/"+bucket+"/"+prefix(t)+"/b/")
	}
}

// TestAStoreThatIsTooBusy, for longer than a lease: pictures are held and not drawn again, nothing more is fetched, no lease is lost, and no job fails.
func TestAStoreThatIsTooBusy(t *testing.T) {
	const slots, jobs = 3, 6
	var busy atomic.Bool
	put := isImage(t, http.MethodPut)
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if busy.Load() && put(r) {
			http.Error(w, `<Error><Code>SlowDown</Code><Message>reduce your request rate</Message></Error>`, http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	})
	var m counting
	w := startWorker(t, func(c *Config) {
		c.Slots, c.wrap, c.Store.Endpoint, c.Store.MaxBackoff = slots, count(&m), endpoint, 100*time.Millisecond
	})
	busy.Store(true)
	for i := range int64(jobs) {
		w.publish(quick("b", i))
	}
	w.awaitLog("waiting for a service that is away")
	w.awaitHeld(slots)
	time.Sleep(2500 * time.Millisecond) // more than a lease: this is about nothing happening
	w.awaitHeld(slots)
	busy.Store(false)
	rows := 0
	for i := range int64(jobs) {
		res := w.result("b", i)
		w.checkImage(res)
		if res.Attempt != 1 {
			t.Errorf("job %d took attempt %d", i, res.Attempt)
		}
		rows += 2 * 3 // pndm makes three calls of two steps, each for both rows
	}
	if got := m.rows.Load(); got != int64(rows) {
		t.Errorf("%d rows were drawn for %d pictures, want %d", got, jobs, rows)
	}
	w.awaitHeld(0)
	if dead := w.deadLetters("b"); dead > 0 {
		t.Errorf("%d dead letters", dead)
	}
}

// TestAnAnswerThatWasLost: the picture was stored, and the store said otherwise. The next try finds it, and it is this attempt's.
func TestAnAnswerThatWasLost(t *testing.T) {
	var puts atomic.Int32
	put := isImage(t, http.MethodPut)
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if put(r) && puts.Add(1) == 1 {
			pass.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		pass.ServeHTTP(w, r)
	})
	w := startWorker(t, func(c *Config) { c.Store.Endpoint, c.HTTPAddr = endpoint, "127.0.0.1:0" })
	w.publish(quick("b", 0))
	res := w.result("b", 0)
	w.checkImage(res)
	if res.Attempt != 1 || res.Worker != prefix(t) || res.Timings.Upload == 0 || puts.Load() != 2 {
		t.Errorf("got %+v, %+v after %d tries; want this attempt's own", res, res.Timings, puts.Load())
	}
	if got := w.metric(`worker_images_total{`); got != "1.0" {
		t.Errorf("%s images are counted, want 1", got)
	}
}

// TestAStoreThatIsSlow: a worker is ready as soon as it has found out what the store can do, however long its requests take together.
func TestAStoreThatIsSlow(t *testing.T) {
	const look = 500 * time.Millisecond
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		time.Sleep(look / 2)
		pass.ServeHTTP(w, r)
	})
	w := startWorker(t, func(c *Config) { c.Store.Endpoint, c.storeTime = endpoint, look })
	w.publish(quick("b", 0))
	w.checkImage(w.result("b", 0))
}

// TestAStoreWithoutConditions: it is found out at the start and said, and an image that is there is not put again.
func TestAStoreWithoutConditions(t *testing.T) {
	var puts atomic.Int32
	put := isImage(t, http.MethodPut)
	endpoint := proxy(t, func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		if put(r) {
			puts.Add(1)
		}
		pass.ServeHTTP(w, r)
	})
	r := connect(t)
	there := quick("b", 0)
	r.storeImage(there)
	w := startWorker(t, func(c *Config) { c.Store.Endpoint = endpoint })
	w.publish(there, quick("b", 1))
	if res := w.result("b", 0); res.Status != queue.Succeeded || res.Worker != "the first" {
		t.Errorf("got %+v, want the image that was there", res)
	}
	w.checkImage(w.result("b", 1))
	if n := puts.Load(); n != 1 {
		t.Errorf("%d images were put, want that of the other job", n)
	}
	if log := w.log.String(); !strings.Contains(log, "If-None-Match") {
		t.Errorf("nothing is said of it:\n%s", log)
	}
}
