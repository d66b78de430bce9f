package e2e_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestABrokerAwayAtTheStart is waited for, by worker and enqueue, and both say so.
func TestABrokerAwayAtTheStart(t *testing.T) {
	w := newWorld(t)
	w.broker.stop()
	k := w.launch("early")
	enqueue := w.launchEnqueue(nil, "a fox", "--steps", "2", "--model", "sd15", "--force", "--batch", "early", "--wait")
	k.awaitUnready("starting")
	if h := k.health("/healthz"); h.Code != 200 {
		t.Errorf("/healthz answers %+v while the broker is away", h)
	}
	time.Sleep(2 * time.Second) // this is about nothing happening
	for _, p := range []*process{k.process, enqueue} {
		if !p.running() {
			t.Fatalf("%s did not wait for the broker:\n%s", p.name, p.errs())
		}
		mentions(t, p.name, p.errs(), "broker", w.natsURL)
	}
	w.broker.start()
	if code := enqueue.exit(60 * time.Second); code != 0 {
		t.Errorf("enqueue ended with exit code %d:\n%s", code, enqueue.errs())
	}
	w.done("early", 1, time.Second)
	k.awaitReady()
}

// TestABrokerKilledInTheMiddle comes back with its data and on its address: all jobs are done, once, and the pictures are
// those of an undisturbed run. The broker may have forgotten who had which job.
func TestABrokerKilledInTheMiddle(t *testing.T) {
	w := newWorld(t)
	k := w.worker("painter", lease)
	const n, rounds = 12, 2
	w.publishMany("calm", n, steps(100))
	calm := w.done("calm", n, 60*time.Second)

	heard := w.listen("storm")
	w.publishMany("storm", n, steps(100))
	for round := range rounds {
		heard.awaitMore(30 * time.Second)
		w.broker.kill()
		if round == 0 { // long enough to be noticed
			k.awaitUnready("the broker is away")
			time.Sleep(time.Second)
		}
		w.broker.start()
	}
	storm := w.done("storm", n, 60*time.Second)
	if diff := cmp.Diff(pixels(calm), pixels(storm)); diff != "" {
		t.Errorf("the pictures differ from those of an undisturbed run (-calm +storm):\n%s", diff)
	}
	k.awaitReady()
	k.terminate(20 * time.Second)
}

// TestABrokerAwayWhileAWorkerLeaves holds nobody up: what the worker held comes back by itself.
func TestABrokerAwayWhileAWorkerLeaves(t *testing.T) {
	w := newWorld(t)
	k := w.worker("leaver", lease, "DRAIN_TIMEOUT=2s", "FLUSH_TIMEOUT=500ms")
	heard := w.listen("b")
	w.publishMany("b", 2, steps(300))
	heard.awaitMore(10 * time.Second)
	w.broker.kill()
	if took := k.terminate(20 * time.Second); took > 3*time.Second+slack {
		t.Errorf("the worker took %v to leave", took)
	}
	w.broker.start()
	w.worker("stayer", lease)
	w.done("b", 2, 60*time.Second)
}
