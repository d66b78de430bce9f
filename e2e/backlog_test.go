package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// backlog is how many jobs of low priority wait.
func backlog() int {
	if soak() {
		return 100_000
	}
	return 5000
}

// waiting fills the queue with a backlog of low priority that takes a worker minutes. The jobs cost next to nothing.
func (w *world) waiting() {
	w.t.Helper()
	w.worker("before").terminate(10 * time.Second) // makes the queue, and is known to enqueue
	w.enqueue("a fox", "--seeds", fmt.Sprintf("1..%d", backlog()), "--steps", "1", "--guidance-scale", "1", "--priority", "low", "--batch", "backlog")
	if n := w.consumer("low", "sd15").NumPending; n != uint64(backlog()) {
		w.t.Fatalf("%d jobs are waiting, want %d", n, backlog())
	}
}

// delivered is how many jobs of a priority workers have been given.
func (w *world) delivered(priority string) int {
	w.t.Helper()
	return int(w.consumer(priority, "sd15").Delivered.Consumer)
}

// awaitDelivered waits until workers have been given n jobs of a priority.
func (w *world) awaitDelivered(priority string, n int) {
	w.t.Helper()
	eventually(w.t, 30*time.Second, func() string {
		if got := w.delivered(priority); got < n {
			return fmt.Sprintf("%d jobs of %s priority were delivered, want %d", got, priority, n)
		}
		return ""
	})
}

// TestAHighJobBehindABacklog of low ones begins as soon as a slot is free: from its publishing to its start at most SLOTS
// more low ones start.
func TestAHighJobBehindABacklog(t *testing.T) {
	const slots, rounds = 4, 5
	w := newWorld(t)
	w.waiting()
	sink, env := collector(t)
	k := w.worker("painter", append(env, fmt.Sprintf("SLOTS=%d", slots), "LANES=1")...)
	published := make([]time.Time, rounds)
	for i := range rounds {
		w.awaitDelivered("low", w.delivered("low")+2*slots+rand.IntN(2*slots)) // wherever the worker is in its turns
		w.publishTo("high", "urgent", i, quick(i))
		published[i] = time.Now()
		w.awaitResults("urgent", i+1, 20*time.Second)
	}
	k.terminate(10 * time.Second) // which delivers its spans
	if left := w.consumer("low", "sd15").NumPending; left == 0 {
		t.Fatal("no job of low priority was waiting at the end")
	}
	all := spansOf(sink).named("text-to-image")
	for i, since := range published {
		urgent := all.with("job.id", fmt.Sprintf("urgent/%d", i))
		if len(urgent) != 1 {
			t.Fatalf("job %d of high priority has %d spans", i, len(urgent))
		}
		between := 0
		for _, s := range all {
			id, _ := s.Attributes["job.id"].(string)
			if strings.HasPrefix(id, "backlog/") && s.Start.After(since) && s.Start.Before(urgent[0].Start) {
				between++
			}
		}
		t.Logf("job %d of high priority began %v after it was published, behind %d of low", i, urgent[0].Start.Sub(since).Round(time.Millisecond), between)
		if between > slots {
			t.Errorf("%d jobs of low priority began between publishing and start of job %d of high, want at most %d", between, i, slots)
		}
	}
}

// TestABacklogUnderConstantHighLoad goes on: about every eighth job is of low priority.
func TestABacklogUnderConstantHighLoad(t *testing.T) {
	const load = 400
	w := newWorld(t)
	w.waiting()
	for i := range load {
		w.publishTo("high", "busy", i, quick(i).with("num_inference_steps", 1))
	}
	w.worker("painter", "SLOTS=4", "LANES=1")
	w.awaitDelivered("high", load)
	low := w.delivered("low")
	t.Logf("%d jobs of low priority were begun beside %d of high", low, load)
	if low < load/16 || low > load/4 {
		t.Errorf("%d jobs of low priority were begun beside %d of high, want about every eighth", low, load)
	}
}
