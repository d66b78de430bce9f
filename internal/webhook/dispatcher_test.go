package webhook

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"
)

// counted waits until the counts are as wanted.
func counted(t *testing.T, d *Dispatcher, ok func(c Counts) bool) {
	t.Helper()
	eventually(t, func() string {
		if c := d.Counts(); !ok(c) {
			return fmt.Sprintf("the counts are %+v", c)
		}
		return ""
	})
}

// TestEventsAreSentUntilTheyAreTaken lets a receiver refuse in every way before it takes the event.
func TestEventsAreSentUntilTheyAreTaken(t *testing.T) {
	elsewhere := newReceiver(t, nil)
	r := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2, 3, 4:
			w.Header().Set("Location", elsewhere.URL+"/stolen")
			w.WriteHeader([]int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}[n-2])
		case 5:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case 6:
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	q := &memory{}
	q.add(Message{ID: "b/7", Batch: "b", Body: []byte(`{"index":7}`), Stored: time.Now()})
	q.add(Message{ID: "silent/1", Batch: "silent", Stored: time.Now()})
	d, _ := dispatch(t, Config{}, "127.0.0.1", q, book{"b": r.URL + "/hook?token=x"}, r)
	counted(t, d, func(c Counts) bool { return c.Delivered == 1 && c.Failed == 6 })
	got := r.events()
	if len(got) != 7 || len(elsewhere.events()) != 0 {
		t.Fatalf("%d attempts and %d redirects that were followed, want 7 and none", len(got), len(elsewhere.events()))
	}
	for i, e := range got {
		if err := Verify([]Key{key(t, 2)}, e.header, e.body, time.Now()); err != nil {
			t.Errorf("attempt %d: %v", i, err)
		}
		if e.header.Get(HeaderID) != "b/7" || string(e.body) != `{"index":7}` || e.path != "/hook?token=x" || e.header.Get("Content-Type") != "application/json" {
			t.Errorf("attempt %d is %s with %s, %v", i, e.path, e.body, e.header)
		}
	}
	eventually(t, func() string {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.settled["b/7"] != 1 || q.settled["silent/1"] != 1 || len(q.waiting) > 0 {
			return fmt.Sprintf("settled are %v, %d wait", q.settled, len(q.waiting))
		}
		return ""
	})
}

// TestGoneEndsABatch: after 410 no other event of the batch is sent, and those of others are.
func TestGoneEndsABatch(t *testing.T) {
	r := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusGone)
		}
	})
	q := &memory{}
	d, _ := dispatch(t, Config{AtOnce: 1}, "127.0.0.1", q, book{"gone": r.URL + "/gone", "well": r.URL + "/well"}, r)
	for i := range 5 {
		q.add(Message{ID: fmt.Sprintf("gone/%d", i), Batch: "gone", Stored: time.Now()})
		q.add(Message{ID: fmt.Sprintf("well/%d", i), Batch: "well", Stored: time.Now()})
	}
	counted(t, d, func(c Counts) bool { return c.Delivered == 5 && c.Gone == 1 })
	eventually(t, func() string {
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.settled) != 10 {
			return fmt.Sprintf("settled are %v", q.settled)
		}
		return ""
	})
	if n := len(r.events()); n != 6 {
		t.Errorf("%d requests, want one of the batch that is gone and 5 of the other", n)
	}
}

// TestAReceiverThatHangsKeepsNobodyWaiting: two hundred events wait for one that never answers, and those of another
// arrive at once.
func TestAReceiverThatHangsKeepsNobodyWaiting(t *testing.T) {
	release := make(chan struct{})
	hangs := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	well := newReceiver(t, nil)
	q := &memory{}
	for i := range 200 {
		q.add(Message{ID: fmt.Sprintf("hangs/%d", i), Batch: "hangs", Stored: time.Now()})
	}
	for i := range 50 {
		q.add(Message{ID: fmt.Sprintf("well/%d", i), Batch: "well", Stored: time.Now()})
	}
	begun := time.Now()
	d, stop := dispatch(t, Config{AtOnce: 8, AtOncePerHost: 3}, "127.0.0.1", q, book{"hangs": hangs.URL, "well": well.URL}, hangs)
	counted(t, d, func(c Counts) bool { return c.Delivered == 50 })
	if took := time.Since(begun); took > waitTimeout {
		t.Errorf("the receiver that answers got its events after %v: it waited for the other", took)
	}
	if n := len(hangs.events()); n > 3 {
		t.Errorf("%d requests at once at one host, want 3 at most", n)
	}
	begun = time.Now()
	stop()
	if took := time.Since(begun); took > leaveTime+3*time.Second {
		t.Errorf("leaving took %v", took)
	}
	if q.left() != 200 {
		t.Errorf("%d of the 200 events that nobody took come again", q.left())
	}
	close(release)
}

