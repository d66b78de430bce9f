package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/web"
)

// served is a page that runs until the test ends.
type served struct {
	t      *testing.T
	url    string
	token  string
	client *http.Client
}

// serve runs enqueue serve, and checks that it ends well.
func (w *world) serve(args ...string) *served {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	at := make(chan string, 1)
	ended := make(chan ran, 1)
	go func() { // ended by the clean-up
		var found bool
		ended <- w.runWith(ctx, nil, func(written string) {
			if m := regexp.MustCompile(`(http://[0-9.:]+)`).FindStringSubmatch(written); m != nil && !found {
				found = true
				at <- m[1]
			}
		}, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	}()
	w.t.Cleanup(func() {
		stop()
		(<-ended).want(w.t, exitOK)
	})
	s := &served{t: w.t, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	select {
	case s.url = <-at:
	case r := <-ended:
		ended <- r
		w.t.Fatalf("it ended: %v", r.err)
	case <-time.After(20 * time.Second):
		w.t.Fatal("no address is told")
	}
	return s
}

// ask sends a request and decodes the answer.
func (s *served) ask(method, path, body string, into any) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && into != nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %s, %v:\n%s", method, path, resp.Status, err, data)
	}
	return resp.StatusCode
}

// until asks for the state until it is as is wants it.
func (s *served) until(what string, is func(web.State) bool) web.State {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var st web.State
		s.ask(http.MethodGet, "/api/state", "", &st)
		if is(st) {
			return st
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the page does not tell of %s: %+v", what, st)
		}
	}
}

// TestServe orders a grid on the page of a real queue, has it drawn, and hears of its pictures.
func TestServe(t *testing.T) {
	t.Parallel() // it waits for seconds
	w := newWorld(t, "m").withStore()
	s := w.serve("--write")
	st := s.until("the model", func(st web.State) bool { return len(st.Models) == 1 })
	if st.ReadOnly || len(st.Schedulers) == 0 || len(st.Problems) != 0 {
		t.Errorf("state %+v", st)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()

	var done web.Submitted
	if code := s.ask(http.MethodPost, "/api/grids", `{"job":{"prompt":"a cat"},"axes":{"x":{"field":"seed","values":[1,2,3]}},"batch":"b"}`, &done); code != http.StatusOK || done.Total != 3 || done.Batch != "b" {
		t.Fatalf("status %d: %+v", code, done)
	}
	jobs := w.jobs("b", 3)
	if seed := jobs[2].SeedOrDefault(); seed != 3 || jobs[0].Model != "m" {
		t.Errorf("job %+v", jobs[2])
	}
	w.work([]string{"m"}, nil)
	landed := map[string]bool{}
	name, lines := "", bufio.NewScanner(events.Body)
	for lines.Buffer(nil, 1<<20); len(landed) < 3 && lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		if key == "event" {
			name = value
		}
		if key != "data" || name != "image" {
			continue
		}
		var e struct {
			Images []web.Image `json:"images"`
		}
		if err := json.Unmarshal([]byte(value), &e); err != nil {
			t.Fatal(err)
		}
		for _, i := range e.Images {
			landed[i.Job] = i.Src != ""
		}
	}
	if len(landed) != 3 || !landed["b/0"] || !landed["b/1"] || !landed["b/2"] {
		t.Errorf("landed %v; %v", landed, lines.Err())
	}
	s.until("the batch", func(st web.State) bool { return len(st.Batches) == 1 && st.Batches[0].Done })
	var details web.Details
	if s.ask(http.MethodGet, "/api/jobs/b/1", "", &details); details.Result == nil || len(details.Images) != 1 {
		t.Errorf("details %+v", details)
	}
	var refused struct {
		Error string `json:"error"`
	}
	if code := s.ask(http.MethodPost, "/api/jobs", `{"model":"other"}`, &refused); code != http.StatusBadRequest || !strings.Contains(refused.Error, "choose one of m") {
		t.Errorf("status %d: %+v", code, refused)
	}
}

// TestServeReadOnly holds that nothing is changed unless that was asked for, and that a token is asked for where it was.
func TestServeReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m")
	s := w.serve("--json", "--token-file", file(t, "token", "0123456789abcdef\n"))
	if code := s.ask(http.MethodGet, "/api/state", "", nil); code != http.StatusUnauthorized {
		t.Errorf("status %d without the token", code)
	}
	s.token = "0123456789abcdef"
	if st := s.until("the model", func(st web.State) bool { return len(st.Models) == 1 }); !st.ReadOnly {
		t.Error("it says that it can write")
	}
	if code := s.ask(http.MethodPost, "/api/jobs", `{"prompt":"a"}`, nil); code != http.StatusForbidden {
		t.Errorf("status %d for an order", code)
	}
	w.jobs("b", 0)
}

func TestServeRefuses(t *testing.T) {
	w := newWorld(t, "m")
	short := file(t, "token", "short\n")
	for _, tt := range []struct {
		says string
		args []string
	}{
		{"--listen", []string{"--listen", "nowhere:x"}},
		{"--token-file", []string{"--token-file", short}},
		{"--token-file", []string{"--token-file", short + ".none"}},
		{"give them a --token-file", []string{"--listen", "0.0.0.0:0", "--write"}},
		{"takes flags alone", []string{"monday"}},
		{"S3_PREFIX", []string{"--s3-prefix", "x"}},
	} {
		w.run(append([]string{"serve"}, tt.args...)...).want(t, exitInput, tt.says)
	}
	other := *w
	other.env = map[string]string{"NATS_URL": "http://x"}
	other.run("serve", "--listen", "127.0.0.1:0").want(t, exitInput, "NATS_URL")
}
