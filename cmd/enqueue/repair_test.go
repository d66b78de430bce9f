package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
)

// strand makes the consumer of normal jobs lose the first one: a limit of deliveries does so.
func (w *world) strand(model string) {
	w.t.Helper()
	js := w.jetstream()
	name := "w-normal-" + model
	old, err := js.Consumer(w.t.Context(), "JOBS", name)
	if err != nil {
		w.t.Fatal(err)
	}
	limited := old.CachedInfo().Config
	limited.MaxDeliver = 1
	if err := js.DeleteConsumer(w.t.Context(), "JOBS", name); err != nil {
		w.t.Fatal(err)
	}
	consumer, err := js.CreateConsumer(w.t.Context(), "JOBS", limited)
	if err != nil {
		w.t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := msg.Nak(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := consumer.Next(jetstream.FetchMaxWait(time.Second)); err == nil { // the broker finds out when it is asked
		w.t.Fatal("delivered beyond the limit")
	}
}

func TestRepair(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "m", "n")
	w.run("repair").want(t, exitOK, "no job is stranded")
	w.run("a", "--model", "m", "--batch", "b").want(t, exitOK)
	w.strand("m")
	w.run("status").want(t, exitOK, "1 job is stranded: consumer w-normal-m does not deliver it any more. Run: enqueue repair")
	ask := func(answer string, args ...string) ran {
		return w.runWith(t.Context(), strings.NewReader(answer), nil, append([]string{"repair"}, args...)...)
	}
	ask("\n").want(t, exitFailed, "w-normal-m: 1 job is stranded", "Make it anew? Jobs that workers hold by then are drawn twice. [y/N]", "nothing was done")
	ask("y\n", "--priority", "low").want(t, exitOK, "no job is stranded")
	ask("y\n").want(t, exitOK, "made w-normal-m anew")
	ask("y\n").want(t, exitOK, "no job is stranded")
	w.work([]string{"m"}, nil)
	w.run("wait", "b").want(t, exitOK, "1 succeeded of 1")

	r := w.run("repair", "--force", "--yes", "--model", "n", "--priority", "high,low", "--json")
	r.want(t, exitOK)
	want := []map[string]any{
		{"type": "repaired", "priority": "high", "model": "n", "consumer": "w-high-n", "jobs": 0.0, "missing": false},
		{"type": "repaired", "priority": "low", "model": "n", "consumer": "w-low-n", "jobs": 0.0, "missing": false},
	}
	if diff := cmp.Diff(want, lines(t, r.stdout)); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	w.run("repair", "--model", "x").want(t, exitInput, `--model: no worker has registered "x"; these are: m, n`)
	newWorld(t).run("repair").want(t, exitInput, "no worker has registered a model yet")
}
