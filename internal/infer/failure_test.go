package infer

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// poison is the first latent of a request's first step, by which a fault finds its rows.
func poison(t *testing.T, m *fakeModel, q Request) func(*Call) bool {
	t.Helper()
	s, err := newSample(q, m.info)
	if err != nil {
		t.Fatal(err)
	}
	first := s.in[0]
	return func(c *Call) bool {
		return slices.ContainsFunc(c.Rows, func(r Row) bool { return r.Latent[0] == first })
	}
}

// TestFailsAlone: a sample that breaks its calls fails, its neighbours get their pictures, and the engine goes on.
func TestFailsAlone(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func() error
		typ   string
	}{
		{"error", func() error { return errors.New("no kernel") }, "model_error"},
		{"out of memory", func() error { return &Error{Type: "out_of_memory", Err: errors.New("full")} }, "out_of_memory"},
		{"panic", func() error { panic("boom") }, "panic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newFakeModel(t)
				m.delay = time.Millisecond
				bad := poison(t, m, request(3))
				m.fault = func(call *Call) error {
					if bad(call) {
						return c.fault()
					}
					return nil
				}
				solo, _ := start(t, newFakeModel(t), 1, Config{})
				e, _ := start(t, m, 1, Config{MaxRows: 8})
				var wg sync.WaitGroup
				for i := range 6 {
					wg.Go(func() {
						q := request(uint64(i))
						res, err := e.Generate(context.Background(), q)
						if i != 3 {
							if err != nil {
								t.Errorf("neighbour %d: %v", i, err)
							} else if !same(res.Image, draw(t, solo, q).Image) {
								t.Errorf("neighbour %d has another picture", i)
							}
							return
						}
						var typed *Error
						if !errors.As(err, &typed) || typed.Type != c.typ {
							t.Errorf("got %v, want %s", err, c.typ)
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// TestNeighboursGoOnTogether: when a call of a crowd fails for one of its samples, the others run alone for that one step, and share calls again from the next one on.
// Nobody who came later is done before them.
func TestNeighboursGoOnTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, steps, bad = 8, 20, 5
		m := newFakeModel(t)
		m.delay = time.Millisecond
		q := func(i int) Request {
			q := request(uint64(i))
			q.Prompt, q.Steps = "the same", steps
			return q
		}
		is := poison(t, m, q(bad))
		m.fault = func(c *Call) error {
			if is(c) {
				return errors.New("no kernel")
			}
			return nil
		}
		e, _ := start(t, m, 1, Config{MaxRows: 2 * crowd, Encoders: 1, Decoders: 2 * crowd})
		draw(t, e, q(100)) // the text is encoded now
		m.calls = nil
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range crowd + 1 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Microsecond)
				if i == crowd {
					time.Sleep(10 * time.Millisecond) // it comes when the call has failed
				}
				_, err := e.Generate(context.Background(), q(i))
				if (err != nil) != (i == bad) {
					t.Errorf("%d: %v", i, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
			})
		}
		wg.Wait()
		if last := order[len(order)-1]; last != crowd {
			t.Errorf("they were done in the order %v, want the one that came last to be last", order)
		}
		alone := 0
		for _, c := range m.calls {
			if c.rows == 1 {
				alone++
			}
		}
		if most := 2*crowd + 2*steps; len(m.calls) > most || alone > 2*crowd {
			t.Errorf("%d calls, %d of them of one row, want at most %d and %d", len(m.calls), alone, most, 2*crowd)
		}
	})
}

// TestBatchShrinks: calls of more than two rows do not fit, and every picture is drawn all the same.
func TestBatchShrinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		m.fault = func(c *Call) error {
			if len(c.Rows) > 2 {
				return &Error{Type: "out_of_memory", Err: errors.New("full")}
			}
			return nil
		}
		e, _ := start(t, m, 1, Config{MaxRows: 8})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { draw(t, e, request(uint64(i))) })
		}
		wg.Wait()
	})
}

// TestOneBadSampleIsNotABrokenDevice: both rows of one sample fail on two lanes, and the engine goes on.
func TestOneBadSampleIsNotABrokenDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeModel(t)
		m.delay = time.Millisecond
		bad := poison(t, m, request(1))
		m.fault = func(c *Call) error {
			if bad(c) {
				return errors.New("no")
			}
			return nil
		}
		e, _ := start(t, m, 2, Config{})
		for range 3 {
			if _, err := e.Generate(context.Background(), request(1)); err == nil {
				t.Error("no error")
			}
			draw(t, e, request(2))
		}
	})
}

// TestNaNFromTheUNet: the sample ends at that call, the reason names the UNet, no decoder is asked, and the device is not taken for broken.
func TestNaNFromTheUNet(t *testing.T) {
	for _, value := range []float64{math.NaN(), math.Inf(-1)} {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeModel(t)
			m.info.Float32Decoder = true
			bad, calls := poison(t, m, request(3)), 0
			m.corrupt = func(c *Call) {
				if bad(c) {
					calls++
					c.Rows[0].Out[5] = float32(value)
				}
			}
			e, _ := start(t, m, 1, Config{})
			for range 3 { // more than what ends Run
				_, err := e.Generate(context.Background(), request(3))
				wantError(t, err, "bad_image", "the UNet gives NaN or infinite values at call 1 of 4")
				draw(t, e, request(2))
			}
			if m.decodes32 != 0 || calls != 3*2 {
				t.Errorf("%d decodings in float32 and %d rows, want none and one call for both rows of each try", m.decodes32, calls)
			}
		})
	}
}

// TestNothingButNaN: a device that gives no numbers for anything, as it did before, is broken. It must not turn a queue of jobs into bad images, nor a crowd.
func TestNothingButNaN(t *testing.T) {
	for _, maxRows := range []int{1, 16} {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeModel(t)
			m.delay = time.Millisecond
			e, stop := start(t, m, 1, Config{MaxRows: maxRows, Encoders: 1}, func(e *Engine) {
				if err := e.Warm(context.Background()); err != nil {
					t.Fatal(err)
				}
			})
			draw(t, e, request(1))
			born := time.Now()
			m.corrupt = func(c *Call) {
				for _, r := range c.Rows {
					if time.Since(born) > 100*time.Millisecond {
						r.Out[5] = float32(math.NaN())
					}
				}
			}
			types := map[string]int{}
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					q := request(uint64(i))
					q.Steps = 1000
					_, err := e.Generate(context.Background(), q)
					typed, ok := errors.AsType[*Error](err)
					if !ok || typed.Type == "bad_image" && !strings.Contains(err.Error(), "the UNet gives NaN or infinite values at call") {
						t.Errorf("got %v", err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					types[typed.Type]++
				})
			}
			wg.Wait()
			if types["bad_image"] != 2 || types["interrupted"] != 6 {
				t.Errorf("%d rows a call: got %v, want two bad images and the others handed back", maxRows, types)
			}
			if err := stop(); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "it makes NaN or infinite values of noise") {
				t.Errorf("Run returned %v, want ErrBroken and why", err)
			}
		})
	}
}
