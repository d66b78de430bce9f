package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// storeMood is how the store seems to all workers, and what they have stored there.
type storeMood struct {
	busy atomic.Int32 // faults that have every request answered 503
	hole atomic.Int32 // faults that have none answered

	mu     sync.Mutex
	stored map[string]int // PUTs of images that the store took, by path
}

// took notes that the store has taken an image.
func (m *storeMood) took(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stored == nil {
		m.stored = map[string]int{}
	}
	m.stored[path]++
}

// overwritten are the images that were stored more than once.
func (m *storeMood) overwritten() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var paths []string
	for path, n := range m.stored {
		if n > 1 {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// storeWire is the network between one worker and the store: an HTTP proxy that knows images as they pass, so that the
// edges of jobs can be told from outside, and that can refuse, swallow and reset.
type storeWire struct {
	target string // host:port of the store
	edges  *edges
	mood   *storeMood

	listener net.Listener
	server   *http.Server
	client   *http.Transport
	served   chan struct{} // closed by the goroutine that serves, which ends with stop
}

// newStoreWire listens on a port of its own, which stays the same for all lives of the worker.
func newStoreWire(target string, w *worker, e *edges, mood *storeMood, log *slog.Logger) (*storeWire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("making a way to the store: %w", err)
	}
	s := &storeWire{
		target: target, edges: e, mood: mood, listener: l, served: make(chan struct{}),
		client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext},
	}
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, lifeKey{}, w.current())
		},
	}
	go func() {
		defer close(s.served)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving the store", slog.Any("error", err))
		}
	}()
	return s, nil
}

func (s *storeWire) endpoint() string { return "http://" + s.listener.Addr().String() }

func (s *storeWire) stop() error {
	err := s.server.Close()
	<-s.served
	s.client.CloseIdleConnections()
	return err
}

// lifeKey is the key of the life that made a connection, in the context of its requests.
type lifeKey struct{}

// ServeHTTP passes a request on and its answer back.
func (s *storeWire) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // the worker is gone
		return
	}
	switch {
	case s.mood.hole.Load() > 0: // whoever fell in is not let out again
		<-r.Context().Done()
		return
	case s.mood.busy.Load() > 0:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, slowDown) // a worker that is gone does not miss it
		return
	}
	// An image on its way is not called back when the worker is killed, as no network calls back what it carries.
	ctx := context.WithoutCancel(r.Context())
	life, known := ctx.Value(lifeKey{}).(*life)
	before, after := edgesOf(r)
	watched := known && before != ""
	var reading io.Reader = bytes.NewReader(body)
	cutting := false
	if watched {
		switch s.edges.reach(ctx, before, life) {
		case drop:
			reset(w)
			return
		case cut: // the store sees half of it
			reading, cutting = io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{}), true
		case pass:
		}
	}
	a, err := s.forward(ctx, r, reading, len(body))
	if err != nil || cutting {
		reset(w)
		return
	}
	if watched && a.status/100 == 2 {
		if after == edgeStored {
			s.mood.took(r.URL.Path)
		}
		if s.edges.reach(ctx, after, life) != pass {
			reset(w)
			return
		}
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // as above
}

// slowDown is S3's answer of a store that has too much to do.
const slowDown = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`

// edgesOf are the edges before and after a request that puts an image or a checkpoint; none of others.
func edgesOf(r *http.Request) (before, after edge) {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method != http.MethodPut || key == "":
		return "", ""
	case strings.HasPrefix(key, ".checkpoints/"):
		return edgeSaving, edgeSaved
	case strings.HasPrefix(key, "."):
		return "", ""
	}
	return edgePut, edgeStored
}

// broken is the end of a body that is cut off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the connection is cut") }

// answer is what the store says to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// forward sends a request to the store as it is, signature and all, and reads the answer.
func (s *storeWire) forward(ctx context.Context, r *http.Request, body io.Reader, size int) (answer, error) {
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://"+s.target+r.URL.RequestURI(), io.NopCloser(body))
	if err != nil {
		return answer{}, err
	}
	out.Host, out.Header, out.ContentLength = r.Host, r.Header.Clone(), int64(size)
	if size == 0 {
		out.Body = http.NoBody
	}
	resp, err := s.client.RoundTrip(out)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// reset ends the connection of a request so that the worker sees a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's own way to drop a connection
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		abort(tcp)
	}
}
