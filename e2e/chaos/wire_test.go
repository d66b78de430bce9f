package main

import (
	"log/slog"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sleeper is a place for workers, with a process that waits to be killed.
func sleeper(t *testing.T) *worker {
	t.Helper()
	w := &worker{index: 1, log: slog.New(slog.DiscardHandler), stall: &valve{}, launch: func(name string, _ *worker) (*process, error) {
		path, err := exec.LookPath("sleep")
		if err != nil {
			return nil, err
		}
		return start(t.TempDir(), name, nil, path, "600")
	}}
	l, err := w.begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.kill(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// awaitDeath waits until the process was killed.
func awaitDeath(t *testing.T, l *life) {
	t.Helper()
	select {
	case <-l.exited:
	case <-time.After(10 * time.Second):
		t.Fatal("the worker was not killed")
	}
}

func newEdges() *edges { return &edges{log: slog.New(slog.DiscardHandler)} }
