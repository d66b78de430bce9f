package e2e_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lease is short, so that what a dead worker held comes back soon.
const lease = "ACK_WAIT=2s"

// TestKill9InTheMiddle: workers are killed, one after the other, while they draw. Nothing is lost, nothing is there
// twice, and the pictures are those of an undisturbed run.
func TestKill9InTheMiddle(t *testing.T) {
	w := newWorld(t)
	const n, rounds = 10, 3
	victim := w.worker("worker-0", lease)
	w.publishMany("calm", n, steps(80))
	calm := w.done("calm", n, 60*time.Second)

	heard := w.listen("storm")
	w.publishMany("storm", n, steps(80))
	for round := range rounds {
		heard.await(victim.name, -1, 30*time.Second)
		victim.kill()
		victim = w.worker(fmt.Sprintf("worker-%d", round+1), lease)
	}
	storm := w.done("storm", n, 60*time.Second)
	if diff := cmp.Diff(pixels(calm), pixels(storm)); diff != "" {
		t.Errorf("the pictures differ from those of an undisturbed run (-calm +storm):\n%s", diff)
	}
	again := 0
	for _, r := range storm {
		if r.Attempt > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("no job was begun twice: nobody was killed in the middle")
	}
}

// TestKill9WithAnotherWorkerBeside: the other one takes over within the lease, and goes on with its own jobs meanwhile.
func TestKill9WithAnotherWorkerBeside(t *testing.T) {
	w := newWorld(t)
	victim := w.worker("victim", append(oneLane, lease)...)
	heard := w.listen("b")
	w.holdFour("b", heard, "victim", 900)
	w.worker("other", lease)
	victim.kill()
	begin := time.Now()
	w.publish("b", 4, steps(2).with("seed", 4))
	heard.await("other", 4, 2*time.Second+slack) // not behind the lease of others
	for i := range 4 {
		if taken := heard.await("other", i, 20*time.Second); taken.heard.Sub(begin) > 2*time.Second+3*time.Second+slack {
			t.Errorf("job %d was taken over after %v, with a lease of 2 s", i, taken.heard.Sub(begin))
		}
	}
	for i, r := range w.done("b", 5, 60*time.Second) {
		if want := 1 + min(1, 4-i); r.Worker != "other" || r.Attempt != want {
			t.Errorf("job %d was drawn by %s in attempt %d, want the other worker in attempt %d", i, r.Worker, r.Attempt, want)
		}
	}
}

// TestAFrozenWorkerThatWakesUp finds that another one has done its job meanwhile: it says nothing of it, and replaces
// nothing.
func TestAFrozenWorkerThatWakesUp(t *testing.T) {
	w := newWorld(t)
	sleeper := w.worker("sleeper", lease)
	heard := w.listen("b")
	w.publish("b", 0, steps(900))
	heard.await("sleeper", 0, 10*time.Second)
	sleeper.signal(syscall.SIGSTOP)
	w.worker("other", lease)
	first := w.done("b", 1, 60*time.Second)[0]
	before := w.object(first.Image.Key)
	if first.Worker != "other" || first.Attempt != 2 {
		t.Errorf("the job was drawn by %s in attempt %d, want the other worker in attempt 2", first.Worker, first.Attempt)
	}
	sleeper.signal(syscall.SIGCONT)
	eventually(t, 60*time.Second, func() string {
		for _, r := range sleeper.logged("job") {
			if r["outcome"] != nil {
				return ""
			}
		}
		return "the worker that woke up is still at its job"
	})
	second := w.done("b", 1, time.Second)[0]
	if string(second.raw) != string(first.raw) || !w.object(first.Image.Key).modified.Equal(before.modified) {
		t.Errorf("the record was\n%s\nand is\n%s", first.raw, second.raw)
	}
	// It is well, and goes on.
	w.publish("b", 1, quick(1))
	w.done("b", 2, 20*time.Second)
	sleeper.awaitReady()
}
