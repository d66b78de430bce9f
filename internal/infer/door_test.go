package infer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPriorityAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		e, _ := start(t, m, 1, Config{MaxRows: 2})
		warm := request(9)
		warm.Prompt = "the same"
		draw(t, e, warm) // its text is encoded now, so that nobody waits for that
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i, priority := range []int{1, 2, 1, 0, 0} { // all arrive while the first is drawn
			q := request(uint64(i))
			q.Prompt = warm.Prompt
			q.Priority = priority
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Microsecond)
				draw(t, e, q)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
		}
		wg.Wait()
		want := []int{0, 3, 4, 2, 1}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("drawn in the order %v, want %v", order, want)
			}
		}
	})
}

// TestPatience: under constant load of high priority, of its own size or another, a low one begins after eight have passed it.
func TestPatience(t *testing.T) {
	for _, size := range []Size{{1, 1}, {2, 2}} {
		low := doorSample(1, 2, Size{1, 1}, 1)
		samples := []*sample{low}
		begun := 0
		for i := range 20 {
			samples = append(samples, doorSample(uint64(2+i), 0, size, 1))
			rows := pick(samples, 1, false)
			board(samples, rows, time.Now())
			if rows[0].sample == low {
				break
			}
			begun++
			samples = slices.Delete(samples, 1, 2) // one step, and it is done
		}
		if begun != patience {
			t.Errorf("%d of size %v passed the low one, want %d", begun, size, patience)
		}
	}
}

// TestSizesTakeTurns: however many of one size come, one of another size waits only for those that came before it.
func TestSizesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		e, _ := start(t, m, 1, Config{MaxRows: 4})
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		var wg sync.WaitGroup
		for i := range 6 { // six jobs of 64 × 64 at any time, of which two ride
			wg.Go(func() {
				for ctx.Err() == nil {
					q := request(uint64(i))
					q.Steps = 10
					if _, err := e.Generate(ctx, q); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		time.Sleep(55 * time.Millisecond)
		begin := time.Now()
		var waited time.Duration
		q := request(9)
		q.Width, q.OnBegin = 96, func() { waited = time.Since(begin) }
		draw(t, e, q)
		cancel()
		wg.Wait()
		// Six jobs of 10 steps are before it, in pairs; encodings and decodings, which take the lane too, come on top.
		if waited > 45*time.Millisecond {
			t.Errorf("one of another size waited %v, want at most the 30 ms that those before it take, and a few calls", waited)
		}
	})
}

// TestCancelAtTheDoor: who waits leaves at once, before the calls under way end, and never begins.
func TestCancelAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Second
		e, _ := start(t, m, 1, Config{Encoders: 1})
		var wg sync.WaitGroup
		wg.Go(func() { draw(t, e, request(1)) })
		time.Sleep(3500 * time.Millisecond) // two texts are encoded, and a call flies
		ctx, cancel := context.WithTimeout(context.Background(), 2700*time.Millisecond)
		defer cancel()
		q := request(2)
		q.OnBegin = func() { t.Error("it began") }
		if _, err := e.Generate(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want its deadline", err)
		}
		synctest.Wait()
		if l := e.Load(context.Background()); l.Samples != 1 {
			t.Errorf("the engine still holds %d samples, want the one that rides", l.Samples)
		}
		if at := time.Since(m.born); at != 6200*time.Millisecond {
			t.Errorf("it left after %v, want at its deadline, in the middle of a call", at)
		}
		wg.Wait()
	})
}

// TestModelsShareLanes: two engines with work take turns on one lane.
func TestModelsShareLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lanes := NewLanes(1)
		var order []int
		var wg, runs sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		for i := range 2 {
			m := newFakeModel(t)
			m.delay = time.Millisecond
			m.corrupt = func(*Call) { order = append(order, i) } // one lane: one call at a time
			e, err := New(m, lanes, Config{Encoders: 1, Decoders: 1})
			if err != nil {
				t.Fatal(err)
			}
			runs.Go(func() {
				if err := e.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			for j := range 3 {
				wg.Go(func() { draw(t, e, request(uint64(j))) })
			}
		}
		wg.Wait()
		cancel()
		runs.Wait()
		lanes.Close()
		for i := 4; i < len(order)-4; i++ {
			if order[i] == order[i-1] {
				t.Fatalf("the calls were of the engines %v: they do not take turns", order)
			}
		}
	})
}

