package page

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stipple-ai/stipple/internal/queue"
)

// TestMemoryOfBatches holds that a batch costs a page that is open for days no more than its counts.
func TestMemoryOfBatches(t *testing.T) {
	s := New(Config{})
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const batches, jobs = 100, 4000
	before, at := heap(), time.Now().Add(-time.Hour)
	for b := range batches {
		for i := range jobs {
			at = at.Add(time.Millisecond)
			s.facts.add(queue.Followed{Stored: at, Result: queue.Result{BatchID: fmt.Sprintf("b%d", b), Index: int64(i), Status: queue.Succeeded, Image: &queue.Image{}}})
		}
	}
	s.assemble(time.Now())
	if each := (int64(heap()) - int64(before)) / batches; each > 8*jobs {
		t.Errorf("a batch of %d jobs that is done takes %d bytes", jobs, each)
	}
	runtime.KeepAlive(s)
}
