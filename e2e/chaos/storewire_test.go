package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// shelf is a store that remembers what it was sent.
type shelf struct {
	mu   sync.Mutex
	seen []string // method, host, path, body
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // cut off: nothing is stored
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, strings.Join([]string{r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("If-None-Match"), string(body)}, " "))
	w.Header().Set("ETag", "tag")
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, "answer")
}

func (s *shelf) stored() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// TestTheWayToTheStore: a request arrives as it was sent, and its answer too; what a fault does, the worker sees.
func TestTheWayToTheStore(t *testing.T) {
	const image, probe = "/images/b/00000000-0123456789abcdef.png?x=a%2Fb", "/images/.probe/x"
	for _, tt := range []struct {
		name   string
		trap   func(*edges, *storeMood) *trap
		path   string
		status int // that the worker sees; 0 for none
		stored bool
	}{
		{"pass", nil, image, 201, true},
		{"cut in the middle", lays(edgePut, storeReset), image, 0, false},
		{"answer cut", lays(edgeStored, storeReset), image, 0, true},
		{"killed before", lays(edgePut, killPut), image, 0, false},
		{"killed after", lays(edgeStored, killStored), image, 0, true},
		{"not of a probe", lays(edgePut, killPut), probe, 201, true},
		{"checkpoint", lays(edgeSaving, killSaving), "/images/.checkpoints/b/0-0123456789abcdef", 0, false},
		{"busy", func(_ *edges, m *storeMood) *trap { m.busy.Add(1); return nil }, image, 503, false},
		{"hole", func(_ *edges, m *storeMood) *trap { m.hole.Add(1); return nil }, image, 0, false},
	} {
		store := &shelf{}
		server := httptest.NewServer(store)
		e, w, mood := newEdges(), sleeper(t), &storeMood{}
		wire, err := newStoreWire(strings.TrimPrefix(server.URL, "http://"), w, e, mood, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var laid *trap
		if tt.trap != nil {
			laid = tt.trap(e, mood)
		}
		status, body := put(t, wire.endpoint()+tt.path)
		if status != tt.status || status == 201 && body != "answer tag" {
			t.Errorf("%s: the worker sees %d %q, want %d", tt.name, status, body, tt.status)
		}
		var want []string
		if tt.stored {
			want = []string{"PUT " + strings.TrimPrefix(wire.endpoint(), "http://") + " " + tt.path + " * picture"}
		}
		if got := store.stored(); !slices.Equal(got, want) {
			t.Errorf("%s: the store got %q, want %q", tt.name, got, want)
		}
		put(t, wire.endpoint()+tt.path)
		if twice := mood.overwritten(); len(twice) != 0 != (tt.stored && tt.path == image) {
			t.Errorf("%s: stored twice: %q", tt.name, twice)
		}
		if laid != nil && tt.status == 0 {
			<-laid.sprung
			if killed := laid.fault.Kind == killPut || laid.fault.Kind == killStored; killed {
				awaitDeath(t, w.current())
			}
		}
		if err := wire.stop(); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

func lays(at edge, k kind) func(*edges, *storeMood) *trap {
	return func(e *edges, _ *storeMood) *trap { return e.lay(at, fault{Kind: k}, nil) }
}

// put sends a picture and returns the status, 0 where there is no answer, and what else came.
func put(t *testing.T, url string) (status int, answer string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader([]byte("picture")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("If-None-Match", "*")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(body) + " " + resp.Header.Get("ETag")
}

// TestAFrozenWorkersPut arrives when the worker is awake again.
func TestAFrozenWorkersPut(t *testing.T) {
	store := &shelf{}
	server := httptest.NewServer(store)
	defer server.Close()
	e, w := newEdges(), sleeper(t)
	wire, err := newStoreWire(strings.TrimPrefix(server.URL, "http://"), w, e, &storeMood{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer wire.stop()
	trap := e.lay(edgePut, fault{Kind: freeze, For: 50 * time.Millisecond}, nil)
	begin := time.Now()
	if status, _ := put(t, wire.endpoint()+"/images/b/00000000-a.png"); status != 201 {
		t.Errorf("status %d", status)
	}
	<-trap.sprung
	if took := time.Since(begin); took < 50*time.Millisecond || len(store.stored()) != 1 || !w.current().running() {
		t.Errorf("after %v the store has %q, and the worker runs: %v", took, store.stored(), w.current().running())
	}
}