// TestDoorProperties tries random arrivals of several sizes, priorities, lengths and row caps against what pick and board promise.
func TestDoorProperties(t *testing.T) {
	for n := range crowds() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(n), 2))
			d := &doorway{t: t, maxRows: 1 + r.IntN(8), passes: map[*sample]int{}}
			arrivals := 60
			for tick := 0; arrivals > 0 || len(d.samples) > 0; tick++ {
				if tick > 5000 {
					t.Fatalf("%d samples are still there after %d calls", len(d.samples), tick)
				}
				for arrivals > 0 && r.IntN(3) > 0 {
					side := 1 + r.IntN(3)
					d.samples = append(d.samples, doorSample(uint64(60-arrivals), r.IntN(3), Size{side, side}, 1+r.IntN(2)))
					arrivals--
				}
				d.call()
				d.samples = slices.DeleteFunc(d.samples, func(s *sample) bool { return s.begun && r.IntN(6) == 0 })
			}
		})
	}
}

// doorway holds samples as Run does, for one lane, and keeps its own account of who passed whom.
type doorway struct {
	t       *testing.T
	maxRows int
	samples []*sample
	passes  map[*sample]int
}

func (d *doorway) call() {
	rows := pick(d.samples, d.maxRows, false)
	if len(rows) == 0 {
		if len(d.samples) > 0 {
			d.t.Fatalf("%d samples are ready and none is picked", len(d.samples))
		}
		return
	}
	leader := rows[0].sample
	var begins []*sample
	for i, r := range rows {
		if r.sample.size != leader.size || r.state != rowReady || slices.Contains(rows[:i], r) {
			d.t.Fatalf("row %d of a call of %v is of %v, in state %d", i, leader.size, r.sample.size, r.state)
		}
		if !r.sample.begun && d.passes[r.sample] < patience && !slices.Contains(begins, r.sample) {
			begins = append(begins, r.sample)
		}
	}
	if len(rows) > d.maxRows {
		d.t.Fatalf("%d rows, at most %d may ride", len(rows), d.maxRows)
	}
	for _, s := range d.samples {
		rides := slices.ContainsFunc(rows, func(r *row) bool { return r.sample == s })
		switch {
		case rides:
		case s.size == leader.size && len(rows) < d.maxRows:
			d.t.Fatalf("a sample of the call's size is left behind, with room for %d rows", d.maxRows-len(rows))
		case s.begun && s.size == leader.size && len(begins) > 0:
			d.t.Fatal("a begun sample is left behind for one at the door")
		case !s.begun && d.passes[s] >= patience && leader.seq > s.seq:
			d.t.Fatalf("sample %d leads while %d waits, which was passed already", leader.seq, s.seq)
		}
		for _, b := range begins {
			if !rides && !s.begun && s.seq < b.seq && s.size == b.size && s.req.Priority <= b.req.Priority {
				d.t.Fatalf("sample %d of priority %d begins before the older %d of priority %d", b.seq, b.req.Priority, s.seq, s.req.Priority)
			}
		}
	}
	late := begins
	for _, r := range rows {
		if !r.sample.begun && !slices.Contains(late, r.sample) {
			late = append(late, r.sample)
		}
	}
	board(d.samples, rows, time.Now())
	for _, b := range late {
		for _, s := range d.samples {
			if !s.begun && s.seq < b.seq {
				d.passes[s]++
				if b.req.Priority >= s.req.Priority {
					d.passes[s] += patience
				}
			}
		}
	}
	for _, r := range rows {
		r.sample.giveBack(r, len(rows), false)
		if r.sample.back == len(r.sample.rows) {
			r.sample.back = 0
			for i := range r.sample.rows {
				r.sample.rows[i].state = rowReady
			}
		}
	}
}

// doorSample is a sample that has only what pick and board look at.
func doorSample(seq uint64, priority int, size Size, rows int) *sample {
	s := &sample{seq: seq, req: Request{Priority: priority}, size: size, sampler: fixed{}, rows: make([]row, rows)}
	for i := range s.rows {
		s.rows[i].sample = s
	}
	return s
}

// fixed is a sampler for tests that only need a timestep.
type fixed struct{}

func (fixed) Len() int                                      { return 1 }
func (fixed) Timestep(int) float32                          { return 1 }
func (fixed) InitNoiseSigma() float32                       { return 1 }
func (fixed) ScaleInput(dst, x []float32, _ int)            { copy(dst, x) }
func (fixed) Step(_, _ []float32, _ int, _ func([]float32)) {}
func (fixed) AppendState(b []byte) []byte                   { return b }
func (fixed) RestoreState([]byte) error                     { return nil }