// TestAnswersAreThrownAway: a receiver that never stops talking costs nothing.
func TestAnswersAreThrownAway(t *testing.T) {
	r := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	q := &memory{}
	q.add(Message{ID: "b/0", Batch: "b", Stored: time.Now()})
	begun := time.Now()
	d, _ := dispatch(t, Config{}, "127.0.0.1", q, book{"b": r.URL}, r)
	counted(t, d, func(c Counts) bool { return c.Delivered == 1 })
	if took := time.Since(begun); took > sendTimeout/2 {
		t.Errorf("an answer without an end took %v", took)
	}
}

// TestWhatIsNotSent: what is too old is given up, and what the list refuses waits for a better one.
func TestWhatIsNotSent(t *testing.T) {
	r := newReceiver(t, nil)
	q := &memory{}
	q.add(Message{ID: "old/0", Batch: "old", Stored: time.Now().Add(-time.Hour)})
	q.add(Message{ID: "elsewhere/0", Batch: "elsewhere", Stored: time.Now()})
	q.add(Message{ID: "plain/0", Batch: "plain", Stored: time.Now()})
	urls := book{"old": r.URL, "elsewhere": "https://hooks.example.org/", "plain": strings.Replace(r.URL, "https", "http", 1)}
	d, stop := dispatch(t, Config{MaxAge: 30 * time.Minute}, "127.0.0.1", q, urls, r)
	counted(t, d, func(c Counts) bool { return c.Expired == 1 && c.Refused > 2 })
	stop()
	if q.settled["old/0"] != 1 || len(q.settled) != 1 || q.left() != 2 {
		t.Errorf("settled are %v, and %d wait", q.settled, q.left())
	}
	if n := len(r.events()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// failing is a queue and a book that break.
type failing struct{ err error }

// Pull implements Queue.
func (f failing) Pull(context.Context, int) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) { yield(Message{}, f.err) }
}

// Webhook implements Book.
func (f failing) Webhook(context.Context, string) (string, error) { return "", f.err }

func TestRunEndsWithTheQueue(t *testing.T) {
	policy, err := ParsePolicy("127.0.0.1", false)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no such stream")
	d, err := NewDispatcher(Config{Keys: []Key{key(t, 1)}, Policy: policy}, failing{broken}, failing{broken})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("Run: %v, want the queue's error", err)
	}
	// A batch that cannot be looked up is asked for again.
	again := time.Duration(-1)
	d.receive(t.Context(), Message{ID: "b/0", Batch: "b", Stored: time.Now(), Again: func(delay time.Duration) { again = delay }, Done: func() { t.Error("the event is lost") }})
	if again <= 0 {
		t.Error("the event does not come again")
	}
	if _, err := NewDispatcher(Config{Policy: policy}, failing{}, failing{}); err == nil {
		t.Error("a dispatcher without keys")
	}
	if _, err := NewDispatcher(Config{Keys: []Key{key(t, 1)}}, failing{}, failing{}); err == nil {
		t.Error("a dispatcher that may reach nobody")
	}
}

func TestDelaysGrow(t *testing.T) {
	d := &Dispatcher{config: Config{}.withDefaults()}
	for _, tt := range []struct {
		deliveries int
		age        time.Duration
		most       time.Duration
	}{
		{0, 0, 5 * time.Second}, {1, 0, 5 * time.Second}, {2, time.Hour, 10 * time.Second}, {5, time.Hour, 80 * time.Second},
		{30, time.Minute, time.Minute}, {30, 24 * time.Hour, time.Hour}, {1 << 40, 24 * time.Hour, time.Hour},
	} {
		for range 20 {
			got := d.delay(Message{Deliveries: tt.deliveries, Stored: time.Now().Add(-tt.age)})
			if got > tt.most+time.Second || got < tt.most*2/3-time.Second {
				t.Errorf("delivery %d of a result that is %v old: %v, want up to a third less than %v", tt.deliveries, tt.age, got, tt.most)
			}
		}
	}
}
