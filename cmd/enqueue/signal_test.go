//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/stipple-ai/stipple/internal/local/natsd"
)

// interrupt runs commands at once, sends the process a signal while they wait, and checks what they make of it.
func (w *world) interrupt(commands map[string][]string) {
	w.t.Helper()
	ctx, stop := signal.NotifyContext(w.t.Context(), syscall.SIGUSR1) // as main
	defer stop()
	ends := map[string]chan ran{}
	for name, args := range commands {
		end := make(chan ran, 1)
		ends[name] = end
		go func() { end <- w.runWith(ctx, nil, nil, args...) }()
	}
	time.Sleep(600 * time.Millisecond) // longer makes no difference: nobody answers
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		w.t.Error(err)
	}
	for name, end := range ends {
		r := <-end
		w.t.Run(name, func(t *testing.T) { r.want(t, exitInterrupted, "interrupted") })
	}
}

// A signal that comes while the store is asked ends a command as one that comes while the broker is.
func TestSignalWhileTheStoreIsAway(t *testing.T) {
	w := newWorld(t, "m").withStore()
	w.work([]string{"m"}, nil)
	w.run("a cat", "--seeds", "1..3", "--batch", "b", "--wait").want(t, exitOK)
	w.run("a cat", "--batch", "gone", "--wait").want(t, exitOK)
	b, err := w.client.GetBatch(t.Context(), "gone")
	if err != nil {
		t.Fatal(err)
	}
	b.Summary = nil
	if _, err := w.client.UpdateBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.purge("RESULTS", "results.gone.*")
	if err := w.store.Suspend(); err != nil {
		t.Fatal(err)
	}
	w.interrupt(map[string][]string{
		"prune":            {"prune", "--s3-bucket", bucket},
		"wait --out":       {"wait", "b", "--out", filepath.Join(t.TempDir(), "out")},
		"wait, gone":       {"wait", "gone", "--s3-bucket", bucket},
		"status, gone":     {"status", "gone", "--s3-bucket", bucket},
		"retry --missing":  {"retry", "b", "--missing"},
		"explain by a key": {"explain", "s3://" + bucket + "/b/00000000-0123456789abcdef.png", "--timeout", "1m"},
		"verify":           {"verify", "s3://" + bucket + "/b/00000000-0123456789abcdef.png", "--timeout", "1m"},
	})
}

// newSilentWorld starts a broker that is connected to and answers nothing, as a cluster without a leader does.
func newSilentWorld(t *testing.T) *world {
	t.Helper()
	s, err := natsd.Start(natsd.Options{Configure: func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.>", "$KV.>", "jobs.>"}}, // to whoever asks, a silence
		}}}
	}})
	if err != nil {
		t.Fatalf("starting the broker: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stopping the broker: %v", err)
		}
	})
	return &world{t: t, broker: s, env: map[string]string{"NATS_URL": strings.Replace(s.URL(), "//", "//u:p@", 1)}}
}

// A signal that comes while the broker is silent ends every command in the same way.
func TestSignalWhileTheBrokerIsSilent(t *testing.T) {
	w := newSilentWorld(t)
	w.interrupt(map[string][]string{
		"enqueue":       {"a cat", "--batch", "b"},
		"webhook":       {"a cat", "--batch", "b", "--webhook", "https://example.com/"},
		"forced":        {"a cat", "--batch", "b", "--model", "m", "--force"},
		"dry run":       {"a cat", "--dry-run"},
		"grid":          {"grid", "a cat", "--x", "seed=1..2"},
		"wait":          {"wait", "b"},
		"status":        {"status"},
		"status BATCH":  {"status", "b"},
		"watch BATCH":   {"watch", "b"},
		"cancel":        {"cancel", "b"},
		"cancel JOB":    {"cancel", "b/1"},
		"retry":         {"retry", "b", "--failed"},
		"dlq list":      {"dlq", "list"},
		"dlq show":      {"dlq", "show", "b"},
		"dlq requeue":   {"dlq", "requeue", "b"},
		"dlq purge":     {"dlq", "purge", "b", "--yes"},
		"pause":         {"pause"},
		"resume":        {"resume"},
		"repair":        {"repair", "--yes"},
		"setup":         {"setup", "--models", "m"},
		"explain a job": {"explain", "b/1"},
	})
}

// A dry run does without a broker, whether that is away or silent.
func TestDryRunWithASilentBroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	newSilentWorld(t).runWith(ctx, nil, nil, "a cat", "--dry-run").want(t, exitOK, "1 row make", "time   not known: the broker does not answer")
}
