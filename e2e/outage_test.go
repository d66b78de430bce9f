package e2e_test

import (
	"testing"
	"time"
)

// outage is how long the broker stays away. NATS clients give up after two minutes unless they are told otherwise.
func outage() time.Duration {
	if soak() {
		return 5 * time.Minute
	}
	return 8 * time.Second
}

// TestABrokerAwayForLong is waited for: the worker lives on and says what it waits for, keeps the picture that it has
// drawn meanwhile, and goes on by itself.
func TestABrokerAwayForLong(t *testing.T) {
	w := newWorld(t)
	k := w.worker("painter", append(oneLane, lease)...)
	heard := w.listen("b")
	const n = 4
	w.publishMany("b", n, steps(300))
	heard.awaitMore(10 * time.Second)
	w.broker.kill()
	k.awaitUnready("the broker is away")
	for end := time.Now().Add(outage()); time.Now().Before(end); time.Sleep(time.Second) { // this is about nothing happening
		if !k.running() {
			t.Fatalf("the worker has ended:\n%s", tail(k.errs(), 20))
		}
		if h := k.health("/healthz"); h.Code != 200 {
			t.Fatalf("/healthz answers %+v", h)
		}
	}
	mentions(t, "the log", k.errs(), "waiting for a service that is away")
	w.broker.start()
	w.done("b", n, 60*time.Second)
	k.awaitReady()
	k.terminate(20 * time.Second)
}
