package infer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowds is how many random crowds tests draw: 200 in `make soak`.
func crowds() int {
	if os.Getenv("STIPPLE_SOAK") != "" {
		return 200
	}
	return 20
}

// randomRequest mixes everything that may share a call.
func randomRequest(r *rand.Rand, i int) Request {
	q := Request{
		Prompt: fmt.Sprintf("prompt %d", r.IntN(5)), Seed: uint64(i), Steps: 1 + r.IntN(12),
		Guidance: []float64{0, 1, 1.5, 5, 7.5}[r.IntN(5)],
		Width:    []int{64, 64, 64, 96}[r.IntN(4)], Height: []int{64, 64, 80}[r.IntN(3)],
		Scheduler: []string{"", "euler", "euler_a", "ddim", "pndm", "dpmpp_2m", "dpmpp_2m_karras"}[r.IntN(7)],
		Priority:  r.IntN(3),
	}
	if r.IntN(3) == 0 {
		q.NegativePrompt = "ugly"
	}
	return q
}

// TestCrowdEqualsSolo is the engine's promise: a picture depends on its request alone. Crowds arrive at random moments, some leave half-way, some calls
// fail, lanes and row shapes vary.
func TestCrowdEqualsSolo(t *testing.T) {
	for n := range crowds() {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(n), 1))
				requests := make([]Request, 12)
				for i := range requests {
					requests[i] = randomRequest(r, i)
				}
				solo := make([]Image, len(requests))
				alone, stop := start(t, newFakeModel(t), 1, Config{})
				for i, q := range requests {
					solo[i] = draw(t, alone, q).Image
				}
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				crowd(t, r, requests, solo)
			})
		})
	}
}

func crowd(t *testing.T, r *rand.Rand, requests []Request, solo []Image) {
	m := newFakeModel(t)
	m.delay = time.Millisecond
	calls := 0
	m.fault = func(c *Call) error { // every seventh call of more than one row fails, so its rows go on alone
		m.mu.Lock()
		defer m.mu.Unlock()
		calls++
		if calls%7 == 0 && len(c.Rows) > 1 {
			return errors.New("out of luck")
		}
		return nil
	}
	shapes := [][]int{nil, {1, 2, 4, 8}, {8}}[r.IntN(3)]
	maxRows := 1 + r.IntN(8)
	lanes := 1 + r.IntN(3)
	e, _ := start(t, m, lanes, Config{MaxRows: maxRows, RowShapes: shapes})
	var wg sync.WaitGroup
	for i, q := range requests {
		arrive, leave := time.Duration(r.IntN(20))*time.Millisecond, time.Hour
		if r.IntN(4) == 0 {
			leave = time.Duration(1+r.IntN(30)) * time.Millisecond
		}
		wg.Go(func() {
			time.Sleep(arrive)
			ctx, cancel := context.WithTimeoutCause(context.Background(), leave, context.Canceled)
			defer cancel()
			res, err := e.Generate(ctx, q)
			switch {
			case err != nil && ctx.Err() == nil:
				t.Errorf("request %d: %v", i, err)
			case err == nil && !same(res.Image, solo[i]):
				t.Errorf("request %d (%+v) is another picture in the crowd", i, q)
			}
		})
	}
	wg.Wait()
	for _, c := range m.calls {
		if c.rows > maxRows || c.pad < c.rows || (len(shapes) == 1 && c.pad != shapes[0]) {
			t.Errorf("call %+v breaks max rows %d or shapes %v", c, maxRows, shapes)
		}
	}
	if m.most > lanes {
		t.Errorf("%d calls at once on %d lanes", m.most, lanes)
	}
}

// TestNoBarrier: with two lanes, the second never waits for the first while there are rows.
func TestNoBarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		e, _ := start(t, m, 2, Config{})
		begin := time.Now()
		var wg sync.WaitGroup
		const jobs, steps = 6, 10
		for i := range jobs {
			q := request(uint64(i))
			q.Steps = steps
			wg.Go(func() { draw(t, e, q) })
		}
		wg.Wait()
		// 6 jobs × 10 steps × 2 rows on 2 lanes are 60 ms of calls; encoding and decoding add a few.
		if took := time.Since(begin); took > 66*time.Millisecond {
			t.Errorf("took %v: a lane stood still", took)
		}
	})
}
