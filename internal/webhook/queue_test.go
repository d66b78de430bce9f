package webhook

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// memory is a queue without a broker: what is given back comes again when its delay has passed.
type memory struct {
	mu      sync.Mutex
	waiting []waitingMessage
	settled map[string]int // Done by event
}

type waitingMessage struct {
	Message

	due time.Time
}

func (q *memory) add(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(m, 0)
}

// put is add for one who holds mu.
func (q *memory) put(m Message, delay time.Duration) {
	m.Deliveries++
	m.Done = func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.settled == nil {
			q.settled = map[string]int{}
		}
		q.settled[m.ID]++
	}
	m.Again = func(delay time.Duration) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.put(m, delay)
	}
	q.waiting = append(q.waiting, waitingMessage{m, time.Now().Add(delay)})
}

// Pull implements Queue.
func (q *memory) Pull(ctx context.Context, n int) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for end := time.Now().Add(50 * time.Millisecond); n > 0 && time.Now().Before(end) && ctx.Err() == nil; {
			m, ok := q.take()
			if !ok {
				time.Sleep(time.Millisecond)
				continue
			}
			if n--; !yield(m, nil) {
				return
			}
		}
	}
}

func (q *memory) take() (Message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for i, m := range q.waiting {
		if !m.due.After(now) {
			q.waiting = append(q.waiting[:i], q.waiting[i+1:]...)
			return m.Message, true
		}
	}
	return Message{}, false
}

func (q *memory) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// book is webhooks by batch.
type book map[string]string

// Webhook implements Book.
func (b book) Webhook(_ context.Context, batch string) (string, error) { return b[batch], nil }

// receiver is an HTTPS server that notes what it gets.
type receiver struct {
	*httptest.Server

	mu  sync.Mutex
	got []received
}

type received struct {
	path   string
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rec := &receiver{}
	rec.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := r.Body.Read(body); err != nil && len(body) > 0 && err.Error() != "EOF" {
			t.Errorf("reading an event: %v", err)
		}
		rec.mu.Lock()
		rec.got = append(rec.got, received{r.URL.RequestURI(), r.Header.Clone(), body})
		n := len(rec.got)
		rec.mu.Unlock()
		if answer != nil {
			answer(n, w, r)
		}
	}))
	rec.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelDebug)
	rec.StartTLS()
	t.Cleanup(rec.Close)
	return rec
}

func (r *receiver) events() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// dispatch runs a dispatcher until the test ends, or stop is called. The receivers' certificate is known to it.
func dispatch(t *testing.T, c Config, list string, q Queue, b Book, known *receiver) (d *Dispatcher, stop func()) {
	t.Helper()
	var err error
	if c.Policy, err = ParsePolicy(list, false); err != nil {
		t.Fatal(err)
	}
	c.Keys = []Key{key(t, 1), key(t, 2)}
	c.RootCAs = known.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	if c.RetryMin == 0 {
		c.RetryMin, c.RetryMax = 5*time.Millisecond, 50*time.Millisecond
		c.SpareMin, c.SpareMax = 5*time.Millisecond, 50*time.Millisecond
	}
	if d, err = NewDispatcher(c, q, b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

// eventually waits until ok says nothing.
func eventually(t *testing.T, ok func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		problem := ok()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
	}
}
