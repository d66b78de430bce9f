package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"
)

// fanOut is how many jobs the story of the crashes enqueues: a million with STIPPLE_SOAK=1.
func fanOut() int {
	if os.Getenv("STIPPLE_SOAK") != "" {
		return 1_000_000
	}
	return 20_000
}

// TestAFanOutThatIsKilledTwice: enqueue dies in the middle of a batch, is run again, dies again and is run to its end.
// The queue then holds every job of the batch, each once, and enqueue's memory has not grown with the batch.
func TestAFanOutThatIsKilledTwice(t *testing.T) {
	w := newWorld(t)
	const seeds = 10
	n := fanOut()
	var rows strings.Builder
	for i := range n / seeds {
		fmt.Fprintf(&rows, "picture %d of a fox\n", i)
	}
	write(t, filepath.Join(w.dir, "rows.txt"), rows.String())
	command := []string{"--file", "rows.txt", "--seeds", fmt.Sprintf("1..%d", seeds), "--model", "nobody", "--force", "--batch", "many", "--json"}

	first := w.launchEnqueue(nil, command...)
	w.awaitJobs(first, n/10)
	early := first.memory()
	w.awaitJobs(first, n/3)
	late := first.memory()
	first.kill()
	sent := w.killed(n, 0)
	second := w.launchEnqueue(nil, command...)
	w.awaitJobs(second, 2*n/3)
	second.kill()
	sent = w.killed(n, sent)

	third := w.launchEnqueue(nil, command...)
	last := 0
	for third.running() {
		last = max(last, third.memory()) // 0 once it has ended
		time.Sleep(10 * time.Millisecond)
	}
	if code := third.exit(startTime); code != 0 {
		t.Fatalf("enqueue ended with exit code %d:\n%s", code, tail(third.errs(), 20))
	}
	end := lines(tail(third.out(), 1))
	if want := fmt.Sprintf(`{"type":"enqueued","batch_id":"many","total":%d,"before":`, n); len(end) != 1 || !strings.HasPrefix(end[0], want) {
		t.Errorf("the third run ended with %q, want %s…", end, want)
	}
	w.holdsFanOut("many", n, seeds)
	again := w.enqueue(command[:len(command)-1]...)
	if l := ofType(again, "enqueued"); len(l) != 1 || l[0].Before != n {
		t.Errorf("a fourth run printed %+v", again)
	}
	t.Logf("%d jobs, killed after %d: memory of enqueue (VmHWM) %d MiB with a tenth sent, %d MiB with a third, %d MiB at the end", n, sent, early>>20, late>>20, last>>20)
	// The garbage collector lets the heap double; a batch that was held in memory would take ten times as much.
	for _, m := range []int{late, last} {
		if m > early+early/2 {
			t.Errorf("memory of enqueue went from %d MiB to %d MiB", early>>20, m>>20)
		}
	}
}

// awaitJobs waits until so many jobs are in the queue, and watches that enqueue works on them.
func (w *world) awaitJobs(p *process, n int) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(2 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		s, err := w.js.Stream(ctx, w.stream("JOBS"))
		cancel()
		switch {
		case err == nil && s.CachedInfo().State.Msgs >= uint64(n):
			return
		case !p.running():
			w.t.Fatalf("enqueue ended before %d jobs were in the queue:\n%s", n, tail(p.errs(), 20))
		case time.Now().After(deadline):
			w.t.Fatalf("%d jobs did not get into the queue", n)
		}
	}
}

// killed checks that enqueue died between its jobs, more than before and not all, and returns how many. The broker may
// be storing its last chunk yet, and counts what it has of it.
func (w *world) killed(n, before int) int {
	w.t.Helper()
	var sent int
	eventually(w.t, startTime, func() string {
		sent = int(w.state("JOBS").Msgs)
		if sent <= before || sent >= n || sent%1000 != 0 {
			return fmt.Sprintf("%d of %d jobs are in the queue after a crash, %d after the one before; want whole chunks of 1000, and not all", sent, n, before)
		}
		return ""
	})
	return sent
}

// holdsFanOut checks that the queue holds jobs 0 to n-1 of the batch, each once, and each the one that its row says.
func (w *world) holdsFanOut(batch string, n, seeds int) {
	w.t.Helper()
	seen, count := make([]bool, n), 0
	for next := uint64(1); count < n; {
		messages, err := jetstreamext.GetBatch(w.t.Context(), w.js, w.stream("JOBS"), 1000, jetstreamext.GetBatchSeq(next))
		if err != nil {
			w.t.Fatalf("reading jobs from %d on, after %d: %v", next, count, err)
		}
		for m, err := range messages {
			if err != nil {
				w.t.Fatalf("reading jobs from %d on, after %d: %v", next, count, err)
			}
			next = m.Sequence + 1
			id, index, ok := strings.Cut(m.Header.Get("Nats-Msg-Id"), "/")
			i, err := strconv.Atoi(index)
			if !ok || err != nil || id != batch || i < 0 || i >= n {
				w.t.Fatalf("a job %q", m.Header.Get("Nats-Msg-Id"))
			}
			if seen[i] {
				w.t.Fatalf("job %d is in the queue twice", i)
			}
			seen[i] = true
			count++
			var j struct {
				Prompt string `json:"prompt"`
				Seed   int    `json:"seed"`
			}
			if err := json.Unmarshal(m.Data, &j); err != nil {
				w.t.Fatal(err)
			}
			if want := fmt.Sprintf("picture %d of a fox", i/seeds); j.Prompt != want || j.Seed != i%seeds+1 {
				w.t.Fatalf("job %d draws %q with seed %d", i, j.Prompt, j.Seed)
			}
		}
	}
	if state := w.state("JOBS"); state.Msgs != uint64(n) {
		w.t.Errorf("%d messages in the queue, want %d", state.Msgs, n)
	}
}

// memory is the most memory that the process has had until now, in bytes (VmHWM of /proc); 0 once it has ended.
func (p *process) memory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		if p.running() && !os.IsNotExist(err) {
			p.t.Fatalf("reading the memory of %s: %v", p.name, err)
		}
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(kib), " kB"))
			if err != nil {
				p.t.Fatalf("memory of %s: %q", p.name, line)
			}
			return n << 10
		}
	}
	return 0
}
