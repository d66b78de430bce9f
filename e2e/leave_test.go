package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// slack is what a busy machine may add to a time.
const slack = 2 * time.Second

// steps returns a job of so many steps, a few milliseconds each, that takes a lane of its own.
func steps(n int) job { return quick(0).with("num_inference_steps", n) }

// oneLane has a worker draw one job at a time and hold three more that have not begun.
var oneLane = []string{"LANES=1", "MAX_ROWS=1", "SLOTS=4"}

// holdFour has a worker of oneLane draw job 0 of a batch, which has so many steps, and hold three more.
func (w *world) holdFour(batch string, heard *listener, worker string, n int) {
	w.t.Helper()
	w.publish(batch, 0, steps(n))
	heard.await(worker, 0, 10*time.Second)
	for i := 1; i < 4; i++ {
		w.publish(batch, i, steps(100).with("seed", i))
	}
	w.awaitHeld("normal", 4)
}

// TestSIGTERMInTheMiddle: a worker is told to leave while it draws one job and holds three. The one is finished, the
// three go to another worker at once, and nothing is counted against them.
func TestSIGTERMInTheMiddle(t *testing.T) {
	w := newWorld(t)
	sink, env := collector(t)
	// Spans would wait for a minute: those that arrive were delivered when the worker left.
	leaver := w.worker("leaver", append(append(env, "OTEL_BSP_SCHEDULE_DELAY=60000"), oneLane...)...)
	heard := w.listen("b")
	w.holdFour("b", heard, "leaver", 900)
	w.worker("stayer")

	begin := time.Now()
	leaver.signal(syscall.SIGTERM)
	for i := 1; i < 4; i++ {
		taken := heard.await("stayer", i, 20*time.Second)
		if wait := taken.heard.Sub(begin); wait > 2*time.Second+slack {
			t.Errorf("job %d was taken over %v after the signal: it has waited for its lease", i, wait)
		}
	}
	if code := leaver.exit(40 * time.Second); code != 0 {
		t.Errorf("the worker that left ended with exit code %d", code)
	}
	results := w.done("b", 4, 40*time.Second)
	for i, by := range []string{"leaver", "stayer", "stayer", "stayer"} {
		if r := results[i]; r.Worker != by || r.Attempt != 1 {
			t.Errorf("job %d was drawn by %s in attempt %d, want %s in attempt 1", i, r.Worker, r.Attempt, by)
		}
	}

	all := spansOf(sink)
	outcomes := map[any]int{}
	for _, attempt := range all.named("text-to-image") {
		outcomes[attempt.Attributes["job.outcome"]]++
		if attempt.Status.Code != "UNSET" {
			t.Errorf("%s has status %+v: to leave is no failure", attempt.Attributes["job.id"], attempt.Status)
		}
	}
	if outcomes["completed"] != 1 || outcomes["requeued"] != 3 || len(outcomes) != 2 {
		t.Errorf("attempts by outcome: %v, want one completed and three requeued", outcomes)
	}
	if got := all.trace(results[0].TraceID).tree(""); got != jobTree {
		t.Errorf("the trace of the job that was finished is %s", got)
	}
	drain := all.named("drain")
	if len(drain) != 1 {
		t.Fatalf("%d drain spans, want 1", len(drain))
	}
	checkAttributes(t, drain[0], map[string]any{"drain.finished": int64(1), "drain.handed_back": int64(3)})
}

// TestAJobLongerThanTheDrainTimeout is handed back, and the worker is gone in time all the same.
func TestAJobLongerThanTheDrainTimeout(t *testing.T) {
	w := newWorld(t)
	leaver := w.worker("leaver", "LANES=1", "DRAIN_TIMEOUT=1s", "FLUSH_TIMEOUT=500ms")
	heard := w.listen("b")
	w.publishMany("b", 1, steps(900).with("guidance_scale", 7.5)) // ten seconds
	heard.await("leaver", 0, 10*time.Second)
	w.worker("stayer")
	if took := leaver.terminate(20 * time.Second); took > 2*time.Second+slack {
		t.Errorf("the worker took %v to leave, want at most DRAIN_TIMEOUT + FLUSH_TIMEOUT + 0.5 s", took)
	}
	heard.await("stayer", 0, 2*time.Second+slack)
	if r := w.done("b", 1, 60*time.Second)[0]; r.Worker != "stayer" || r.Attempt != 1 {
		t.Errorf("the job was drawn by %s in attempt %d, want the one that stayed in attempt 1", r.Worker, r.Attempt)
	}
}

// TestAnIdleWorkerLeavesAtOnce: nothing holds it up.
func TestAnIdleWorkerLeavesAtOnce(t *testing.T) {
	w := newWorld(t)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		k := w.worker(fmt.Sprintf("idle-%d", s))
		begin := time.Now()
		k.signal(s)
		if code := k.exit(10 * time.Second); code != 0 {
			t.Errorf("exit code %d after %v", code, s)
		}
		if took := k.ended.Sub(begin); took > 500*time.Millisecond+slack {
			t.Errorf("an idle worker took %v to leave after %v", took, s)
		}
	}
}

// TestASecondSignalEndsAtOnce, whatever the worker is at; its job waits for the lease to run out.
func TestASecondSignalEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	leaver := w.worker("leaver", lease, "DRAIN_TIMEOUT=60s")
	heard := w.listen("b")
	w.publishMany("b", 1, steps(900))
	heard.await("leaver", 0, 10*time.Second)
	leaver.signal(syscall.SIGTERM)
	eventually(t, 10*time.Second, func() string {
		if len(leaver.logged("leaving")) == 0 {
			return "the worker does not say that it leaves"
		}
		return ""
	})
	if !leaver.running() {
		t.Fatal("the worker did not wait for its job")
	}
	begin := time.Now()
	leaver.signal(syscall.SIGTERM)
	if code := leaver.exit(10 * time.Second); code == 0 {
		t.Error("exit code 0 of a worker that was cut off")
	}
	if took := leaver.ended.Sub(begin); took > slack {
		t.Errorf("the second signal took %v", took)
	}
	w.worker("stayer", lease)
	if r := w.done("b", 1, 60*time.Second)[0]; r.Worker != "stayer" || r.Attempt != 2 {
		t.Errorf("the job was drawn by %s in attempt %d, want the other worker in attempt 2", r.Worker, r.Attempt)
	}
}
