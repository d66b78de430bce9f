package infer

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// large is a size that the models of these tests cannot do.
const large = 96

// failsLarge is a fault of calls of that size.
func failsLarge(c *Call) error {
	if c.Size.Width*8 == large {
		return errors.New("cannot be reshaped")
	}
	return nil
}

func largeRequest(seed uint64) Request {
	q := request(seed)
	q.Width = large
	return q
}

// TestBadLuckIsNotABrokenDevice: however many samples in a row fail alone, a device that still does what the warm-up did is sound.
func TestBadLuckIsNotABrokenDevice(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		for _, warm := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				m := newFakeModel(t)
				m.delay, m.fault = time.Millisecond, failsLarge
				e, _ := start(t, m, lanes, Config{MaxRows: 2}, func(e *Engine) {
					if warm {
						if err := e.Warm(context.Background()); err != nil {
							t.Fatal(err)
						}
					}
				})
				var wg sync.WaitGroup
				for i := range 12 {
					wg.Go(func() {
						if i >= 6 {
							time.Sleep(time.Second) // these come together, and nothing succeeds between them
						}
						_, err := e.Generate(context.Background(), largeRequest(uint64(i)))
						wantError(t, err, "model_error", "cannot be reshaped")
					})
				}
				wg.Wait()
				draw(t, e, request(1))
			})
		}
	}
}

// TestProbe: after two samples that failed alone, one row of the model's own size is tried; no other call starts before it answers, and Run serves all else meanwhile.
func TestProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		e, _ := start(t, m, 2, Config{MaxRows: 2, RowShapes: []int{2}, Encoders: 1}, func(e *Engine) {
			if err := e.Warm(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
		m.delay, m.fault = time.Second, failsLarge
		m.calls = nil
		var wg sync.WaitGroup
		for i := range 2 { // the text of the second is encoded while the first is tried
			wg.Go(func() {
				q := largeRequest(uint64(i))
				q.Guidance = 1
				_, err := e.Generate(context.Background(), q)
				wantError(t, err, "model_error", "cannot be reshaped")
			})
		}
		wg.Wait()
		q := request(0) // whose text is known
		q.Guidance = 1
		wg.Go(func() { draw(t, e, q) })
		time.Sleep(900 * time.Millisecond) // the probe flies, one lane is idle
		m.mu.Lock()
		got := m.calls
		m.mu.Unlock()
		if len(got) != 3 || got[2].rows != 1 || got[2].pad != 2 || got[2].size != (Size{8, 8}) {
			t.Errorf("the calls are %+v, want two that failed and the probe", got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		if _, err := e.Generate(ctx, q); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want its deadline", err)
		}
		if l := e.Load(context.Background()); l.Samples != 1 {
			t.Errorf("the load is %+v, want the one that waits", l)
		}
		if at := time.Since(m.born); at != 3950*time.Millisecond {
			t.Errorf("that was after %v, want in the middle of the probe", at)
		}
		wg.Wait()
	})
}

// TestOthersSpeakForTheDevice: the probe fails, but a call of another lane succeeded while it ran.
func TestOthersSpeakForTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		slow := poison(t, m, request(2))
		m.fault = func(c *Call) error {
			switch {
			case slow(c):
				time.Sleep(5 * time.Second)
				return nil
			case c.Rows[0].Timestep == 500: // the probe's, which no sampler here asks for
				time.Sleep(10 * time.Second)
				return errors.New("no kernel")
			}
			return failsLarge(c)
		}
		e, stop := start(t, m, 2, Config{MaxRows: 2})
		var wg sync.WaitGroup
		wg.Go(func() { draw(t, e, request(2)) })
		for i := range 2 {
			wg.Go(func() {
				time.Sleep(time.Second)
				_, err := e.Generate(context.Background(), largeRequest(uint64(10+i)))
				wantError(t, err, "model_error", "cannot be reshaped")
			})
		}
		wg.Wait()
		draw(t, e, request(2))
		time.Sleep(time.Minute)
		if err := stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

// TestBroken: when everything fails, two samples and the probe end Run, and whoever waits is told to go elsewhere.
func TestBroken(t *testing.T) {
	for _, lanes := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeModel(t)
			m.delay = time.Millisecond
			m.fault = func(*Call) error { return errors.New("device lost") }
			e, stop := start(t, m, lanes, Config{MaxRows: 1})
			types := map[string]int{}
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 5 {
				wg.Go(func() {
					_, err := e.Generate(context.Background(), request(uint64(i)))
					typed, ok := errors.AsType[*Error](err)
					if !ok {
						t.Errorf("got %v", err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					types[typed.Type]++
				})
			}
			wg.Wait()
			if err := stop(); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "a call of noise at the model's own size: device lost") {
				t.Errorf("Run returned %v, want ErrBroken and why", err)
			}
			if types["model_error"] != 2 || types["interrupted"] != 3 {
				t.Errorf("%d lanes: got %v, want two model errors and the others interrupted", lanes, types)
			}
		})
	}
}

// TestBrokenDeviceGivesNothing: what a call gives that comes back when the device is known to be broken does not count, for good or bad.
func TestBrokenDeviceGivesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		slow := poison(t, m, unguided(10, 4))
		m.fault = func(c *Call) error {
			if slow(c) {
				time.Sleep(time.Second)
				return nil
			}
			return errors.New("device lost")
		}
		m.corrupt = func(c *Call) { c.Rows[0].Out[0] = float32(math.NaN()) }
		e, _ := start(t, m, 2, Config{})
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := e.Generate(context.Background(), unguided(10, 4))
			wantError(t, err, "interrupted", "device lost")
		})
		time.Sleep(time.Millisecond)
		for i := range 2 {
			_, err := e.Generate(context.Background(), unguided(uint64(i), 4))
			wantError(t, err, "model_error", "device lost")
		}
		wg.Wait()
	})
}
