package ort

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stipple-ai/stipple/internal/infer"
)

// soak reports whether tests run at full size, as `make soak` asks for.
func soak() bool { return os.Getenv("STIPPLE_SOAK") != "" }

// soakChild is the variable that tells a child process of TestMemoryIsFlat how many pictures to draw.
const soakChild = "STIPPLE_TEST_PICTURES"

// TestMemoryIsFlat draws pictures of several sizes, lengths and prompts, and looks at what the process keeps after the first ones and at the end: 1000 and 10 000 in
// `make soak`, fewer in `make test`. It runs in a process of its own, so that nothing else is in the sums.
func TestMemoryIsFlat(t *testing.T) {
	pictures := 1000
	if soak() {
		pictures = 10_000
	}
	out := subprocess(t, "TestMemoryIsFlatChild", soakChild+"="+strconv.Itoa(pictures))
	if !strings.Contains(out, "--- PASS: TestMemoryIsFlatChild") {
		t.Errorf("the child did not pass:\n%s", out)
	}
	t.Log(out)
}

// kept is what a process holds when nothing is under way.
type kept struct {
	pictures, goroutines int
	resident, heap       int64
}

func (k kept) String() string {
	return fmt.Sprintf("after %d pictures: %.1f MiB resident, %.2f MiB of Go's heap, %d goroutines", k.pictures, float64(k.resident)/(1<<20), float64(k.heap)/(1<<20), k.goroutines)
}

func measure(t *testing.T, pictures int) kept {
	t.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	k := kept{pictures, runtime.NumGoroutine(), pages * int64(os.Getpagesize()), int64(m.HeapAlloc)}
	t.Log(k)
	return k
}

// TestMemoryIsFlatChild is the child of TestMemoryIsFlat; by itself it only sees that it is not.
func TestMemoryIsFlatChild(t *testing.T) {
	pictures, err := strconv.Atoi(os.Getenv(soakChild))
	if err != nil {
		return
	}
	p := load(t, filepath.Join(root, "testdata/pipelines/sd15"))
	e := start(t, p, 2, infer.Config{MaxRows: 2, RowShapes: []int{1, 2}, EmbeddingCache: 256 << 10})
	jobs := make(chan int)
	var drawing, wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range jobs {
				r := infer.Request{Prompt: fmt.Sprint("a fox, number ", i), NegativePrompt: "ugly", Seed: uint64(i), Steps: 1 + i%2, Guidance: float64(i%3) * 2.5,
					Width: 16 * (1 + i%3), Height: 16 * (1 + i%2), Scheduler: []string{"euler_a", "ddim", "dpmpp_2m"}[i%3]}
				if _, err := e.Generate(context.Background(), r); err != nil {
					t.Error(err)
				}
				drawing.Done()
			}
		})
	}
	draw := func(from, to int) kept {
		for i := from; i < to; i++ {
			drawing.Add(1)
			jobs <- i
		}
		drawing.Wait()
		return measure(t, to)
	}
	var marks []kept
	for from := 0; from < pictures; from += pictures / 10 {
		marks = append(marks, draw(from, from+pictures/10))
	}
	close(jobs)
	wg.Wait()
	// At full size the first tenth is 1000 pictures. A tenth of the small run is too few for every thread of the runtime to have met every size: let it have a third.
	first, last := marks[2], marks[len(marks)-1]
	if soak() {
		first = marks[0]
	}
	if growth := float64(last.resident)/float64(first.resident) - 1; growth > 0.05 {
		t.Errorf("the resident size grew by %.1f %%, want at most 5: %v; %v", 100*growth, first, last)
	}
	if last.heap > first.heap+1<<20 {
		t.Errorf("Go's heap grew: %v; %v", first, last)
	}
	if last.goroutines > first.goroutines {
		t.Errorf("goroutines are left: %v; %v", first, last)
	}
}
