package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/stipple-ai/stipple/internal/otel"
	"github.com/stipple-ai/stipple/internal/queue"
	"github.com/stipple-ai/stipple/internal/webhook"
)

var testKey = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))

// hook is a receiver of webhooks that verifies what it gets.
type hook struct {
	*httptest.Server

	mu  sync.Mutex
	got map[string][]string // bodies by event
}

func newHook(t *testing.T, answer func(event string, n int) int) *hook {
	t.Helper()
	keys, err := webhook.ParseKeys(testKey)
	if err != nil {
		t.Fatal(err)
	}
	h := &hook{got: map[string][]string{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = webhook.Verify(keys, r.Header, body, time.Now())
		}
		if err != nil {
			t.Errorf("an event: %v", err)
		}
		id := r.Header.Get(webhook.HeaderID)
		h.mu.Lock()
		h.got[id] = append(h.got[id], string(body))
		n := len(h.got[id])
		h.mu.Unlock()
		if answer != nil {
			w.WriteHeader(answer(id, n))
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) events() map[string][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string][]string{}
	for id, bodies := range h.got {
		all[id] = slices.Clone(bodies)
	}
	return all
}

// sendWebhooks is what enqueue serve does about webhooks, with a connection of its own, until stop is called.
func (w *world) sendWebhooks(lease time.Duration) (hooks *webhooks, stop func()) {
	w.t.Helper()
	f := &webhookFlags{}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.define(fs)
	if err := fs.Parse([]string{"--webhook-hosts", "127.0.0.1", "--webhook-http", "--webhook-keys", testKey}); err != nil {
		w.t.Fatal(err)
	}
	if err := f.check(); err != nil {
		w.t.Fatal(err)
	}
	f.lease = lease
	f.config.RetryMin, f.config.RetryMax = 10*time.Millisecond, 50*time.Millisecond
	f.config.SpareMin, f.config.SpareMax = 10*time.Millisecond, 50*time.Millisecond
	logger := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	broker := &brokerFlags{config: queue.Config{URL: w.broker.URL()}, autoCreate: true}
	t, err := otel.Setup(w.t.Context(), otel.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	hooks, err = newWebhooks(f, broker, t.Meter(), logger)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- hooks.run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && w.client.Connected() {
			w.t.Errorf("sending webhooks: %v", err)
		}
		closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := t.Shutdown(closing); err != nil {
			w.t.Error(err)
		}
	})
	w.metrics = func() string {
		r := httptest.NewRecorder()
		t.MetricsHandler().ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		return r.Body.String()
	}
	w.t.Cleanup(stop)
	return hooks, stop
}

// until waits for what ok says to come to nothing.
func until(t *testing.T, ok func() string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		problem := ok()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(problem)
		}
	}
}

