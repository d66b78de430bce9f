package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stipple-ai/stipple/internal/web"
)

// wire is the client's end of a stream of events: it takes what is written, and forgets deadlines.
type wire struct {
	*httptest.ResponseRecorder

	mu      sync.Mutex
	flushed int
}

func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ResponseRecorder.Write(p)
}

func (w *wire) Flush()                           { w.mu.Lock(); defer w.mu.Unlock(); w.flushed = w.Body.Len() }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// sent is what was flushed since the last call: events, each as its name and its data, or the ids of its images.
func (w *wire) sent(t *testing.T) []string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	text := w.Body.Next(w.flushed)
	w.flushed = 0
	var all []string
	name := ""
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "event":
			name = value
		case "data":
			if !json.Valid([]byte(value)) {
				t.Errorf("event %s carries no JSON: %s", name, value)
			}
			var d struct {
				Images []web.Image `json:"images"`
				Missed bool        `json:"missed"`
				Count  int64       `json:"count"`
			}
			if err := json.Unmarshal([]byte(value), &d); err != nil {
				t.Error(err)
			}
			detail := ""
			switch name {
			case "image":
				detail = fmt.Sprintf(" %d", len(d.Images))
				if d.Missed {
					detail += " missed"
				}
			case "dead":
				detail = fmt.Sprintf(" %d", d.Count)
			}
			all = append(all, name+detail)
		}
	}
	return all
}

// listen opens a stream in a goroutine, which ends with stop.
func listen(t *testing.T, w *world, last string) (client *wire, stop func()) {
	t.Helper()
	handler := must(web.New(w.config())).Handler()
	ctx, cancel := context.WithCancel(t.Context())
	client = &wire{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest(http.MethodGet, "http://localhost/api/events", nil).WithContext(ctx)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	done := make(chan struct{})
	go func() { // ended by stop
		defer close(done)
		handler.ServeHTTP(client, r)
	}()
	return client, func() {
		cancel()
		<-done
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.land("monday", 3)
		client, stop := listen(t, w, "")
		defer stop()
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if diff := cmp.Diff(want, client.sent(t)); diff != "" {
				t.Errorf("after %v (-want +got):\n%s", after, diff)
			}
		}
		expect(0, "ping", "state", "dead 0") // and no image: these were there before
		// A burst is one event.
		for range 10 {
			w.land("monday", 1)
			time.Sleep(10 * time.Millisecond)
		}
		expect(300*time.Millisecond, "image 10")
		// However often the state changes, it is told once a second.
		for i := range 10 {
			w.tell(func(s *web.State) { s.Dead.Count = int64(i) })
			time.Sleep(10 * time.Millisecond)
		}
		expect(0)
		expect(time.Second, "state")
		w.mu.Lock()
		w.letters = []web.Letter{{ID: "1"}}
		w.wake()
		w.mu.Unlock()
		expect(time.Second, "dead 1")
		// Many images come in events of a bounded size.
		w.land("monday", 450)
		expect(time.Second, "image 200", "image 200", "image 50")
		client.sent(t)
		expect(20*time.Second, "ping", "ping", "ping", "ping")
	})
}

// TestEventsGoOn holds that a client that comes back gets what it missed.
func TestEventsGoOn(t *testing.T) {
	for last, want := range map[string][]string{
		"":                     {"ping", "state", "dead 0"},
		"0":                    {"ping", "state", "image 5", "dead 0"},
		"3":                    {"ping", "state", "image 2", "dead 0"},
		"5":                    {"ping", "state", "dead 0"},
		"18446744073709551615": {"ping", "state", "dead 0"}, // of another queue
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.land("monday", 5)
			client, stop := listen(t, w, last)
			defer stop()
			synctest.Wait()
			if h := client.Header().Get("Content-Type"); h != "text/event-stream" {
				t.Errorf("content type %s", h)
			}
			if diff := cmp.Diff(want, client.sent(t)); diff != "" {
				t.Errorf("after %q (-want +got):\n%s", last, diff)
			}
		})
	}
}

// TestWatchers holds that there is a bound to those who listen, and that those who leave make room.
func TestWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld().config()
		c.Watchers = 1
		server := must(web.New(c))
		open := func(ctx context.Context) (*wire, chan struct{}) {
			client, done := &wire{ResponseRecorder: httptest.NewRecorder()}, make(chan struct{})
			go func() { // ends with ctx
				defer close(done)
				server.Handler().ServeHTTP(client, httptest.NewRequest(http.MethodGet, "http://localhost/api/events", nil).WithContext(ctx))
			}()
			return client, done
		}
		ctx, stop := context.WithCancel(t.Context())
		_, first := open(ctx)
		synctest.Wait()
		refused, second := open(ctx)
		<-second
		if refused.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d for one too many", refused.Code)
		}
		stop()
		<-first
		ctx, stop = context.WithCancel(t.Context())
		taken, third := open(ctx)
		synctest.Wait()
		if taken.Code != http.StatusOK {
			t.Errorf("status %d when there is room again", taken.Code)
		}
		stop()
		<-third
	})
}