// TestWebhooks: each result of a batch that asks for it is told, with the body of its record, as often as the receiver
// wants; those of other batches are not, and a retried job is told again as another event.
func TestWebhooks(t *testing.T) {
	w := newWorld(t, "m")
	fails := map[string]bool{"bad": true}
	w.work([]string{"m"}, func(j queue.Job) string {
		if fails[*j.Prompt] {
			return queue.Failed
		}
		return queue.Succeeded
	})
	h := newHook(t, func(event string, n int) int {
		if event == "b/1" && n < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	// Nobody sends yet, and enqueue says so; what is done by then is told later.
	w.run("a cat", "a dog", "bad", "--batch", "b", "--webhook", h.URL+"/hook", "--wait").want(t, exitInput, "no `enqueue serve` sends webhooks now")
	w.run("a cat", "--batch", "silent", "--wait").want(t, exitOK)
	if n := len(h.events()); n != 0 {
		t.Fatalf("%d events without anyone who sends them", n)
	}
	hooks, _ := w.sendWebhooks(time.Minute)
	until(t, func() string {
		if c := hooks.counts(); c.Delivered != 3 || c.Failed != 2 {
			return fmt.Sprintf("the counts are %+v", c)
		}
		return ""
	})
	for id, bodies := range h.events() {
		want := map[string]int{"b/0": 1, "b/1": 3, "b/2": 1}[id]
		r, err := queue.DecodeResult([]byte(bodies[0]))
		if len(bodies) != want || err != nil || r.Identity().MsgID() != id {
			t.Errorf("event %s came %d times, want %d: %s", id, len(bodies), want, bodies)
		}
		record, _, err := w.client.Lookup(t.Context(), "b", r.Index)
		if err != nil {
			t.Fatal(err)
		}
		if stored, err := record.Encode(); err != nil || string(stored) != bodies[0] {
			t.Errorf("event %s has the body\n%s\nand the record is\n%s", id, bodies[0], stored)
		}
	}
	// Somebody sends now, and enqueue is silent. A job that is retried has another event.
	fails = nil
	r := w.run("retry", "b", "--failed", "--wait")
	r.want(t, exitOK)
	r = w.run("a cow", "--batch", "c", "--webhook", h.URL+"/hook", "--wait")
	r.want(t, exitOK)
	if strings.Contains(r.stderr, "enqueue serve") {
		t.Errorf("enqueue says that nobody sends webhooks:\n%s", r.stderr)
	}
	until(t, func() string {
		if got := h.events(); len(got["b/2#1"]) != 1 || len(got["c/0"]) != 1 || len(got) != 5 {
			return fmt.Sprintf("events: %v", got)
		}
		return ""
	})
	until(t, func() string { // an event is counted when its receiver's answer is there
		metrics := w.metrics()
		if !regexp.MustCompile(`webhook_events_total{.*webhook_outcome="delivered".*} 5\n`).MatchString(metrics) || !strings.Contains(metrics, "webhook_hosts_broken") {
			return "metrics:\n" + metrics
		}
		return ""
	})
	if problem := hooks.problem(); problem != "" {
		t.Errorf("the problem is %q", problem)
	}
}

// TestWebhooksOutliveTheirSender: a sender that is killed while a receiver hangs loses nothing, nor does one whose broker
// goes away.
func TestWebhooksOutliveTheirSender(t *testing.T) {
	w := newWorld(t, "m")
	w.work([]string{"m"}, nil)
	hang, release := make(chan struct{}, 64), make(chan struct{})
	h := newHook(t, func(string, int) int {
		select {
		case <-release:
		case hang <- struct{}{}:
			<-release
			return http.StatusInternalServerError // nobody hears it
		}
		return http.StatusNoContent
	})
	w.run("a cat", "--seeds", "1..10", "--batch", "b", "--webhook", h.URL, "--wait").want(t, exitOK)
	_, kill := w.sendWebhooks(time.Second)
	<-hang
	go kill() // waits a while for attempts that hang
	<-hang
	w.broker.Suspend()
	if err := w.broker.Resume(); err != nil {
		t.Fatal(err)
	}
	close(release)
	kill()
	w.sendWebhooks(time.Second)
	until(t, func() string {
		if got := h.events(); len(got) != 10 || !w.client.Connected() {
			return fmt.Sprintf("%d events of 10; the broker is back: %v", len(got), w.client.Connected())
		}
		return ""
	})
}

func TestWebhookFlags(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"--webhook-hosts", "hooks.example.com", "--webhook-keys", testKey}, ""},
		{[]string{"--webhook-hosts", "hooks.example.com"}, "WEBHOOK_KEYS (--webhook-keys) is empty"},
		{[]string{"--webhook-keys", testKey}, "WEBHOOK_HOSTS (--webhook-hosts) is empty"},
		{[]string{"--webhook-hosts", "https://x", "--webhook-keys", "hunter2"}, "WEBHOOK_HOSTS (--webhook-hosts): \"https://x\" is no host"},
		{[]string{"--webhook-hosts", "x.org", "--webhook-keys", "hunter2"}, "WEBHOOK_KEYS (--webhook-keys): key 1"},
		{[]string{"--webhook-hosts", "x.org", "--webhook-keys", testKey, "--webhook-max-age", "0s"}, "WEBHOOK_MAX_AGE"},
	} {
		f := &webhookFlags{}
		fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		f.define(fs)
		if err := fs.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		err := f.check()
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v, want %q and no key", tt.args, err, tt.want)
		}
	}
	none, err := newWebhooks(&webhookFlags{}, nil, nil, nil)
	if err != nil || none.run(t.Context()) != nil || none.problem() != "" {
		t.Errorf("webhooks without hosts: %v, %v", none, err)
	}
}
